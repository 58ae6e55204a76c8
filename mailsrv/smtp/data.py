"""The octets of a message as they come: the end of DATA, dots, framing faults, size and line length (RFC 5321 section
4.5.2, RFC 3030).

Each scanner is fed octets as they arrive and gives the message's octets back, in whole pieces, never line by line.
Framing faults are raised at once; a message that is too big or has a line that is too long is read to its end and then
has a `fault`. The octets given do not depend on how the input was split, nor does anything else.

Diagnostics: `feed` and `finish` raise FramingError, after which `sound` holds the octets of the last piece before the
fault.
"""

from mailsrv.mail.reply import Reply
from mailsrv.smtp import replies
from mailsrv.smtp.lines import find_fault, is_sound

_END = b"\r\n.\r\n"
_BEGINNINGS_OF_END = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")


class _Meter:
    """Counts what is given out, and remembers what is wrong with it."""

    __slots__ = ("_limit", "_line", "_text_line", "fault", "size", "sound")

    def __init__(self, limit: int, text_line: int) -> None:
        self.size = 0  # octets of the message so far
        self.fault: Reply | None = None
        self.sound = b""
        self._limit = limit
        self._text_line = text_line
        self._line = 0  # octets of the line that the last piece left unfinished

    def _measure(self, octets: bytes) -> bytes:
        """Count a piece of the message; give what of it is within the limit of size."""
        if self._line + len(octets) > self._text_line and self.fault is None and self._has_long_line(octets):
            self.fault = replies.TEXT_LINE
        end = octets.rfind(b"\n") + 1
        self._line = len(octets) - end if end else self._line + len(octets)
        before = self.size
        self.size = before + len(octets)
        if self.size <= self._limit:
            return octets
        self.fault = replies.TOO_BIG
        return octets[: max(0, self._limit - before)]

    def _has_long_line(self, octets: bytes) -> bool:
        """True when a line is longer than the limit (with its CRLF), counting from the unfinished line before.

        Hops: from each line's begin to the last line end within the limit, so that many short lines are one hop.
        """
        start, room = 0, self._text_line - self._line
        while len(octets) - start > room:
            end = octets.rfind(b"\n", start, start + max(0, room))
            if end < 0:
                return True
            start, room = end + 1, self._text_line
        return False


class DataScanner(_Meter):
    """The octets behind DATA's 354, up to CRLF.CRLF: leading dots are removed, the ending is not part of the
    message."""

    __slots__ = ("_held", "_virtual")

    def __init__(self, limit: int, text_line: int) -> None:
        super().__init__(limit, text_line)
        # The CRLF of the DATA command counts as the one before the first line; it is not given out.
        self._held = b"\r\n"
        self._virtual = 2

    def feed(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Take octets; give octets of the message, and what follows the end (None while it has not come)."""
        data = self._held + octets if self._held else octets
        end = data.find(_END)
        if end >= 0:
            return self._give(data[: end + 2]), data[end + 5 :]
        held = b""
        for beginning in _BEGINNINGS_OF_END:
            if data.endswith(beginning):
                held = beginning
                data = data[: -len(held)]
                break
        self._held = held
        return self._give(data), None

    def _give(self, data: bytes) -> bytes:
        """Check a piece that holds no half CRLF nor half dot, and turn it into octets of the message."""
        if not is_sound(data) and (fault := find_fault(data)):
            self.sound = self._unstuff(data[: fault.offset])
            raise fault
        return self._unstuff(data)

    def _unstuff(self, data: bytes) -> bytes:
        data = data.replace(b"\r\n.", b"\r\n")
        if self._virtual and data:
            data = data[2:]
            self._virtual = 0
        return self._measure(data)


class ChunkScanner(_Meter):
    """The octets of BDAT chunks, over all chunks of one message. A message that does not end with CRLF gets one."""

    __slots__ = ("_cr", "_open")

    def __init__(self, limit: int, text_line: int) -> None:
        super().__init__(limit, text_line)
        self._cr = b""  # a CR whose LF may come with the next octets
        self._open = False  # the last line has no CRLF yet

    def feed(self, octets: bytes) -> bytes:
        """Take octets of a chunk; give octets of the message."""
        data = self._cr + octets if self._cr else octets
        self._cr = b""
        if data.endswith(b"\r"):
            self._cr = b"\r"
            data = data[:-1]
        if not is_sound(data) and (fault := find_fault(data)):
            self.sound = self._measure(data[: fault.offset])
            raise fault
        if data:
            self._open = not data.endswith(b"\n")
        return self._measure(data)

    def finish(self) -> bytes:
        """The last chunk is complete: give the octets that are still missing."""
        self.sound = b""
        if self._cr and (fault := find_fault(self._cr)):
            raise fault
        return self._measure(b"\r\n") if self._open else b""
