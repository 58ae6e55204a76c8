"""Octets from the client, cut into lines; of lines that are too long only both ends are kept (RFC 9051 section 2.2).

A line ends with CRLF. One that ends with a bare LF is given with that fault, so that a person with a terminal is told
what is wrong, and nothing of it is obeyed. Every answer depends only on the octets, not on how they were split.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum

ENDLESS = 262_144  # octets: a line longer than this is no mistake any more
HEAD = 256  # octets kept of the beginning of a line that is too long: its tag and command
TAIL = 64  # and of its end: a literal that it announces


class LineFault(Enum):
    """What is wrong with a line."""

    LONG = "the line is too long"
    ENDING = "a line ends with CR and LF"
    ENDLESS = "the line has no end"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end. `octets` are all, but for LONG the first HEAD, and `tail` has the last TAIL then."""

    octets: bytes
    fault: LineFault | None = None
    tail: bytes = b""


class Input:
    """What has been received and not yet consumed."""

    __slots__ = ("_at", "_buffer", "_dropped", "_head", "_scanned", "_tail")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # octets of the buffer that are consumed
        self._scanned = 0  # octets in which no LF is
        self._dropped = 0  # octets of the present line, known to be too long, that are not kept
        self._head = b""  # its first and last octets
        self._tail = b""

    def __len__(self) -> int:
        return len(self._buffer) - self._at

    def begins_with(self, octets: bytes) -> bool:
        """Whether these come next."""
        return self._buffer.startswith(octets, self._at)

    def append(self, octets: bytes) -> None:
        """Add octets at the end. Octets that arrive when all is consumed are not copied."""
        if self._at == len(self._buffer):
            self._buffer = octets
            self._at = self._scanned = 0
        else:
            self._buffer = self._buffer[self._at :] + octets
            self._scanned -= self._at
            self._at = 0

    def take(self, count: int) -> bytes:
        """Consume at most `count` octets; `count` below 0 means all."""
        buffer, start = self._buffer, self._at
        end = len(buffer) if count < 0 else min(start + count, len(buffer))
        self._consume(end)
        return buffer[start:end]

    def take_line(self, limit: int) -> Line | None:
        """Consume one line of at most `limit` octets with its end; None when no whole line is there."""
        buffer, start = self._buffer, self._at
        end = buffer.find(b"\n", self._scanned) + 1
        if not end:
            self._scanned = len(buffer)
            if self._dropped or len(buffer) - start > limit:
                return self._drop()
            return None
        self._consume(end)
        line = buffer[start:end]
        if self._dropped or len(line) > limit:
            return self._end_long_line(line)
        if line.endswith(b"\r\n"):
            return Line(line[:-2])
        return Line(line[:-1], LineFault.ENDING)

    def _consume(self, end: int) -> None:
        """Everything before `end` is consumed. An empty buffer is let go: idle sessions hold no memory for what they
        once received."""
        if end == len(self._buffer):
            self._buffer = b""
            end = 0
        self._at = self._scanned = end

    def _drop(self) -> Line | None:
        part = self.take(-1)
        self._keep_ends(part)
        return Line(self._head, LineFault.ENDLESS) if self._dropped > ENDLESS else None

    def _keep_ends(self, part: bytes) -> None:
        if len(self._head) < HEAD:
            self._head = (self._head + part)[:HEAD]
        self._tail = (self._tail + part)[-TAIL - 2 :]
        self._dropped += len(part)

    def _end_long_line(self, part: bytes) -> Line:
        self._keep_ends(part)
        head, tail, total = self._head, self._tail, self._dropped
        self._head = self._tail = b""
        self._dropped = 0
        if total > ENDLESS:
            return Line(head, LineFault.ENDLESS)
        tail = tail[:-2] if tail.endswith(b"\r\n") else tail[:-1]
        return Line(head, LineFault.LONG, tail[-TAIL:])
