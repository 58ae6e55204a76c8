"""What a FETCH asks for as a plan: the columns of the index that it needs, the octets of a response with places for
their values, and the items that only a message's file can answer (RFC 9051 section 7.5.2).

A block of rows becomes responses column by column, so that no line of Python runs for a message whose items are all at
hand. Nothing is read or sent here.

Diagnostics: raises nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mailsrv.imap.fetch_items import FetchItem, Item, Preview, Section, Text
from mailsrv.imap.responses import date_time
from mailsrv.imap.structure import string
from mailsrv.store.ready import field_picker
from mailsrv.store.ready_tables import FIELDS
from mailsrv.imapd.flag_names import FlagNames
from mailsrv.imapd.short_structure import shorten

Column = Sequence[Any]
Make = Callable[[FlagNames, Column], Iterable[Any]]

# What is kept ready of a message; None where the file must be asked.
READY = frozenset({"envelope", "structure", "fields", "preview"})

_LAST_DAY = 253402300799 // 86400  # of the year 9999, after which dates have no form
_MINUTES = tuple(b"%02d:%02d:" % divmod(minute, 60) for minute in range(1440))
_SECONDS = tuple(b'%02d +0000"' % second for second in range(60))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How one list of items is answered.

    `columns`: to be asked of the index; the first is uid, and with `late` the second is path. `template`: a response up
    to the first of `late`, or all of it, with places for the message's number (with `uid_only`: its UID) and for
    `values`, each of one column: its place, and what makes its values out of it. `ready`: columns in which None means
    that the file must be asked, by place. `late`: items for the file; `separator`: what goes before the first of them.
    `whole`: the name under which the whole message is asked for, where that is the only one of them: what copies of
    mailboxes are made with. `header_at`, `structure_at`: places of columns that help with `late`, -1 without; with
    `ready`, a header_size of None tells that nothing was computed of the message yet.
    """

    columns: tuple[str, ...]
    template: bytes
    values: tuple[tuple[int, Make | None], ...]
    ready: tuple[tuple[int, str], ...]
    late: tuple[FetchItem, ...]
    separator: bytes
    whole: bytes
    header_at: int
    structure_at: int
    uid_only: bool
    flags: bool
    modseq: bool


@dataclass(frozen=True, slots=True)
class _Inline:
    """An item that a row answers: its octets with a place for the value, if it has one, and the column."""

    octets: bytes
    column: str = ""
    make: Make | None = None


@lru_cache(maxsize=128)
def make_plan(items: tuple[FetchItem, ...], uid_only: bool, marks: bool) -> Plan:
    """The plan for items. `marks`: the flags will be looked at before anything is told."""
    inline: list[_Inline] = []
    late: list[FetchItem] = []
    for item in items:
        if uid_only and item is Item.UID and len(items) > 1:
            continue  # RFC 9586: the response begins with it, and may not be empty
        found = _inline(item)
        if found is None:
            late.append(item)
        else:
            inline.append(found)
    columns = dict.fromkeys(["uid", *(["path"] if late else ()), *(one.column for one in inline if one.column)])
    if marks:
        columns["flags"] = None
    wholes = [item.label for item in late if isinstance(item, Section) and _is_whole(item)]
    columns |= dict.fromkeys(name for name, needs in _HINTS.items() if any(map(needs, late)))
    must = {one.column for one in inline} & READY
    if Preview(lazy=True) in items and Preview() not in items:
        must.discard("preview")
    if must:
        columns["header_size"] = None
    names = tuple(columns)
    template = b"* %d UIDFETCH (" if uid_only else b"* %d FETCH ("
    template += b" ".join([one.octets for one in inline]) + (b"" if late else b")\r\n")
    return Plan(
        names,
        template,
        tuple((names.index(one.column), one.make) for one in inline if one.column),
        tuple((at, name) for at, name in enumerate(names) if name in must),
        tuple(late),
        b" " if inline else b"",
        wholes[0] if len(wholes) == len(late) == 1 else b"",
        names.index("header_size") if "header_size" in columns else -1,
        names.index("structure") if "structure" in columns else -1,
        uid_only,
        Item.FLAGS in items,
        Item.MODSEQ in items,
    )


def _is_whole(item: Section) -> bool:
    return not item.part and item.text is Text.ALL and item.partial is None


# What a message's row tells about sections, and which items are found faster with it.
_HINTS: dict[str, Callable[[FetchItem], bool]] = {
    "header_size": lambda item: isinstance(item, Section)
    and (item.part == (1,) or not item.part and item.text is not Text.ALL),
    "structure": lambda item: isinstance(item, Section) and item.part == (1,),
}


def _inline(item: FetchItem) -> _Inline | None:
    if isinstance(item, Item):
        return _ITEMS[item]
    if isinstance(item, Preview):
        return _Inline(b"PREVIEW %b", "preview", _previews)
    if isinstance(item, Section) and item.text is Text.FIELDS and not item.part:
        if FIELDS.issuperset(map(bytes.lower, item.fields)):
            return _Inline(item.label.replace(b"%", b"%%") + b" %b", "fields", _field_maker(item))
    return None


# What values are made of columns with


def _flags(names: FlagNames, column: Column) -> Iterable[bytes]:
    texts = {word: names.text(word) for word in set(column)}
    return map(texts.__getitem__, column)


def _dates(names: FlagNames, column: Column) -> Iterable[bytes]:
    return map(date_text, column)


def date_text(seconds: int) -> bytes:
    """A date-time in quotes, in UTC; dates that have no form become the nearest that has one."""
    day, second = divmod(seconds, 86400)
    return _day(day) + _MINUTES[second // 60] + _SECONDS[second % 60]


@lru_cache(maxsize=16384)
def _day(day: int) -> bytes:
    return date_time(min(max(day, 0), _LAST_DAY) * 86400)[:13]


def _short(names: FlagNames, column: Column) -> Iterable[bytes]:
    return map(shorten, column)


def _encoded(names: FlagNames, column: Column) -> Iterable[bytes]:
    return map(str.encode, column)


def _previews(names: FlagNames, column: Column) -> Iterable[bytes]:
    return [b"NIL" if text is None else string(text.encode("utf-8", "replace")) for text in column]


def _field_maker(item: Section) -> Make:
    pick, partial = field_picker(item.fields), item.partial

    def make(names: FlagNames, column: Column) -> Iterable[bytes]:
        if partial is not None:
            return [literal(cut(pick(fields) + b"\r\n", partial)) for fields in column]
        picked = map(pick, column)
        return [b"{%d}\r\n%b\r\n" % (len(fields) + 2, fields) for fields in picked]

    return make


def literal(octets: bytes) -> bytes:
    """Octets as a literal."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def cut(octets: bytes, partial: tuple[int, int] | None) -> bytes:
    """The part that a client asks for: first octet, count."""
    return octets if partial is None else octets[partial[0] : partial[0] + partial[1]]


_ITEMS: dict[Item, _Inline] = {
    Item.UID: _Inline(b"UID %d", "uid"),
    Item.FLAGS: _Inline(b"FLAGS (%b)", "flags", _flags),
    Item.INTERNALDATE: _Inline(b"INTERNALDATE %b", "received", _dates),
    Item.RFC822_SIZE: _Inline(b"RFC822.SIZE %d", "size"),
    Item.ENVELOPE: _Inline(b"ENVELOPE %b", "envelope"),
    Item.BODY: _Inline(b"BODY %b", "structure", _short),
    Item.BODYSTRUCTURE: _Inline(b"BODYSTRUCTURE %b", "structure"),
    Item.MODSEQ: _Inline(b"MODSEQ (%d)", "modseq"),
    Item.EMAILID: _Inline(b"EMAILID (%b)", "emailid", _encoded),
    Item.THREADID: _Inline(b"THREADID NIL"),  # RFC 8474 section 5.2: threads are not kept apart from THREAD
    Item.SAVEDATE: _Inline(b"SAVEDATE %b", "saved", _dates),
}
