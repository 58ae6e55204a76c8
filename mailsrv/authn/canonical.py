"""The relaxed canonical forms of DKIM: header fields and a body's hash (RFC 6376 sections 3.4.2 and 3.4.4).

A body passes in blocks of any size, cut anywhere, and at the speed of the C functions that search and replace octets:
no line is ever looked at by itself. Line ends are CRLF; a bare CR or LF counts as text, as the RFC's grammar has it.

Diagnostics: raises nothing.
"""

import hashlib

_RUN = 32768  # line ends hashed at once, when there are so many


def relax_value(value: bytes) -> bytes:
    """A field's value unfolded, with every run of space and tab as one space, and none at its ends."""
    value = value.replace(b"\r\n", b"")
    return _squeeze(value).strip(b" ")


def _squeeze(octets: bytes) -> bytes:
    if b"\t" in octets:
        octets = octets.replace(b"\t", b" ")
    while b"  " in octets:  # a run of n spaces takes log2(n) rounds
        octets = octets.replace(b"  ", b" ")
    return octets


class RelaxedBody:
    """The SHA-256 of a body in relaxed form. Feed it with `update`, then ask for `digest` once."""

    __slots__ = ("_carry", "_digest", "_ends", "_some")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._carry = b""  # space, CR or both, whose meaning the next block decides
        self._ends = 0  # line ends not hashed yet: at the end of the body all but one are left out
        self._some = False

    def update(self, block: bytes) -> None:
        """The next octets of the body."""
        octets = _squeeze(self._carry + block if self._carry else block)
        length = len(octets)
        length -= octets.endswith(b"\r")
        length -= octets[length - 1 : length] == b" "
        self._carry = octets[length:]
        if self._carry:
            octets = octets[:length]
        if b" \r\n" in octets:
            octets = octets.replace(b" \r\n", b"\r\n")
        length, ends = _find_end(octets)
        if length:
            self._flush_ends()
            self._digest.update(memoryview(octets)[:length])
            self._some = True
        self._ends += ends

    def digest(self) -> bytes:
        """The hash of what was fed: 32 octets."""
        last = self._carry.lstrip(b" ") and self._carry  # space at the very end goes, a bare CR is text
        if last:
            self._flush_ends()
            self._digest.update(last)
            self._some = True
        if self._some:
            self._digest.update(b"\r\n")
        return self._digest.digest()

    def _flush_ends(self) -> None:
        while self._ends:
            count = min(self._ends, _RUN)
            self._digest.update(b"\r\n" * count)
            self._ends -= count


def _find_end(octets: bytes) -> tuple[int, int]:
    """Where the line ends at the end of `octets` begin, and how many they are."""
    if not octets.endswith(b"\r\n"):
        return len(octets), 0
    length = len(octets.rstrip(b"\r\n"))
    tail = octets[length:]
    # Among bare CR and LF only the last unbroken row of pairs counts.
    start = max(tail.rfind(b"\r\r"), tail.rfind(b"\n\n")) + 1
    if tail[start : start + 1] == b"\n":
        start += 1
    return length + start, (len(tail) - start) // 2
