"""Markers of literals, tags, and what is skipped."""

import pytest

from mailsrv.imap.lines import Line, LineFault
from mailsrv.imap.skipping import HEAD, TAG_ALONE, find_marker


@pytest.mark.parametrize(
    ("octets", "size", "waits"),
    [
        (b"a X {5}", b"5", True),
        (b"a X {5+}", b"5", False),
        (b"a X ~{0005+}", b"0005", False),
        (b"{" + b"9" * 50 + b"+}", b"9" * 50, False),
    ],
)
def test_markers(octets: bytes, size: bytes, waits: bool) -> None:
    marker = find_marker(Line(octets))
    assert marker is not None
    assert (marker[1], not marker[2]) == (size, waits)


@pytest.mark.parametrize(
    "octets", [b"", b"}", b"{}", b"{+}", b"{a}", b"{5+} ", b"{5++}", b"{-5}", b"{5}\r", b"{" + b"9" * 51 + b"}"]
)
def test_what_is_no_marker(octets: bytes) -> None:
    assert find_marker(Line(octets)) is None


def test_the_end_of_a_long_line_counts() -> None:
    assert find_marker(Line(b"a X {5}", LineFault.LONG, b"xxx")) is None
    marker = find_marker(Line(b"a X", LineFault.LONG, b"xxx{5}"))
    assert marker is not None
    assert marker[1] == b"5"
    assert find_marker(Line(b"{5" + b" " * 64 + b"}")) is None


@pytest.mark.parametrize(
    ("octets", "tag", "name"),
    [
        (b"a NOOP", b"a", b"NOOP"),
        (b"a.1]-/ uid fetch 1 FLAGS", b"a.1]-/", b"uid fetch"),
        (b"a UID", b"a", b"UID"),
        (b"a select x", b"a", b"select"),
    ],
)
def test_heads(octets: bytes, tag: bytes, name: bytes) -> None:
    match = HEAD.match(octets)
    assert match is not None
    assert (match[1], match[2]) == (tag, name)


@pytest.mark.parametrize(
    "octets", [b"", b"a", b"+ NOOP", b" a NOOP", b"a  NOOP", b"a NOOP\t", b"a NOOP2", b"* NOOP", b"a%b NOOP"]
)
def test_what_is_no_head(octets: bytes) -> None:
    assert HEAD.match(octets) is None


def test_tags_alone() -> None:
    match = TAG_ALONE.match(b"abc 12 x")
    assert match is not None
    assert match[1] == b"abc"
    assert TAG_ALONE.match(b"{5} x") is None
