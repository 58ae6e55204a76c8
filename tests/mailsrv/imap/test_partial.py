"""Pages of results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.imap.partial import PartialRange, read_partial_range
from mailsrv.imap.tokens import Cursor


@pytest.mark.parametrize(
    ("octets", "found", "told"),
    [
        (b" 1:100", PartialRange(1, 100), b"1:100"),
        (b" 500:400", PartialRange(400, 500), b"400:500"),
        (b" -1:-100", PartialRange(1, 100, True), b"-1:-100"),
        (b" -500:-400", PartialRange(400, 500, True), b"-400:-500"),
    ],
)
def test_ranges(octets: bytes, found: PartialRange, told: bytes) -> None:
    assert read_partial_range(Cursor(octets)) == found
    assert bytes(found) == told


@pytest.mark.parametrize("octets", [b"1:2", b" 1", b" 0:5", b" 1:-5", b" -1:5", b" *:1", b" 1:4294967296", b" -:1"])
def test_what_is_no_range(octets: bytes) -> None:
    with pytest.raises(GrammarError):
        read_partial_range(Cursor(octets))


@given(st.integers(0, 30), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_pages(count: int, one: int, other: int, backwards: bool) -> None:
    results = list(range(count))
    first, last = min(one, other), max(one, other)
    places = {place for place in range(first, last + 1) if place <= count}
    wanted = [results[-place] if backwards else results[place - 1] for place in places]
    assert list(PartialRange(first, last, backwards).cut(results)) == sorted(wanted)
