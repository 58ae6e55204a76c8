"""GETMETADATA and SETMETADATA: named entries of mailboxes and of the server (RFC 5464).

Diagnostics: readers raise GrammarError with what was expected.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.imap.grammar import read_mailbox
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor

MAX_ENTRIES = 1000  # in one command
MAX_NAME = 1024  # octets of the name of an entry

# RFC 5464 section 3.2: no wildcards, no double slash, none at the end, printable ASCII; the rest is floor 4's.
_ENTRY = re.compile(rb"(?i:/private|/shared)(?:/[^/*%\x00-\x1f\x7f-\xff]+)+")


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """GETMETADATA. `mailbox` is "" for the server; `entries` in small letters; `depth` is 0, 1 or None for infinity;
    `largest` octets of a value (MAXSIZE) or None."""

    mailbox: str
    entries: tuple[str, ...]
    depth: int | None = 0
    largest: int | None = None


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """SETMETADATA. `values` are (entry, octets), None to remove one; an entry named twice has its last value."""

    mailbox: str
    values: tuple[tuple[str, bytes | None], ...]


def read_entry(cursor: Cursor) -> str:
    """The name of an entry, in small letters (RFC 5464 section 3.2: case makes no difference)."""
    start = cursor.at
    octets = cursor.expect_astring("an entry like /private/comment")
    if len(octets) > MAX_NAME or not _ENTRY.fullmatch(octets):
        cursor.at = start
        raise cursor.fault("an entry like /private/comment")
    return octets.lower().decode()


def read_get_metadata(cursor: Cursor, situation: Situation) -> GetMetadata:
    """GETMETADATA [(options)] mailbox entries. The RFC's examples have the options behind the mailbox; so they may."""
    cursor.expect_space("a mailbox name")
    options: dict[bytes, int | None] = {}
    if cursor.peek(b"("):
        options = _read_options(cursor)
        cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_space("entries")
    if not options and cursor.peek(b"(") and not any(map(cursor.peek, _FIRST_ENTRY)):
        options = _read_options(cursor)
        cursor.expect_space("entries")
    if cursor.peek(b"("):
        entries = cursor.expect_list(read_entry, "entries", MAX_ENTRIES)
    else:
        entries = (read_entry(cursor),)
    cursor.expect_end()
    return GetMetadata(mailbox, tuple(dict.fromkeys(entries)), options.get(b"DEPTH", 0), options.get(b"MAXSIZE"))


def _read_options(cursor: Cursor) -> dict[bytes, int | None]:
    return dict(cursor.expect_list(_read_option, "options", 10))


def _read_depth(cursor: Cursor) -> int | None:
    return cursor.expect_choice(_DEPTHS, "0, 1 or infinity")[0]


def _read_size(cursor: Cursor) -> int | None:
    return cursor.expect_number("a number of octets")


_FIRST_ENTRY = (b"(/", b'("', b"({", b"(~{")
_DEPTHS: dict[bytes, tuple[int | None]] = {b"0": (0,), b"1": (1,), b"INFINITY": (None,)}
_OPTIONS: dict[bytes, Callable[[Cursor], int | None]] = {b"DEPTH": _read_depth, b"MAXSIZE": _read_size}


def _read_option(cursor: Cursor) -> tuple[bytes, int | None]:
    start = cursor.at
    name = cursor.expect_word("DEPTH or MAXSIZE")
    if name not in _OPTIONS:
        cursor.at = start
        raise cursor.fault("DEPTH or MAXSIZE")
    cursor.expect_space("its value")
    return name, _OPTIONS[name](cursor)


def read_set_metadata(cursor: Cursor, situation: Situation) -> SetMetadata:
    """SETMETADATA mailbox (entry value ...)."""
    cursor.expect_space("a mailbox name")
    mailbox = read_mailbox(cursor)
    cursor.expect_space("a list of entries and values")
    values = dict(cursor.expect_list(_read_value, "entries and values", MAX_ENTRIES))
    cursor.expect_end()
    return SetMetadata(mailbox, tuple(values.items()))


def _read_value(cursor: Cursor) -> tuple[str, bytes | None]:
    entry = read_entry(cursor)
    cursor.expect_space("a value")
    if cursor.try_nil():
        return entry, None
    value = cursor.try_string(binary=True)
    if value is None:
        raise GrammarError("expected a value: a string or NIL")
    return entry, value
