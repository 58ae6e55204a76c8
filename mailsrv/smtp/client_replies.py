"""Octets from a server, made into replies; the server may be hostile (RFC 5321 section 4.2, RFC 2034).

A reply is read line by line: a bare LF ends a line like CRLF, more than is worth keeping is read and dropped, and what
is kept is one line of printable text, fit for logs, journals and reports. Every result depends only on the octets, not
on how they were split.

Diagnostics: `next_reply` raises ReplyFault for what is no reply, behind which nothing can be understood.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.mail.reply import Reply

MAX_LINE = 65536 + 6  # octets of a line with code and line end: longer than that is no reply
MAX_REPLY = 1 << 20  # octets of all lines of a reply
MAX_LINES = 1000  # lines of a reply
MAX_TEXT = 2048  # octets of text that are kept
KEPT_LINE = 1024  # octets of one line that are kept
KEPT_LINES = 64  # lines of a reply that are kept: no server has more extensions

_CODE = re.compile(rb"([2-5][0-9][0-9])(?:[ -]|$)")
# Enhanced status code, RFC 3463 section 2. Some hosts put a number sign before it or a colon behind.
_ENHANCED = re.compile(r"#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[:,;]?[ ]+|[:,;]?$)")


class ReplyFault(GrammarError):
    """What came is no reply, or none that can come here; the text is the reason as a clause."""


class ReplyReader:
    """Takes octets, gives replies."""

    __slots__ = ("_buffer", "_code", "_count", "_lines", "_scanned", "_total", "lines")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer in which no LF is
        self._total = 0  # octets of the present reply before the buffer
        self._code = b""  # of the present reply's first line
        self._count = 0  # lines of the present reply before the buffer
        self._lines: list[bytes] = []
        self.lines: Sequence[bytes] = ()  # what is kept of the lines of the last reply, without code

    def append(self, octets: bytes) -> None:
        """Add octets from the server."""
        self._buffer += octets

    def clear(self) -> int:
        """Throw everything away that was not read; give how much that was."""
        count = len(self._buffer) + self._total
        self._buffer.clear()
        self._scanned = self._total = self._count = 0
        self._code = b""
        self._lines = []
        return count

    def next_reply(self) -> Reply | None:
        """The next whole reply, None when none is there. Raises ReplyFault."""
        buffer = self._buffer
        while True:
            end = buffer.find(b"\n", self._scanned) + 1
            length = end or len(buffer)
            if length > MAX_LINE:
                raise ReplyFault("the server sent a line that does not end")
            if self._total + length > MAX_REPLY:
                raise ReplyFault("the server sent a reply that does not end")
            if not end:
                self._scanned = length
                return None
            line = bytes(buffer[:end]).rstrip(b"\r\n")
            del buffer[:end]
            self._scanned = 0
            self._total += end
            if not self._code and len(line) <= KEPT_LINE and line[3:4] != b"-":  # nearly all of them
                self.lines, reply = _read_single(line)
                self._total = 0
                return reply
            if self._take(line):
                return self._finish()

    def _take(self, line: bytes) -> bool:
        """Take one line; true when it is the last one of a reply."""
        code = _read_code(line)
        if self._code and code != self._code:
            raise ReplyFault(f"the server sent a reply with two codes, {self._code.decode()} and {code.decode()}")
        self._code = code
        self._count += 1
        if self._count > MAX_LINES:
            raise ReplyFault("the server sent a reply that does not end")
        if len(self._lines) < KEPT_LINES:
            self._lines.append(line[4 : 4 + KEPT_LINE])
        return line[3:4] != b"-"

    def _finish(self) -> Reply:
        self.lines = self._lines
        code = int(self._code)
        self._lines = []
        self._code = b""
        self._total = self._count = 0
        return make_reply(code, self.lines)


def _read_code(line: bytes) -> bytes:
    match = _CODE.match(line)
    if match is None:
        raise ReplyFault(f"the server sent what is no reply: {clean(line[:80])}")
    return match[1]


@lru_cache(maxsize=128)
def _read_single(line: bytes) -> tuple[Sequence[bytes], Reply]:
    """A reply of one line. The cache holds what servers say again and again; its size is what a hostile one fills."""
    code = _read_code(line)
    return (line[4:],), make_reply(int(code), [line[4:]])


def make_reply(code: int, lines: Sequence[bytes]) -> Reply:
    """One Reply of the lines of one: the enhanced code is taken off each line, and derived when there is none."""
    if 300 <= code < 400:  # no enhanced code, RFC 2034 section 4
        return Reply(code, "", _join([clean(line) for line in lines]))
    digit = str(code)[0]  # a code of another class contradicts the reply, which decides
    enhanced, texts = "", []
    for line in lines:
        text = clean(line)
        match = _ENHANCED.match(text)
        if match is not None and match[1][0] == digit and enhanced in ("", match[1]):
            enhanced, text = match[1], text[match.end() :]
        texts.append(text)
    return Reply(code, enhanced or f"{code // 100}.0.0", _join(texts))


def clean(octets: bytes) -> str:
    """Make octets of a stranger one line of printable text: what is no UTF-8 or no printable character becomes `?`."""
    text = octets.decode("utf-8", "replace").replace("\ufffd", "?")
    if text.isprintable():
        return text.strip()
    return "".join(character if character.isprintable() else "?" for character in text).strip()


def _join(texts: list[str]) -> str:
    text = texts[0] if len(texts) == 1 else " ".join(part for part in texts if part)
    octets = text.encode()
    return text if len(octets) <= MAX_TEXT else octets[: MAX_TEXT - 3].decode("utf-8", "ignore") + "..."
