"""Addresses: grammar of RFC 5321 section 4.1.2 and RFC 6531, comparison, domains with IDNA."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, domain_key, domain_to_ascii, parse_address, quote_local_part, split_local_part

GOOD = {
    "alice@example.org": Address("alice", "example.org"),
    "Alice.B+list@Example.ORG": Address("Alice.B+list", "Example.ORG"),
    "!#$%&'*+-/=?^_`{|}~@example.org": Address("!#$%&'*+-/=?^_`{|}~", "example.org"),
    '"a b"@example.org': Address("a b", "example.org"),
    '"alice"@example.org': Address("alice", "example.org"),
    '"a\\"b\\\\c"@example.org': Address('a"b\\c', "example.org"),
    '""@example.org': Address("", "example.org"),
    '"a@b"@example.org': Address("a@b", "example.org"),
    "alice@[192.0.2.1]": Address("alice", "[192.0.2.1]"),
    "alice@[IPv6:2001:db8::1]": Address("alice", "[IPv6:2001:db8::1]"),
    "jürgen@bücher.example": Address("jürgen", "bücher.example"),
    "alice@localhost": Address("alice", "localhost"),
    "a" * 64 + "@example.org": Address("a" * 64, "example.org"),
}

BAD = [
    "", "alice", "@example.org", "alice@", "alice@@example.org", ".alice@example.org", "alice.@example.org",
    "a..b@example.org", "a b@example.org",
    '"a"b@example.org', '"a@example.org', '"a"b"@example.org', '"a\\"@example.org',
    "alice@example..org", "alice@.example.org", "alice@example.org.", "alice@-example.org", "alice@example-.org",
    "alice@exam_ple.org", "alice@exam ple.org", "alice@example.org\r\n", "alice\0@example.org", '"a\tb"@example.org',
    "alice@[192.0.2.256]", "alice@[]", "alice@[IPv6:192.0.2.1]", "alice@[2001:db8::1]", "alice@[IPv6:::1",
    "alice@" + "a" * 64 + ".org", "a" * 65 + "@example.org", "ü" * 33 + "@example.org",
    "alice@" + ".".join(["a" * 60] * 5), "alice@exam\u2028ple.org",
    "alice@[IPv6:fe80::1%a b]", "a\x85b@example.org", '"a\x9bb"@example.org',
    "a<b@example.org", "a,b@example.org",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_is_an_address(text: str) -> None:
    assert parse_address(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_none(text: str) -> None:
    with pytest.raises(GrammarError):
        parse_address(text)


LOCAL_PARTS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=16
)


@given(LOCAL_PARTS)
def test_writing_and_reading_give_the_same_address(local_part: str) -> None:
    address = Address(local_part, "example.org")
    assert parse_address(str(address)) == address


@given(LOCAL_PARTS)
def test_the_end_of_a_local_part_is_found_whatever_follows(local_part: str) -> None:
    text = quote_local_part(local_part)
    assert split_local_part(f"{text}@x") == (local_part, len(text))


def test_quotes_only_where_they_are_needed() -> None:
    assert quote_local_part("a.b") == "a.b"
    assert quote_local_part("a..b") == '"a..b"'
    assert quote_local_part("") == '""'
    assert quote_local_part('a"\\') == '"a\\"\\\\"'


SAME = [
    ("Alice@EXAMPLE.org", "alice@example.ORG"),
    ('"alice"@example.org', "alice@example.org"),
    ("JÜRGEN@example.org", "jürgen@example.org"),
    ("ju\u0308rgen@example.org", "jürgen@example.org"),
    ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
    ("a@bücher\u3002example", "a@bücher.example"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_mailbox(one: str, other: str) -> None:
    assert parse_address(one).key == parse_address(other).key


def test_different_mailboxes() -> None:
    assert parse_address("a.b@example.org").key != parse_address("ab@example.org").key
    assert parse_address("a@example.org").key != parse_address("a@example.com").key


@pytest.mark.parametrize(
    ("domain", "ascii"),
    [
        ("Example.ORG", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ],
)
def test_domains_as_the_dns_knows_them(domain: str, ascii: str) -> None:
    assert domain_to_ascii(domain) == ascii
    assert domain_to_ascii(ascii) == ascii


@pytest.mark.parametrize("domain", ["", "a..b", "ü ber.example", "☃.example", "ü" * 60 + ".example", "-a.example"])
def test_no_domains(domain: str) -> None:
    with pytest.raises(GrammarError):
        domain_to_ascii(domain)


@given(st.text(max_size=40))
def test_comparing_never_fails(text: str) -> None:
    assert domain_key(text) == domain_key(text)
    assert isinstance(Address(text, text).key, str)


def test_what_needs_smtputf8_and_what_is_a_literal() -> None:
    assert parse_address("a@example.org").is_ascii
    assert not parse_address("ü@example.org").is_ascii
    assert not parse_address("a@bücher.example").is_ascii
    assert parse_address("a@[192.0.2.1]").is_literal
    assert not parse_address("a@example.org").is_literal


def test_a_label_that_is_too_long_is_not_made_ascii_first() -> None:
    label = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))  # punycode would take most of a minute
    with pytest.raises(GrammarError, match="longer than 63"):
        domain_to_ascii(f"{label}.example")
