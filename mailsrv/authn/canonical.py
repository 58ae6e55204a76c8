"""The canonical forms of DKIM: header fields, and a body's hash (RFC 6376 section 3.4).

A body passes in blocks of any size, cut anywhere, and at the speed of the C functions that search and replace octets:
no line is ever looked at by itself. Line ends are CRLF; a bare CR or LF counts as text, as the RFC's grammar has it.
The hash is SHA-256, the only one that is trusted still (RFC 8301 section 3.1).

Diagnostics: `CanonicalBody.digest` raises KeyError for a length that was not announced; nothing else raises.
"""

import hashlib
from collections.abc import Iterable
from enum import Enum

_RUN = 32768  # line ends hashed at once, when there are so many


class Form(Enum):
    """A canonical form, by the word that c= has for it."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


def relax_value(value: bytes) -> bytes:
    """A field's value unfolded, with every run of space and tab as one space, and none at its ends."""
    value = value.replace(b"\r\n", b"")
    return _squeeze(value).strip(b" ")


def relax_field(name: bytes, field: bytes) -> bytes:
    """A whole field (as it stands, CRLF included) of this name (lower case) in relaxed form, with its CRLF."""
    return name + b":" + relax_value(field.partition(b":")[2]) + b"\r\n"


def _squeeze(octets: bytes) -> bytes:
    if b"\t" in octets:
        octets = octets.replace(b"\t", b" ")
    while b"  " in octets:  # a run of n spaces takes log2(n) rounds
        octets = octets.replace(b"  ", b" ")
    return octets


class CanonicalBody:
    """The SHA-256 of a body in one form, of all of it and of its beginnings. Feed it with `update`, then ask.

    `lengths` are those of the beginnings (l=), in octets of the canonical form; however many there are, every octet is
    hashed once. Once `digest` or `size` was asked, nothing more can be fed."""

    __slots__ = ("_relaxed", "_digest", "_lengths", "_beginnings", "_size", "_carry", "_ends", "_closed")

    def __init__(self, form: Form, lengths: Iterable[int] = ()) -> None:
        self._relaxed = form is Form.RELAXED
        self._digest = hashlib.sha256()
        self._lengths = sorted(set(lengths), reverse=True)  # those that are not reached yet, the next one last
        self._beginnings: dict[int, bytes] = {}
        self._size = 0
        self._carry = b""  # space, CR or both, whose meaning the next block decides
        self._ends = 0  # line ends not hashed yet: at the end of the body all but one are left out
        self._closed = False

    def update(self, block: bytes) -> None:
        """The next octets of the body."""
        octets = self._carry + block if self._carry else block
        if self._relaxed:
            octets = _squeeze(octets)
        length = len(octets) - octets.endswith(b"\r")
        if self._relaxed:
            length -= octets[length - 1 : length] == b" "
        self._carry = octets[length:]
        if self._carry:
            octets = octets[:length]
        if self._relaxed and b" \r\n" in octets:
            octets = octets.replace(b" \r\n", b"\r\n")
        length, ends = _find_end(octets)
        if length:
            self._flush_ends()
            self._hash(memoryview(octets)[:length])
        self._ends += ends

    def digest(self, length: int | None = None) -> bytes:
        """The hash of what was fed, or of its first `length` octets in canonical form: 32 octets."""
        self._close()
        return self._digest.digest() if length is None else self._beginnings[length]

    @property
    def size(self) -> int:
        """How many octets the canonical form has."""
        self._close()
        return self._size

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # In relaxed form space at the very end goes; a bare CR is text.
        if self._carry.lstrip(b" "):
            self._flush_ends()
            self._hash(self._carry)
        if self._size or not self._relaxed:  # only in simple form an empty body has a line end (section 3.4.3)
            self._hash(b"\r\n")
        for length in self._lengths:
            self._beginnings[length] = self._digest.digest()

    def _flush_ends(self) -> None:
        while self._ends:
            count = min(self._ends, _RUN)
            self._hash(b"\r\n" * count)
            self._ends -= count

    def _hash(self, octets: bytes | memoryview) -> None:
        while self._lengths and self._lengths[-1] <= self._size + len(octets):
            length = self._lengths.pop()
            octets = memoryview(octets)
            self._digest.update(octets[: length - self._size])
            octets = octets[length - self._size :]
            self._size = length
            self._beginnings[length] = self._digest.digest()
        self._digest.update(octets)
        self._size += len(octets)


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
