"""The conditions of SEARCH, SORT and THREAD as a tree (RFC 9051 section 6.4.4, RFC 3501 section 6.4.4, RFC 5032, RFC
7162 section 3.1.5, RFC 8474, RFC 8514).

Says nothing about how a condition is evaluated. Trees are bounded in depth and in keys.

Diagnostics: `read_keys` raises GrammarError with what was expected, and Refusal (NO [BADCHARSET]) for a charset that is
not read here or does not fit its octets.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal, bad, no
from mailsrv.imap.grammar import read_date, read_keyword, read_modseq, read_set
from mailsrv.imap.numbers import MAX_NUMBER, SequenceSet
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import ATOM, Cursor

MAX_DEPTH = 50  # parentheses, NOT and OR within each other
MAX_KEYS = 2000  # in one command

# Charsets that texts may come in, by the names of the standard library: text encodings all, and nothing else.
CHARSETS = {
    "US-ASCII": "ascii",
    "ASCII": "ascii",
    "UTF-8": "utf-8",
    **{f"ISO-8859-{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)},
    **{f"WINDOWS-{page}": f"cp{page}" for page in range(1250, 1259)},
    "KOI8-R": "koi8-r",
    "KOI8-U": "koi8-u",
    "ISO-2022-JP": "iso2022-jp",
    "SHIFT_JIS": "shift-jis",
    "EUC-JP": "euc-jp",
    "EUC-KR": "euc-kr",
    "GB2312": "gb2312",
    "GBK": "gbk",
    "GB18030": "gb18030",
    "BIG5": "big5",
}


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
    Everything | And | Or | Not | HasFlag | Among | Contains | HeaderContains | Dated | Larger | Smaller | Younger
    | Older | Modified | HasEmailId | HasThreadId | SaveDateSupported
)

_EVERYTHING = Everything()
_NOTHING = Not(_EVERYTHING)
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}(?![^ )])")
_ENTRY_TYPES = (b"PRIV", b"SHARED", b"ALL")


class Keys:
    """A reader of search keys, with what it needs and what it counts."""

    __slots__ = ("charset", "codec", "count", "cursor", "depth", "uid_only")

    def __init__(self, cursor: Cursor, situation: Situation, charset: str) -> None:
        codec = CHARSETS.get(charset.upper())
        if codec is None:
            raise Refusal(no("this charset is not read here", "BADCHARSET (UTF-8 US-ASCII)"))
        self.cursor = cursor
        self.codec = codec
        self.charset = charset
        self.uid_only = situation.uid_only
        self.count = self.depth = 0

    def read_all(self) -> Key:
        """key *(SP key): all of them must hold."""
        keys = [self.read()]
        while self.cursor.try_octets(b" "):
            keys.append(self.read())
        return keys[0] if len(keys) == 1 else And(tuple(keys))

    def read(self) -> Key:
        """One key."""
        self.count += 1
        if self.count > MAX_KEYS:
            raise GrammarError(f"expected at most {MAX_KEYS} search keys")
        cursor = self.cursor
        start = cursor.at
        word = cursor.try_pattern(ATOM)
        if word is not None:
            name = word.upper()
            if (simple := _SIMPLE.get(name)) is not None:
                return simple
            if (reader := _READERS.get(name)) is not None:
                cursor.expect_space("its argument")
                return reader(self)
            cursor.at = start
            if word[0] not in b"0123456789$":
                raise cursor.fault("a search key")
        elif cursor.try_octets(b"("):
            self._descend()
            found = self.read_all()
            self.depth -= 1
            cursor.expect_octets(b")", "a space or the end of the list of search keys")
            return found
        if self.uid_only and not cursor.peek(b"$"):
            raise Refusal(bad("message numbers are not used behind ENABLE UIDONLY", "UIDREQUIRED"))
        return Among(read_set(cursor), uid=False)

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise GrammarError(f"expected search keys at most {MAX_DEPTH} levels deep")

    def read_not(self) -> Key:
        """NOT key."""
        self._descend()
        key = self.read()
        self.depth -= 1
        return key.key if isinstance(key, Not) else Not(key)

    def read_or(self) -> Key:
        """OR key key."""
        self._descend()
        left = self.read()
        self.cursor.expect_space("another search key")
        right = self.read()
        self.depth -= 1
        return Or(left, right)

    def read_text(self) -> str:
        """A text in the charset of the command."""
        octets = self.cursor.expect_astring("a text")
        if octets.isascii() and self.codec != "iso2022-jp":
            return octets.decode()
        try:
            # Without a charset, clients send UTF-8 (RFC 9051 section 6.4.4); nothing else is readable as UTF-8.
            return octets.decode("utf-8" if self.codec == "ascii" else self.codec)
        except UnicodeDecodeError:
            raise Refusal(no("the text is not in its charset", "BADCHARSET (UTF-8 US-ASCII)")) from None

    def read_header(self) -> Key:
        """HEADER field text."""
        field = self.cursor.expect_text("a field name")
        self.cursor.expect_space("a text")
        return HeaderContains(field, self.read_text())

    def read_modified(self) -> Key:
        """MODSEQ [entry type] modseq."""
        cursor = self.cursor
        if cursor.peek(b'"'):
            entry = cursor.expect_string("an entry")
            if not entry.lower().startswith(b"/flags/"):
                raise cursor.fault('an entry like "/flags/\\\\seen"')
            cursor.expect_space("priv, shared or all")
            if cursor.expect_word("priv, shared or all") not in _ENTRY_TYPES:
                raise cursor.fault("priv, shared or all")
            cursor.expect_space("a mod-sequence")
        return Modified(read_modseq(cursor))

    def read_object_id(self) -> str:
        """An object identifier (RFC 8474 section 7)."""
        return self.cursor.expect_pattern(_OBJECT_ID, "an object identifier").decode()

    def read_age(self) -> int:
        """Seconds, at least 1."""
        return self.cursor.expect_number("a number of seconds", 1, MAX_NUMBER)


def read_keys(cursor: Cursor, situation: Situation, charset: str = "UTF-8") -> Key:
    """search-key *(SP search-key), up to where no more follow."""
    return Keys(cursor, situation, charset).read_all()


_SIMPLE: dict[bytes, Key] = {
    b"ALL": _EVERYTHING,
    b"SAVEDATESUPPORTED": SaveDateSupported(),
    # No message is ever recent here (RFC 9051 appendix E): RECENT and NEW find nothing, OLD finds all.
    b"NEW": _NOTHING,
    b"RECENT": _NOTHING,
    b"OLD": _EVERYTHING,
}
for _name in ("Answered", "Deleted", "Draft", "Flagged", "Seen"):
    _SIMPLE[_name.upper().encode()] = HasFlag(f"\\{_name}")
    _SIMPLE[b"UN" + _name.upper().encode()] = Not(HasFlag(f"\\{_name}"))


def _read_contains(where: Where) -> Callable[[Keys], Key]:
    return lambda keys: Contains(where, keys.read_text())


def _read_dated(which: DateOf, comparison: Comparison) -> Callable[[Keys], Key]:
    return lambda keys: Dated(which, comparison, read_date(keys.cursor))


_READERS: dict[bytes, Callable[[Keys], Key]] = {
    b"NOT": Keys.read_not,
    b"OR": Keys.read_or,
    b"HEADER": Keys.read_header,
    b"KEYWORD": lambda keys: HasFlag(read_keyword(keys.cursor)),
    b"UNKEYWORD": lambda keys: Not(HasFlag(read_keyword(keys.cursor))),
    b"LARGER": lambda keys: Larger(keys.cursor.expect_number("a number of octets")),
    b"SMALLER": lambda keys: Smaller(keys.cursor.expect_number("a number of octets")),
    b"UID": lambda keys: Among(read_set(keys.cursor), uid=True),
    b"YOUNGER": lambda keys: Younger(keys.read_age()),
    b"OLDER": lambda keys: Older(keys.read_age()),
    b"MODSEQ": Keys.read_modified,
    b"EMAILID": lambda keys: HasEmailId(keys.read_object_id()),
    b"THREADID": lambda keys: HasThreadId(keys.read_object_id()),
    **{where.value: _read_contains(where) for where in Where},
    **{
        which.value + comparison.value: _read_dated(which, comparison) for which in DateOf for comparison in Comparison
    },
}
