"""Files in the form mbox: many messages, each behind a line that begins with `From ` (RFC 4155, and mboxrd).

Read and written as a stream, whatever the size of a file or of a message. A line of a message that begins with `From `,
or with such a quoted one, gets one `>` more when it is written and loses one when it is read. A separator is believed
only behind an empty line and with a time in it, as other programs quote less carefully. Line ends stay what they are.

Diagnostics: `Mbox.letters` raises GrammarError for a file that does not begin with a separator.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsrv.errors import GrammarError
from mailsrv.mail.line_ends import by_lines
from mailsrv.mail.sent_date import read_sent_date

_PIECE = 1 << 20
_MAX_LINE = 1024  # octets of a separator
_START = b"From "
_SEPARATOR = re.compile(rb"From [^\r\n]*[0-9]:[0-9]{2}[^\r\n]*[0-9]{4}")
_QUOTED = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_TO_QUOTE = re.compile(rb"^(?=>*From )", re.MULTILINE)
_ADDRESS_LIKE = re.compile(r"[!-~]{1,254}", re.ASCII)
# The calendar has four digits for years. IMAP lets dates of the first and last day be appended that are beyond in UTC.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: when it was received as its separator says it (seconds, taken for UTC; None when it does not), and
    its octets in pieces, to be read before the next letter is asked for."""

    received: int | None
    pieces: Iterator[bytes]


class Mbox:
    """The messages of one file; `read(count)` gives its next octets, up to so many, and none at its end."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b""
        self._ended = False

    def letters(self) -> Iterator[Letter]:
        """Each message, in the file's order."""
        while not self._ended and len(self._buffer) < len(_START):
            self._fill()
            self._buffer = self._buffer.lstrip(b"\r\n")
        if self._buffer and not self._buffer.startswith(_START):
            raise GrammarError("is no mbox: its first line does not begin with `From `")
        while self._buffer:
            line = self._take_line()
            date = read_sent_date(line[len(_START) :].partition(b" ")[2])
            letter = Letter(None if date is None else date.seconds, self._unquoted())
            yield letter
            for _ in letter.pieces:  # what nobody has read
                pass

    def _fill(self) -> None:
        octets = self._read(_PIECE)
        self._ended = not octets
        self._buffer += octets

    def _take_line(self) -> bytes:
        while b"\n" not in self._buffer and not self._ended:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _unquoted(self) -> Iterator[bytes]:
        for piece, begins in by_lines(self._raw()):
            yield _substitute(_QUOTED, b"", piece, begins)

    def _raw(self) -> Iterator[bytes]:
        """The octets up to the next separator, which is at the beginning of the buffer then."""
        start = 0
        while True:
            end, following, start = self._find_separator(start)
            if following:
                piece, self._buffer = self._buffer[:end], self._buffer[following:]
                yield piece
                return
            if self._ended:
                piece, self._buffer = _without_empty_line(self._buffer), b""
                yield piece
                return
            keep = 2 * _MAX_LINE
            if len(self._buffer) > keep:
                piece, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
                start = max(start - len(piece), 1)  # at 0 nothing would be known of the line before
                yield piece
            self._fill()

    def _find_separator(self, start: int) -> tuple[int, int, int]:
        """Where the message ends, where the separator begins (0: none is there yet), and where to look on."""
        buffer = self._buffer
        while True:
            at = buffer.find(b"\n" + _START, start)
            if at < 0:
                return 0, 0, max(len(buffer) - len(_START), start)
            end = at - 1 if buffer[at - 1 : at] == b"\r" else at
            if at == 0 or end == 0 or buffer[end - 1 : end] == b"\n":
                line_end = buffer.find(b"\n", at + 1, at + _MAX_LINE)
                if line_end < 0 and not self._ended and len(buffer) < at + _MAX_LINE:
                    return 0, 0, at
                if _SEPARATOR.match(buffer, at + 1, line_end if line_end > 0 else at + _MAX_LINE):
                    return end, at + 1, 0
            start = at + 1


def quote(pieces: Iterable[bytes], sender: str, received: int, fields: bytes = b"") -> Iterator[bytes]:
    """A message, whose lines end with LF, as it stands in a file: separator, `fields` (whole lines) above its header,
    octets, empty line. `sender` is an address, or anything else for one that is not known."""
    moment = datetime.fromtimestamp(min(max(received, _FIRST), _LAST), UTC)
    date = f"{_DAYS[moment.weekday()]} {_MONTHS[moment.month - 1]} {moment.day:>2} {moment:%H:%M:%S} {moment.year:04}"
    name = sender if _ADDRESS_LIKE.fullmatch(sender) else "MAILER-DAEMON"
    yield f"From {name} {date}\n".encode() + fields
    last = b"\n"
    for piece, begins in by_lines(pieces):
        yield _substitute(_TO_QUOTE, b">", piece, begins)
        last = piece[-1:]
    yield b"\n" if last == b"\n" else b"\n\n"


def _substitute(pattern: re.Pattern[bytes], text: bytes, piece: bytes, begins: bool) -> bytes:
    if _START not in piece:
        return piece
    head = 0 if begins else piece.find(b"\n") + 1 or len(piece)
    return piece[:head] + pattern.sub(text, piece[head:])


def _without_empty_line(octets: bytes) -> bytes:
    """The end of a file's last message without the empty line behind it."""
    if octets.endswith(b"\r\n\r\n") or octets == b"\r\n":
        return octets[:-2]
    return octets[:-1] if octets.endswith(b"\n\n") or octets == b"\n" else octets
