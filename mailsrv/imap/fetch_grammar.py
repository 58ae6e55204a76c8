"""FETCH as octets say it (RFC 9051 sections 6.4.5 and 9).

Clients repeat their lists of items, so short ones are read once.

Diagnostics: readers raise GrammarError with what was expected, and Refusal for modifiers that are wrong here.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.imap.answers import Refusal, bad
from mailsrv.imap.fetch_items import Binary, BinarySize, Fetch, FetchItem, Item, Preview, Section, Text
from mailsrv.imap.grammar import read_modseq, read_part, read_set
from mailsrv.imap.partial import PartialRange, read_partial_range
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor

MAX_FETCH_ITEMS = 200  # in one FETCH
MAX_FIELDS = 500  # names in one HEADER.FIELDS
_CACHED = 400  # octets of a list of items that is worth remembering

_FAST = (Item.FLAGS, Item.INTERNALDATE, Item.RFC822_SIZE)
_MACROS: dict[bytes, tuple[FetchItem, ...]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, Item.ENVELOPE),
    b"FULL": (*_FAST, Item.ENVELOPE, Item.BODY),
}
_SIMPLE: dict[bytes, FetchItem] = {
    **{item.value: item for item in Item},
    b"RFC822": Section((), Text.ALL, (), False, None, b"RFC822"),
    b"RFC822.HEADER": Section((), Text.HEADER, (), True, None, b"RFC822.HEADER"),
    b"RFC822.TEXT": Section((), Text.TEXT, (), False, None, b"RFC822.TEXT"),
}
_NAME = re.compile(rb"[A-Za-z0-9.]+")
_LIST = re.compile(rb"\([A-Za-z0-9.<>\[\] ]*(?:\([A-Za-z0-9-_ ]*\)[A-Za-z0-9.<>\[\] ]*)*\)")
_LAZY = re.compile(rb" \((?i:LAZY)(?: (?i:LAZY))*\)")
_WHAT = "an item like FLAGS or BODY[]"


def read_fetch(cursor: Cursor, situation: Situation, uid: bool = False) -> Fetch:
    """FETCH numbers items [(modifiers)]."""
    cursor.expect_space("a set of numbers")
    numbers = read_set(cursor)
    cursor.expect_space(_WHAT)
    items = read_items(cursor)
    if uid and items[0] is not Item.UID:
        items = (Item.UID, *(item for item in items if item is not Item.UID))
    if cursor.at_end:
        return Fetch(numbers, items, uid)
    cursor.expect_space("a list of modifiers")
    modifiers = _read_modifiers(cursor, situation, uid)
    cursor.expect_end()
    return Fetch(numbers, items, uid, *modifiers)


def read_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """One item, a macro, or a list of items; each once. Clients repeat their lists, so short ones are remembered."""
    match = _LIST.match(cursor.octets, cursor.at)
    if match is not None and len(match[0]) <= _CACHED:
        found, end = _remembered(match[0])
        if end == len(match[0]):
            cursor.at = match.end()
            return found
    return _read_items(cursor)


@lru_cache(maxsize=256)
def _remembered(octets: bytes) -> tuple[tuple[FetchItem, ...], int]:
    """Items and where they end; an end of 0 means: something is wrong, have it read where it stands."""
    cursor = Cursor(octets)
    try:
        return _read_items(cursor), cursor.at
    except GrammarError:
        return (), 0


def _read_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    if cursor.peek(b"("):
        return tuple(dict.fromkeys(cursor.expect_list(read_item, _WHAT, MAX_FETCH_ITEMS)))
    start = cursor.at
    name = cursor.try_pattern(_NAME)
    macro = None if name is None else _MACROS.get(name.upper())
    if macro is not None:
        return macro
    cursor.at = start
    return (read_item(cursor),)


def read_item(cursor: Cursor) -> FetchItem:
    """One item."""
    start = cursor.at
    name = cursor.expect_pattern(_NAME, _WHAT).upper()
    if cursor.peek(b"["):
        reader = _BRACKETED.get(name)
        if reader is not None:
            return reader(cursor)
    elif name == b"PREVIEW":
        return _read_preview(cursor)
    elif (item := _SIMPLE.get(name)) is not None:
        return item
    cursor.at = start
    raise cursor.fault(_WHAT)


def _read_preview(cursor: Cursor) -> Preview:
    """Other words in parentheses behind it are modifiers of the command."""
    return Preview(lazy=cursor.try_pattern(_LAZY) is not None)


def _read_section(cursor: Cursor, peek: bool) -> Section:
    cursor.expect_octets(b"[", "a section")
    part = read_part(cursor)
    text = Text.ALL
    fields: tuple[bytes, ...] = ()
    if part and cursor.try_octets(b".") or not part and not cursor.peek(b"]"):
        text, fields = _read_section_text(cursor, part)
    cursor.expect_octets(b"]", "the end of a section")
    partial = _read_partial(cursor)
    inner = b".".join([*(b"%d" % number for number in part), *([text.value] if text.value else [])])
    if fields:
        inner += b" (" + b" ".join(map(_spell_field, fields)) + b")"
    return Section(part, text, fields, peek, partial, _label(b"BODY", inner, partial))


def _read_section_text(cursor: Cursor, part: tuple[int, ...]) -> tuple[Text, tuple[bytes, ...]]:
    start = cursor.at
    text = _TEXTS.get((cursor.try_pattern(_NAME) or b"").upper())
    if text is None or text is Text.MIME and not part:
        cursor.at = start
        raise cursor.fault("HEADER, HEADER.FIELDS, TEXT or a part")
    if text not in (Text.FIELDS, Text.FIELDS_NOT):
        return text, ()
    cursor.expect_space("a list of fields")
    return text, cursor.expect_list(_read_field, "fields", MAX_FIELDS)


_TEXTS = {text.value: text for text in Text if text.value}
_FIELD = re.compile(rb"[!-9;-~]+")  # RFC 5322 section 3.6.8
_PLAIN_FIELD = re.compile(rb"[!#-'+-9;-Z^-z|}~]+")  # without what an atom may not have


def _read_field(cursor: Cursor) -> bytes:
    start = cursor.at
    name = cursor.expect_astring("a field name")
    if not _FIELD.fullmatch(name):
        cursor.at = start
        raise cursor.fault("a field name")
    return name


def _spell_field(name: bytes) -> bytes:
    if _PLAIN_FIELD.fullmatch(name) and b"%" not in name:
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _read_binary(cursor: Cursor, peek: bool) -> Binary:
    part = _read_binary_part(cursor)
    partial = _read_partial(cursor)
    return Binary(part, peek, partial, _label(b"BINARY", _spell_part(part), partial))


def _read_binary_size(cursor: Cursor) -> BinarySize:
    part = _read_binary_part(cursor)
    return BinarySize(part, _label(b"BINARY.SIZE", _spell_part(part), None))


def _read_binary_part(cursor: Cursor) -> tuple[int, ...]:
    cursor.expect_octets(b"[", "a part")
    part = read_part(cursor)
    cursor.expect_octets(b"]", "the end of a part")
    return part


def _spell_part(part: tuple[int, ...]) -> bytes:
    return b".".join([b"%d" % number for number in part])


def _label(name: bytes, inner: bytes, partial: tuple[int, int] | None) -> bytes:
    """As the response names it: only the first octet of a partial is told (RFC 9051 section 7.5.2)."""
    return b"%b[%b]<%d>" % (name, inner, partial[0]) if partial else b"%b[%b]" % (name, inner)


def _read_partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.try_octets(b"<"):
        return None
    first = cursor.expect_number("the first octet, counted from 0")
    cursor.expect_octets(b".", "a dot and a count")
    count = cursor.expect_number("a count of at least 1", 1)
    cursor.expect_octets(b">", "the end of a partial")
    return first, count


_BRACKETED: dict[bytes, Callable[[Cursor], FetchItem]] = {
    b"BODY": lambda cursor: _read_section(cursor, peek=False),
    b"BODY.PEEK": lambda cursor: _read_section(cursor, peek=True),
    b"BINARY": lambda cursor: _read_binary(cursor, peek=False),
    b"BINARY.PEEK": lambda cursor: _read_binary(cursor, peek=True),
    b"BINARY.SIZE": _read_binary_size,
}

_Modifiers = tuple[int | None, bool, PartialRange | None]


def _read_modifiers(cursor: Cursor, situation: Situation, uid: bool) -> _Modifiers:
    """(CHANGEDSINCE modseq VANISHED PARTIAL range), in any order."""
    found: dict[bytes, int | bool | PartialRange] = {}
    cursor.expect_octets(b"(", "a list of modifiers")
    while True:
        start = cursor.at
        name = cursor.expect_word("CHANGEDSINCE, VANISHED or PARTIAL")
        if name in found or name not in _MODIFIERS:
            cursor.at = start
            raise cursor.fault("CHANGEDSINCE, VANISHED or PARTIAL, each once")
        found[name] = _MODIFIERS[name](cursor)
        if not cursor.try_octets(b" "):
            break
    cursor.expect_octets(b")", "the end of the modifiers")
    since, vanished, partial = found.get(b"CHANGEDSINCE"), b"VANISHED" in found, found.get(b"PARTIAL")
    if vanished and (since is None or not uid or "QRESYNC" not in situation.enabled):
        raise Refusal(bad("VANISHED needs UID FETCH, CHANGEDSINCE and ENABLE QRESYNC"))
    if partial is not None and not uid:
        raise Refusal(bad("PARTIAL needs UID FETCH"))
    return (
        since if isinstance(since, int) else None,
        vanished,
        partial if isinstance(partial, PartialRange) else None,
    )


def _read_changed_since(cursor: Cursor) -> int:
    cursor.expect_space("a mod-sequence")
    return read_modseq(cursor)


_MODIFIERS: dict[bytes, Callable[[Cursor], int | bool | PartialRange]] = {
    b"CHANGEDSINCE": _read_changed_since,
    b"VANISHED": lambda cursor: True,
    b"PARTIAL": read_partial_range,
}
