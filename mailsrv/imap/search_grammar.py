"""Search keys as octets say them (RFC 9051 section 6.4.4 and 9). Trees are bounded in depth and in keys.

Diagnostics: `read_keys` raises GrammarError with what was expected, and Refusal (NO [BADCHARSET]) for a charset that is
not read here or does not fit its octets.
"""

import re
from collections.abc import Callable

from mailsrv.errors import GrammarError
from mailsrv.imap import search_keys as keys
from mailsrv.imap.answers import Refusal, bad, no
from mailsrv.imap.grammar import read_date, read_keyword, read_modseq, read_set
from mailsrv.imap.numbers import MAX_NUMBER
from mailsrv.imap.search_keys import Comparison, DateOf, Key, Where
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

_EVERYTHING = keys.Everything()
_NOTHING = keys.Not(_EVERYTHING)
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}(?![^ )])")
_ENTRY_TYPES = (b"PRIV", b"SHARED", b"ALL")


class Reader:
    """A reader of search keys, with what it needs and what it counts."""

    __slots__ = ("codec", "count", "cursor", "depth", "uid_only")

    def __init__(self, cursor: Cursor, situation: Situation, charset: str) -> None:
        codec = CHARSETS.get(charset.upper())
        if codec is None:
            raise Refusal(no("this charset is not read here", "BADCHARSET (UTF-8 US-ASCII)"))
        self.cursor = cursor
        self.codec = codec
        self.uid_only = situation.uid_only
        self.count = self.depth = 0

    def read_all(self) -> Key:
        """key *(SP key): all of them must hold."""
        found = [self.read()]
        while self.cursor.try_octets(b" "):
            found.append(self.read())
        return found[0] if len(found) == 1 else keys.And(tuple(found))

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
        return keys.Among(read_set(cursor), uid=False)

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise GrammarError(f"expected search keys at most {MAX_DEPTH} levels deep")

    def read_not(self) -> Key:
        """NOT key."""
        self._descend()
        key = self.read()
        self.depth -= 1
        return key.key if isinstance(key, keys.Not) else keys.Not(key)

    def read_or(self) -> Key:
        """OR key key."""
        self._descend()
        left = self.read()
        self.cursor.expect_space("another search key")
        right = self.read()
        self.depth -= 1
        return keys.Or(left, right)

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
        return keys.HeaderContains(field, self.read_text())

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
        return keys.Modified(read_modseq(cursor))

    def read_object_id(self) -> str:
        """An object identifier (RFC 8474 section 7)."""
        return self.cursor.expect_pattern(_OBJECT_ID, "an object identifier").decode()

    def read_age(self) -> int:
        """Seconds, at least 1."""
        return self.cursor.expect_number("a number of seconds", 1, MAX_NUMBER)


def read_keys(cursor: Cursor, situation: Situation, charset: str = "UTF-8") -> Key:
    """search-key *(SP search-key), up to where no more follow."""
    return Reader(cursor, situation, charset).read_all()


_SIMPLE: dict[bytes, Key] = {
    b"ALL": _EVERYTHING,
    b"SAVEDATESUPPORTED": keys.SaveDateSupported(),
    # No message is ever recent here (RFC 9051 appendix E): RECENT and NEW find nothing, OLD finds all.
    b"NEW": _NOTHING,
    b"RECENT": _NOTHING,
    b"OLD": _EVERYTHING,
}
for _name in ("Answered", "Deleted", "Draft", "Flagged", "Seen"):
    _SIMPLE[_name.upper().encode()] = keys.HasFlag(f"\\{_name}")
    _SIMPLE[b"UN" + _name.upper().encode()] = keys.Not(keys.HasFlag(f"\\{_name}"))


def _read_contains(where: Where) -> Callable[[Reader], Key]:
    return lambda it: keys.Contains(where, it.read_text())


def _read_dated(which: DateOf, comparison: Comparison) -> Callable[[Reader], Key]:
    return lambda it: keys.Dated(which, comparison, read_date(it.cursor))


_READERS: dict[bytes, Callable[[Reader], Key]] = {
    b"NOT": Reader.read_not,
    b"OR": Reader.read_or,
    b"HEADER": Reader.read_header,
    b"KEYWORD": lambda it: keys.HasFlag(read_keyword(it.cursor)),
    b"UNKEYWORD": lambda it: keys.Not(keys.HasFlag(read_keyword(it.cursor))),
    b"LARGER": lambda it: keys.Larger(it.cursor.expect_number("a number of octets")),
    b"SMALLER": lambda it: keys.Smaller(it.cursor.expect_number("a number of octets")),
    b"UID": lambda it: keys.Among(read_set(it.cursor), uid=True),
    b"YOUNGER": lambda it: keys.Younger(it.read_age()),
    b"OLDER": lambda it: keys.Older(it.read_age()),
    b"MODSEQ": Reader.read_modified,
    b"EMAILID": lambda it: keys.HasEmailId(it.read_object_id()),
    b"THREADID": lambda it: keys.HasThreadId(it.read_object_id()),
    **{where.value: _read_contains(where) for where in Where},
    **{which.value + comparison.value: _read_dated(which, comparison) for which in DateOf for comparison in Comparison},
}
