"""Address lists as people write them, and sort keys."""

import time
from email.utils import formataddr, getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail.address_list import GROUP_END, MAX_ADDRESSES, ListedAddress, display_key, mailbox_key, read_addresses
from mailsrv.mail.mailboxes import parse_mailboxes


def short(value: bytes) -> list[str]:
    """Addresses as `name|route|local@domain`, groups as `name:` and `;`."""
    found = []
    for one in read_addresses(value):
        if one == GROUP_END:
            found.append(";")
        elif one.domain is None:
            assert one.name is None and one.local_part is not None
            found.append(f"{one.local_part.decode()}:")
        else:
            before = "".join(f"{part.decode()}|" for part in (one.name, one.route) if part is not None)
            found.append(f"{before}{(one.local_part or b'').decode()}@{one.domain.decode()}")
    return found


LISTS = [
    (b"", []),
    (b" , ,; ", []),
    (b"a@b", ["a@b"]),
    (b" a@b , c@d,\r\n e@f", ["a@b", "c@d", "e@f"]),
    (b"<a@b>", ["a@b"]),
    (b"A B <a@b>", ["A B|a@b"]),
    (b'"A, B" <a@b>, C<c@d>', ["A, B|a@b", "C|c@d"]),
    (b'"A \\"B\\" C" <a@b>', ['A "B" C|a@b']),
    (b'"" <a@b>', ["a@b"]),
    (b'"A" B "C" <a@b>', ["A B C|a@b"]),
    (b"J. Q. Public <j@b>", ["J. Q. Public|j@b"]),
    (b"=?utf-8?q?=C3=A4=2C?= <a@b>", ["=?utf-8?q?=C3=A4=2C?=|a@b"]),
    ("Ä <ä@ö>".encode(), ["Ä|ä@ö"]),
    (b"a@b (A B)", ["A B|a@b"]),
    (b"A <a@b> (comment)", ["A|a@b"]),
    (b"(x (nested \\) y)) a(b)@(c)d", ["x (nested ) y)|a@d"]),
    (b'"a b"@c, "d@e"@f', ["a b@c", "d@e@f"]),
    (b"a@[192.0.2.1], <b@[IPv6:2001:db8::1]>", ["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]),
    (b"a . b @ c . d", ["a.b@c.d"]),
    (b"< a@b >, A <\ta@b\t>", ["a@b", "A|a@b"]),
    (b"<@x,@y:a@b>", ["@x,@y|a@b"]),
    (b"A <@x:a@b>", ["A|@x|a@b"]),
    # groups: RFC 5322 section 3.4
    (b"G: a@b, C <c@d>;", ["G:", "a@b", "C|c@d", ";"]),
    (b'"A Group" (x): ;, e@f', ["A Group:", ";", "e@f"]),
    (b"G: a@b; H:c@d", ["G:", "a@b", ";", "H:", "c@d", ";"]),
    (b"G: H: a@b;;", ["G:", "H:|a@b", ";"]),
    # what is broken
    (b"alone", ["alone@"]),
    (b"A B", ["A B@"]),
    (b"A <>", ["A|@"]),
    (b"@b", ["@b"]),
    (b"a@", ["a@"]),
    (b"a@b@c", ["a@b@c"]),
    (b"John Doe j@b", ["John Doe|j@b"]),
    (b"j@b John", ["j@b"]),
    (b"<a@b> c@d <e@f>", ["a@b", "c@d|e@f"]),
    (b"A <a@b> B <c@d>", ["A|a@b", "B|c@d"]),
    (b"A <a@b> junk, c@d", ["A|a@b", "c@d"]),
    (b"A <a@b, c@d", ["A|a@b", "c@d"]),
    (b'"A <a@b>', ["A <a@b>@"]),
    (b"(A <a@b>", []),
    (b"a@b;c@d", ["a@b", "c@d"]),
    (b"a@b\\, c@d", ["a@b\\", "c@d"]),
    (b"a\0b@c", ["a|b@c"]),
    (b"a@[b", ["a@[b"]),
]


@pytest.mark.parametrize(("value", "addresses"), LISTS)
def test_lists(value: bytes, addresses: list[str]) -> None:
    assert short(value) == addresses


def test_a_list_is_bounded() -> None:
    assert len(read_addresses(b"a@b," * (2 * MAX_ADDRESSES))) == MAX_ADDRESSES
    assert len(read_addresses(b"G:" + b"a," * (2 * MAX_ADDRESSES))) == MAX_ADDRESSES + 1
    assert len(read_addresses(b"a (b) @c," * (2 * MAX_ADDRESSES))) < MAX_ADDRESSES
    usual = b"a@b, " * 1000
    assert len(read_addresses(usual + b"x (y), " + usual)) == 2001


ATOM = st.text("abcdefXYZ0123456789-", min_size=1, max_size=8)
NAME = st.text("abc XYZ,;:<>@()[]\\\"'.", max_size=12).map(lambda text: " ".join(text.split()))


@given(st.lists(st.tuples(NAME, ATOM, ATOM), min_size=1, max_size=4))
def test_what_the_standard_library_writes(people: list[tuple[str, str, str]]) -> None:
    value = ", ".join(formataddr((name, f"{local}@{domain}")) for name, local, domain in people)
    assert [((a.name or b"").decode(), a.local_part, a.domain) for a in read_addresses(value.encode())] == [
        (name, local.encode(), domain.encode()) for name, local, domain in people
    ]
    assert getaddresses([value]) == [(name, f"{local}@{domain}") for name, local, domain in people]


PIECES = [
    b"a",
    b"b",
    b" ",
    b"@",
    b".",
    b",",
    b";",
    b":",
    b"<",
    b">",
    b'"',
    b"\\",
    b"(",
    b")",
    b"[",
    b"]",
    b"\xff",
    b"\r\n ",
]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_anything_is_a_list(value: bytes) -> None:
    inside = False
    for one in read_addresses(value):
        if one.domain is None:
            assert (one == GROUP_END) == inside
            inside = not inside
        else:
            assert one.local_part is not None
    assert not inside


@given(st.lists(st.sampled_from([b"a", b"b.c", b" ", b"@", b",", b"<", b">", b'"x y"', b"G:", b";"])).map(b"".join))
def test_what_the_strict_reader_takes_is_read_alike(value: bytes) -> None:
    try:
        strict = parse_mailboxes(value)
    except GrammarError:
        return
    lenient = [one for one in read_addresses(value) if one.domain is not None]
    assert [(one.local_part, one.domain) for one in lenient] == [
        (address.local_part.encode(), address.domain.encode()) for address in strict
    ]


KEYS = [
    (b"", b"", ""),
    (b"A B <a@b>, C <c@d>", b"a", "A B"),
    (b"=?utf-8?q?=C3=A4?= <a@b>", b"a", "ä"),
    (b"a@b", b"a", "a@b"),
    (b"alone", b"alone", "alone@"),
    (b"Group: a@b;", b"Group", "Group"),
    (b"=?utf-8?q??= <a@b>", b"a", "a@b"),
]


@pytest.mark.parametrize(("value", "mailbox", "display"), KEYS)
def test_sort_keys(value: bytes, mailbox: bytes, display: str) -> None:
    assert mailbox_key(value) == mailbox
    assert display_key(value) == display


@pytest.mark.parametrize("piece", [*PIECES, b"@,", b"<@a,", b"a@b,", b"a@b ", b'"\\', b"(\\", b"a. ", b"<a@b> ", b"a:"])
def test_hostile_lists_take_time_in_proportion(piece: bytes) -> None:
    before = time.process_time()
    read_addresses(piece * ((1 << 20) // len(piece)))
    assert time.process_time() - before < 3.0


def test_a_listed_address_is_a_value() -> None:
    assert ListedAddress(None, None, b"a", b"b") == read_addresses(b"a@b")[0]
