"""The conditions of SEARCH, SORT and THREAD as a tree (RFC 9051 section 6.4.4, RFC 3501 section 6.4.4, RFC 5032, RFC
7162 section 3.1.5, RFC 8474, RFC 8514).

Says nothing about how a condition is evaluated. mailsrv.imap.search_grammar reads them, with bounds on depth and count.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from datetime import date
from enum import Enum

from mailsrv.imap.numbers import SequenceSet


class Where(Enum):
    """Where a text is looked for; the value is the search key. HEADER has a field name of its own."""

    BCC = b"BCC"
    BODY = b"BODY"
    CC = b"CC"
    FROM = b"FROM"
    SUBJECT = b"SUBJECT"
    TEXT = b"TEXT"
    TO = b"TO"

    __hash__ = object.__hash__  # members are single: by identity, in C


class DateOf(Enum):
    """Which date of a message: of its arrival, of its Date field, or when it came into this mailbox."""

    INTERNAL = b""
    SENT = b"SENT"
    SAVED = b"SAVED"

    __hash__ = object.__hash__  # members are single: by identity, in C


class Comparison(Enum):
    """How a date compares; time and zone are disregarded."""

    BEFORE = b"BEFORE"
    ON = b"ON"
    SINCE = b"SINCE"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class Everything:
    """ALL."""


@dataclass(frozen=True, slots=True)
class And:
    """Every one of `keys`, of which there are two or more."""

    keys: "tuple[Key, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """One of two, or both."""

    left: "Key"
    right: "Key"


@dataclass(frozen=True, slots=True)
class Not:
    """The others. `Not(Everything())` is nothing."""

    key: "Key"


@dataclass(frozen=True, slots=True)
class HasFlag:
    """The flag or keyword is set; UNSEEN is Not(HasFlag("\\\\Seen"))."""

    flag: str


@dataclass(frozen=True, slots=True)
class Among:
    """Message numbers, or UIDs where `uid`."""

    numbers: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class Contains:
    """A text stands somewhere, whatever its case. An empty text is everywhere."""

    where: Where
    text: str


@dataclass(frozen=True, slots=True)
class HeaderContains:
    """A field of this name has the text in it; an empty text: there is such a field."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Dated:
    """A date compares."""

    which: DateOf
    comparison: Comparison
    day: date


@dataclass(frozen=True, slots=True)
class Larger:
    """More octets than these."""

    octets: int


@dataclass(frozen=True, slots=True)
class Smaller:
    """Fewer octets than these."""

    octets: int


@dataclass(frozen=True, slots=True)
class Younger:
    """Arrived within the last `seconds` (RFC 5032)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Older:
    """Arrived at least `seconds` ago (RFC 5032)."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Modified:
    """A mod-sequence of at least this (RFC 7162 section 3.1.5); which flag the client names makes no difference."""

    modseq: int


@dataclass(frozen=True, slots=True)
class HasEmailId:
    """EMAILID (RFC 8474)."""

    id: str


@dataclass(frozen=True, slots=True)
class HasThreadId:
    """THREADID (RFC 8474)."""

    id: str


@dataclass(frozen=True, slots=True)
class SaveDateSupported:
    """The mailbox keeps save dates (RFC 8514)."""


Key = (
    Everything
    | And
    | Or
    | Not
    | HasFlag
    | Among
    | Contains
    | HeaderContains
    | Dated
    | Larger
    | Smaller
    | Younger
    | Older
    | Modified
    | HasEmailId
    | HasThreadId
    | SaveDateSupported
)
