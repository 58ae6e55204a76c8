"""Windows over octets that are not in memory as one `bytes`: searches, counts and slices for a memoryview or a mapped
file, with one window of them copied at a time.

A memoryview cannot search, and a mapped file does so octet by octet; a window is searched as fast as bytes are. The
window is kept, so that many searches near each other copy it once.

Diagnostics: raises nothing of its own; what the octets themselves raise passes through.
"""

import mmap

WINDOW = 1 << 18  # octets; more than anything that is searched for


class Windows:
    """The searches of `bytes` over larger octets."""

    __slots__ = ("_base", "_octets", "_window")

    def __init__(self, octets: memoryview | mmap.mmap) -> None:
        self._octets = octets
        self._base = 0
        self._window = b""

    def find(self, needle: bytes, start: int, end: int, /) -> int:
        """The first offset of `needle` that lies between `start` and `end` as a whole, -1 when there is none."""
        end = min(end, len(self._octets))
        while start + len(needle) <= end:
            self._move(start, start + len(needle))
            found = self._window.find(needle, start - self._base, end - self._base)
            if found >= 0:
                return self._base + found
            start = self._base + len(self._window) - len(needle) + 1
        return -1

    def count(self, needle: bytes, start: int, end: int, /) -> int:
        """How often one octet stands between `start` and `end`."""
        total = 0
        end = min(end, len(self._octets))
        while start < end:
            self._move(start, start + 1)
            total += self._window.count(needle, start - self._base, end - self._base)
            start = self._base + len(self._window)
        return total

    def __getitem__(self, part: slice, /) -> bytes:
        start, end, _ = part.indices(len(self._octets))
        if start >= end:
            return b""
        if end - start > WINDOW:
            return bytes(self._octets[start:end])
        self._move(start, end)
        return self._window[start - self._base : end - self._base]

    def _move(self, start: int, end: int) -> None:
        """Have the octets from `start` to `end` (no more than a window) in the window."""
        if start < self._base or end > self._base + len(self._window):
            self._base = start
            self._window = bytes(self._octets[start : start + WINDOW])
