"""What arguments are made of: names, flags, dates, parts."""

from datetime import date

import pytest

from mailsrv.errors import GrammarError
from mailsrv.imap import grammar
from mailsrv.imap.tokens import Cursor


@pytest.mark.parametrize(
    ("octets", "utf8", "name"),
    [
        (b"inbox", False, "INBOX"),
        (b'"InBox"', False, "INBOX"),
        (b"inbox/a", False, "inbox/a"),
        (b"&ZeVnLIqe-", False, "日本語"),
        (b"&ZeVnLIqe-", True, "&ZeVnLIqe-"),
        ('"日本語"'.encode(), True, "日本語"),
        ('"日本語"'.encode(), False, "日本語"),
        (b'""', False, ""),
    ],
)
def test_mailbox_names(octets: bytes, utf8: bool, name: str) -> None:
    assert grammar.read_mailbox(Cursor(octets, 0, utf8)) == name


def test_patterns_have_wildcards() -> None:
    assert grammar.read_pattern(Cursor(b"a/%*x ")) == "a/%*x"
    assert grammar.read_pattern(Cursor(b'"%"')) == "%"
    with pytest.raises(GrammarError, match="a mailbox name at"):
        grammar.read_mailbox(Cursor(b"%"))


@pytest.mark.parametrize(
    ("octets", "flag"),
    [
        (b"\\SEEN", "\\Seen"),
        (b"\\answered", "\\Answered"),
        (b"$Forwarded", "$Forwarded"),
        (b"\\Recent", "\\Recent"),
        (b"\\Xy", "\\Xy"),
        (b"NonJunk", "NonJunk"),
    ],
)
def test_flags(octets: bytes, flag: str) -> None:
    assert grammar.read_flag(Cursor(octets)) == flag


def test_flag_lists() -> None:
    assert grammar.read_flags(Cursor(b"(\\Seen \\SEEN a)")) == ("\\Seen", "a")
    assert grammar.read_flags(Cursor(b"()")) == ()
    for octets in (b"\\", b"(\\)", b"(*)", b"(\\*)", b"(a]b)", b'("a")'):
        with pytest.raises(GrammarError):
            grammar.read_flags(Cursor(octets))


@pytest.mark.parametrize(
    ("octets", "day"),
    [(b"1-Feb-1994", date(1994, 2, 1)), (b'"01-feb-1994"', date(1994, 2, 1)), (b"29-FEB-2024)", date(2024, 2, 29))],
)
def test_dates(octets: bytes, day: date) -> None:
    assert grammar.read_date(Cursor(octets)) == day


@pytest.mark.parametrize(
    "octets", [b"30-Feb-1994", b"1-Foo-1994", b"1-Feb-94", b'"1-Feb-1994', b"1-Feb-0000", b"0-Feb-1994", b"1-Feb-19944"]
)
def test_what_is_no_date(octets: bytes) -> None:
    with pytest.raises(GrammarError, match="1-Feb-1994"):
        grammar.read_date(Cursor(octets))


@pytest.mark.parametrize(
    ("octets", "seconds"),
    [
        (b'"17-Jul-1996 02:44:25 -0700"', 837596665),
        (b'" 1-Jan-1970 01:00:00 +0100"', 0),
        (b'"1-Jan-1970 01:00:00 +0100"', 0),  # without the space, which some clients leave out
        (b'"31-Dec-1969 23:59:59 +0000"', -1),
        (b'"30-Jun-2015 23:59:60 +0000"', 1435708799),
    ],
)
def test_moments(octets: bytes, seconds: int) -> None:
    assert grammar.try_date_time(Cursor(octets)) == seconds


@pytest.mark.parametrize(
    "octets",
    [
        b'"001-Jul-1996 02:44:25 -0700"',
        b'"32-Jul-1996 02:44:25 -0700"',
        b'"17-Jul-1996 24:44:25 -0700"',
        b'"17-Jul-1996 02:44:25"',
        b'"17-Jul-1996 02:44:25 +9900"',
        b'"17-Jul-1996"',
        b'"',
        b'"17-Jul-0000 02:44:25 -0700"',
    ],
)
def test_what_is_no_moment(octets: bytes) -> None:
    with pytest.raises(GrammarError, match="a date like"):
        grammar.try_date_time(Cursor(octets))


def test_no_moment_at_all() -> None:
    assert grammar.try_date_time(Cursor(b"{5}")) is None


@pytest.mark.parametrize(
    ("octets", "part", "rest"),
    [
        (b"1.2.3]", (1, 2, 3), b"]"),
        (b"1.HEADER", (1,), b".HEADER"),
        (b"]", (), b"]"),
        (b"TEXT", (), b"TEXT"),
        (b"1.", (1,), b"."),
    ],
)
def test_parts(octets: bytes, part: tuple[int, ...], rest: bytes) -> None:
    cursor = Cursor(octets)
    assert grammar.read_part(cursor) == part
    assert octets[cursor.at :] == rest


@pytest.mark.parametrize("octets", [b"0", b"1.0", b"4294967296", b".".join([b"1"] * 101)])
def test_what_is_no_part(octets: bytes) -> None:
    with pytest.raises(GrammarError, match="expected a part"):
        grammar.read_part(Cursor(octets))
