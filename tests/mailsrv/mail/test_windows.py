"""Windows find, count and cut as bytes do, wherever the borders of the windows are."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail import windows
from mailsrv.mail.windows import WINDOW, Windows

OCTETS = st.text("ab\n-", max_size=200).map(str.encode)


@given(OCTETS, st.text("ab\n-", min_size=1, max_size=8).map(str.encode), st.lists(st.integers(0, 210), max_size=12))
def test_like_bytes(octets: bytes, needle: bytes, places: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW", 9)
        view = Windows(memoryview(octets))
        for start, end in zip(places[::2], places[1::2], strict=False):
            assert view.find(needle, start, end) == octets.find(needle, start, end)
            assert view.count(b"\n", start, end) == octets.count(b"\n", start, end)
            assert view[start:end] == octets[start:end]


def test_a_file_in_memory_larger_than_a_window() -> None:
    size = 3 * WINDOW
    with mmap.mmap(-1, size) as mapped:
        mapped[WINDOW - 2 : WINDOW + 2] = b"over"
        mapped[-3:] = b"end"
        view = Windows(mapped)
        assert view.find(b"over", 0, size) == WINDOW - 2
        assert view.find(b"end", 0, size) == size - 3
        assert view.find(b"end", 0, size - 1) == -1
        assert view.count(b"e", 0, size) == 2
        assert view[WINDOW - 2 : WINDOW + 2] == b"over"
        assert len(view[1 : 2 * WINDOW]) == 2 * WINDOW - 1
