"""What floor 4 gives the IMAP core: status responses, leave to go on, and pieces of files (RFC 9051 section 7.1).

Diagnostics: readers of commands raise Refusal with the Status that the client gets; nothing else is raised here.
"""

import re
from dataclasses import dataclass
from enum import Enum

from mailsrv.errors import MailsrvError


class Word(Enum):
    """The first word of a status response (RFC 9051 section 7.1). BAD is the core's own word: floor 4 says NO."""

    OK = b"OK"
    NO = b"NO"
    BAD = b"BAD"
    BYE = b"BYE"
    PREAUTH = b"PREAUTH"

    __hash__ = object.__hash__  # members are single: by identity, in C


_UNSAFE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Status:
    """A status response without its tag. `code` is what stands in brackets, "" for none (RFC 9051 section 7.1, RFC
    5530); `text` is for people. BYE ends the session."""

    word: Word
    text: str
    code: str = ""

    def encode(self, tag: bytes) -> bytes:
        """The line with CRLF. Characters outside printable ASCII, which a client may not expect, become `?`."""
        text = self.text if self.text.isascii() and self.text.isprintable() else _UNSAFE.sub("?", self.text)
        if self.code:
            return b"%b %b [%b] %b\r\n" % (tag, self.word.value, self.code.encode(), text.encode() or b"-")
        # A text that begins with a bracket would be read as a code.
        return b"%b %b %b\r\n" % (tag, self.word.value, text.lstrip("[ ").encode() or b"-")


def ok(text: str, code: str = "") -> Status:
    """The command is done."""
    return Status(Word.OK, text, code)


def no(text: str, code: str = "") -> Status:
    """The command is understood and cannot be done."""
    return Status(Word.NO, text, code)


def bad(text: str, code: str = "") -> Status:
    """The command is not understood, or wrong here. Only the core says this."""
    return Status(Word.BAD, text, code)


def bye(text: str, code: str = "") -> Status:
    """The session ends now."""
    return Status(Word.BYE, text, code)


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on: answers AUTHENTICATE and AuthResponse (with the challenge, not yet base64), IDLE, APPEND, REPLACE and
    MessageStart (without octets)."""

    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class Segment:
    """`length` octets of `source` from `offset`, which do not pass through the core: floor 4 puts them into the output
    with `session.send_segment`, the pump writes them from there. What a source is (a descriptor, a map) is theirs."""

    source: object
    offset: int
    length: int


Answer = Status | Continue
Output = bytes | Segment


class Refusal(MailsrvError):
    """A command whose syntax is right and that the core refuses by itself, with this Status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.text)
        self.status = status
