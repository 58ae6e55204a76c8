"""Octets from the client, cut into command lines; where CR, LF or NUL stand wrongly is found here, for messages too.

A line ends with CRLF and nothing else: a bare CR, a bare LF, a NUL or a line without end is a framing fault, behind
which nothing may be parsed, because another program may see other commands there (SMTP smuggling; RFC 5321 sections
2.3.8 and 4.1.1.4). Lines that are merely too long are consumed and reported; the octets of such a line are dropped as
they come. Every answer depends only on the octets, not on how they were split.

Diagnostics: raises FramingError, which the session turns into its last reply.
"""

import re

from mailsrv.errors import GrammarError

ENDLESS = 65536  # octets: a command line longer than this is no mistake any more

_FAULT = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_KINDS = {b"\r": "bare CR", b"\n": "bare LF", b"\0": "NUL"}


class FramingError(GrammarError):
    """A framing fault; its text is the kind. `offset` counts the sound octets before it."""

    def __init__(self, kind: str, offset: int = 0) -> None:
        super().__init__(kind)
        self.kind = kind
        self.offset = offset


def is_sound(octets: bytes) -> bool:
    """True when every CR and LF stands in a CRLF and no NUL is there. `octets` must not end with half a CRLF.

    On the way of every message: replace and find run in C at 1 ns an octet, a pattern at 40.
    """
    rest = octets.replace(b"\r\n", b"")
    return b"\n" not in rest and b"\r" not in rest and b"\0" not in rest


def find_fault(octets: bytes) -> FramingError | None:
    """The first framing fault, exactly; None when there is none."""
    match = _FAULT.search(octets)
    return FramingError(_KINDS[match[0]], match.start()) if match else None


class Input:
    """What has been received and not yet consumed."""

    __slots__ = ("_at", "_buffer", "_dropped", "_scanned")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # octets of the buffer that are consumed
        self._scanned = 0  # octets in which no LF is
        self._dropped = 0  # octets of the present line, known to be too long, that are not kept

    def __len__(self) -> int:
        return len(self._buffer) - self._at

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

    def give_back(self, octets: bytes) -> None:
        """Put octets back that were taken too much. Only right after `take` of everything."""
        self._buffer = octets
        self._at = self._scanned = 0

    def take_line(self, limit: int, auth_limit: int) -> tuple[bytes, bool] | None:
        """Consume one line: its octets without CRLF, and whether it is too long (then the octets are not all there).

        None when no whole line is there. `limit` and `auth_limit` count octets with CRLF; the second is for lines that
        begin with AUTH. Raises FramingError.
        """
        buffer, start = self._buffer, self._at
        end = buffer.find(b"\n", self._scanned) + 1
        if not end:
            self._scanned = len(buffer)
            if len(buffer) - start > limit or self._dropped:
                self._drop(limit, auth_limit)
            return None
        self._consume(end)
        line = buffer[start:end]
        total = self._dropped + len(line)
        if not line.endswith(b"\r\n") or total > limit or line.find(b"\r") != len(line) - 2 or b"\0" in line:
            self._check(line)
        too_long = total > (auth_limit if line[:5].upper() == b"AUTH " and not self._dropped else limit)
        self._dropped = 0
        return line[:-2], too_long or total != len(line)

    def _consume(self, end: int) -> None:
        """Everything before `end` is consumed. An empty buffer is let go: idle sessions hold no memory for what they
        once received."""
        if end == len(self._buffer):
            self._buffer = b""
            end = 0
        self._at = self._scanned = end

    def _drop(self, limit: int, auth_limit: int) -> None:
        """Check the part of a line that is here, and keep none of it once the line is too long (but a last CR)."""
        part = self._buffer[self._at :]
        if not self._dropped and part[:5].upper() == b"AUTH " and len(part) <= auth_limit:
            return
        kept = part[-1:] if part.endswith(b"\r") else b""
        self._check(part if not kept else part[:-1], len(kept))
        self._dropped += len(part) - len(kept)
        self._buffer = kept
        self._at = 0
        self._scanned = len(kept)

    def _check(self, part: bytes, behind: int = 0) -> None:
        """Raise the first framing fault of `part` of a line; `behind` octets follow it that are not looked at yet."""
        room = ENDLESS - self._dropped
        fault = find_fault(part)
        if fault is not None and fault.offset < room - (len(part) > room and fault.kind == "bare CR"):
            raise fault
        if len(part) + behind > room:
            raise FramingError("endless line")
