"""Author Domains: sound From fields, and what broken ones still show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.authors import MOST_OCTETS, Authors, find_authors
from mailsrv.mail.header import scan


def find(*values: bytes) -> Authors:
    header = scan(b"".join(b"From:" + value + b"\r\n" for value in values) + b"\r\n", True)
    assert header is not None
    return find_authors(header)


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (b" a@example.com", "example.com"),
        (b" A <a@EXAMPLE.com>", "example.com"),
        (b"\r\n\tA (not b@example.net)\r\n <a@example.com>", "example.com"),
        (b' "x@example.net" <a@example.com>', "example.com"),
        (b" a@example.com, B <b@Example.Com>", "example.com"),
        (b" Team: a@example.com, b@example.com;", "example.com"),
        (b" a@example.com, b@[192.0.2.1]", "example.com"),
        (b" <@relay.example.net:a@example.com>", "example.com"),
        (" a@b\u00fccher.example".encode(), "xn--bcher-kva.example"),
        (" a@B\u00dcCHER.example, b@xn--BCHER-kva.example".encode(), "xn--bcher-kva.example"),
        (" a@b\u00fccher\u3002example".encode(), "xn--bcher-kva.example"),
        (b" a@localhost", "localhost"),
    ],
)
def test_one_author_domain(value: bytes, domain: str) -> None:
    assert find(value) == Authors((domain,))


@pytest.mark.parametrize("count", [0, 1])
def test_no_author(count: int) -> None:
    for value in (b" Nobody:;", b" a@[192.0.2.1]", b" a@[IPv6:2001:db8::1]"):
        assert find(*[value] * count).domains == ()
        assert find(*[value] * count).fault in ("there is no From field", "the From field has no domain")


def test_several_domains_in_order() -> None:
    found = find(b" a@c.example, b@a.example, c@c.example, d@b.example")
    assert found.domains == ("c.example", "a.example", "b.example")
    assert (found.fault, found.too_many) == ("the From field has authors of several domains", False)


def test_more_than_are_looked_at() -> None:
    found = find(b" a@a.example, a@b.example, a@c.example, a@d.example")
    assert (len(found.domains), found.too_many) == (3, True)
    assert find(b" <" + b",".join(b"a@x%d.example" % number for number in range(500))).too_many


@pytest.mark.parametrize("count", [2, 3, 4, 500])
def test_several_fields(count: int) -> None:
    found = find(*[b" a@example.com"] * count)
    assert found == Authors(("example.com",), f"there are {count} From fields", True, count > 3)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b" a b@example.com",
        b" <a@example.com",
        b" a@example.com>",
        b' "Boss <a@example.com>',
        b" Boss (a@example.com",
        b" a@example.com.",
        b" a@.example.com",
        b" <<a@example.com>>",
        b" a @ example . com >",
        b" a@(one)example(two).com >",
        b" a\x00@example.com",
        b" \xff <a@example.com> <",
        b" a@example.com; <",
        b" a@exa_mple.com",
        b" a@example.com " * (MOST_OCTETS // 10),
    ],
)
def test_what_cannot_be_read_still_shows_a_domain(value: bytes) -> None:
    found = find(value)
    assert found.fault
    expected = ("exa_mple.com",) if b"_" in value else ("example.com",) if value.strip() else ()
    assert found.domains == expected


@pytest.mark.parametrize(
    "value",
    [
        "a@example.com\u200b",
        "a@exam\u00adple.com",
        "a@example.com\ufffd",
        "a\uff20example.com",
        "a@example.com'",
        "a@example.com?",
        "a@example.com/x",
        "a@[example.com]",
        'a@"example.com"',
        "a@example\\.com",
        "a@exam\x01ple.com",
        "=?utf-8?B?YUBleGFtcGxlLmNvbQ==?=",
        "<=?us-ascii?b?YUBleGFtcGxlLmNvbQ==?=>",
        "=?iso-8859-1*en?Q?a=40example.com?= <>",
        "a=?utf-8?Q?=40?=example.com",
        "a@=?utf-8?Q?exam?= =?utf-8?Q?ple?=.com",
        "=?utf-16?B?/v8AYQBAAGUAeABhAG0AcABsAGUALgBjAG8AbQ==?=",
        "=?utf-7?Q?a+AEA-example.com?=",
    ],
)
def test_what_a_lenient_reader_would_see_in_a_broken_field(value: str) -> None:
    found = find(b" " + value.encode())
    assert found.fault
    assert found.domains == ("example.com",)


@pytest.mark.parametrize("dot", [".", "\u3002"])
@pytest.mark.parametrize("label", ["x", "\u00e4"])
def test_of_a_domain_that_is_too_long_what_is_above_it_counts(label: str, dot: str) -> None:
    found = find(b" a@" + f"{label}{dot}".encode() * 100_000 + f"example{dot}com".encode())
    assert found.fault
    (domain,) = found.domains
    assert f".{domain}".endswith(".example.com") and len(domain) <= 255
    assert find(b" a@" + label.encode() * 100_000).domains == ()


def test_a_fault_is_short() -> None:
    assert len(find(b" " + b"x" * 8000 + b" " + b"y" * 8000 + b"@example.com").fault) < 300


def test_wide_letters_are_letters() -> None:
    assert find(" a@\uff45xample.com".encode()) == Authors(("example.com",))


def test_broken_encoded_words() -> None:
    assert find(b" =?utf-8?B?a?= <").domains == ()
    assert find(b" =?utf-16?B?YQ==?= <").domains == ()
    assert find(" =?\u00e4?Q?a=40example.com?= <".encode()).domains == ("example.com",)


def test_a_folded_name() -> None:
    """No field, but shown by some."""
    for name in (b"From\r\n :", b"FROM \r\n\t :"):
        header = scan(b"X: y\r\n" + name + b" a@\r\n example.com\r\nFrom: b@example.net\r\n\r\n", True)
        assert header is not None
        assert find_authors(header) == Authors(("example.net", "example.com"), "there are 2 From fields", True)
        header = scan(name + b" =?utf-8?B?YUBleGFtcGxlLmNvbQ==?=\r\n\r\n", True)
        assert header is not None
        assert find_authors(header) == Authors(("example.com",), "the name of a From field is folded")


@pytest.mark.parametrize(
    "value", [b"(" * 200000, b" " * 200000 + b"@", b"@" * 200000, b"a@b." * 50000, b"@. " * 60000, b'"@b' * 60000]
)
def test_long_garbage(value: bytes) -> None:
    assert find(value).fault


@given(st.lists(st.binary(max_size=60).filter(lambda octets: b"\r" not in octets and b"\n" not in octets), max_size=5))
def test_any_octets(values: list[bytes]) -> None:
    found = find(*values)
    assert found.fault or len(found.domains) == 1
    assert len(set(found.domains)) == len(found.domains) <= 3
    assert all(domain.isascii() and domain == domain.lower() for domain in found.domains)
    assert found.repeated is (len(values) > 1)
