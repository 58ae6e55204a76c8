"""What FETCH may ask for, and its modifiers, as values (RFC 9051 section 6.4.5, RFC 3501 section 6.4.5, RFC 3516, RFC
7162 section 3.1.4, RFC 8474, RFC 8514, RFC 8970, RFC 9394).

Each item carries the octets that name it in the response, so that nobody has to spell them again.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.imap.numbers import SequenceSet
from mailsrv.imap.partial import PartialRange


class Item(Enum):
    """Items without arguments; the value is their name in command and response."""

    UID = b"UID"
    FLAGS = b"FLAGS"
    INTERNALDATE = b"INTERNALDATE"
    RFC822_SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    MODSEQ = b"MODSEQ"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    SAVEDATE = b"SAVEDATE"

    __hash__ = object.__hash__  # members are single: by identity, in C


class Text(Enum):
    """Which octets of a part a section means."""

    ALL = b""  # of the part (without number: the message), its header only where it is the message
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class Preview:
    """PREVIEW; `lazy`: only where it is at hand (RFC 8970 section 3.1)."""

    lazy: bool = False
    label: bytes = b"PREVIEW"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[...], BODY.PEEK[...] and the RFC822 items. `part` is () for the message; `fields` are names as they were
    sent; `partial` is (first octet from 0, count at least 1). The message becomes \\Seen unless `peek`."""

    part: tuple[int, ...]
    text: Text
    fields: tuple[bytes, ...]
    peek: bool
    partial: tuple[int, int] | None
    label: bytes


@dataclass(frozen=True, slots=True)
class Binary:
    """BINARY[...] and BINARY.PEEK[...]: the part without its transfer encoding."""

    part: tuple[int, ...]
    peek: bool
    partial: tuple[int, int] | None
    label: bytes


@dataclass(frozen=True, slots=True)
class BinarySize:
    """BINARY.SIZE[...]."""

    part: tuple[int, ...]
    label: bytes


FetchItem = Item | Preview | Section | Binary | BinarySize


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH and UID FETCH; each item once, UID first where the command is UID FETCH.

    `changed_since` is a mod-sequence or None; `vanished` comes with it and in UID FETCH only; `partial` is for UID
    FETCH.
    """

    numbers: SequenceSet
    items: tuple[FetchItem, ...]
    uid: bool = False
    changed_since: int | None = None
    vanished: bool = False
    partial: PartialRange | None = None

    @property
    def sees(self) -> bool:
        """True where the messages become \\Seen."""
        return any(isinstance(item, Section | Binary) and not item.peek for item in self.items)
