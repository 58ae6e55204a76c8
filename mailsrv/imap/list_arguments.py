"""LIST with its selection and return options, and LSUB (RFC 9051 section 6.3.9, RFC 5258, RFC 5819, RFC 6154, RFC 8440,
RFC 9590).

Diagnostics: readers raise GrammarError with what was expected.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mailsrv.errors import GrammarError
from mailsrv.imap.entries import read_entry
from mailsrv.imap.grammar import read_mailbox, read_pattern
from mailsrv.imap.mailbox_arguments import StatusItem, read_status_items
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor

MAX_PATTERNS = 100
MAX_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Selection:
    """Which mailboxes LIST is about. `recursive_match` comes with `subscribed` or `special_use`."""

    subscribed: bool = False
    remote: bool = False
    recursive_match: bool = False
    special_use: bool = False


@dataclass(frozen=True, slots=True)
class ListReturns:
    """What LIST tells of each mailbox, beside its name; `metadata` are entries."""

    subscribed: bool = False
    children: bool = False
    special_use: bool = False
    my_rights: bool = False
    status: tuple[StatusItem, ...] = ()
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class List:
    """LIST; `extended` where any option or more than one pattern was given, so that RFC 5258 decides, not RFC 3501."""

    reference: str
    patterns: tuple[str, ...]
    selection: Selection = field(default_factory=Selection)
    returns: ListReturns = field(default_factory=ListReturns)
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Lsub:
    """LSUB of IMAP4rev1."""

    reference: str
    pattern: str


_SELECTIONS = {
    b"SUBSCRIBED": "subscribed",
    b"REMOTE": "remote",
    b"RECURSIVEMATCH": "recursive_match",
    b"SPECIAL-USE": "special_use",
}
_PLAIN = Selection()
_PLAIN_RETURNS = ListReturns()


def read_list(cursor: Cursor, situation: Situation) -> List:
    """LIST [(selection)] reference pattern|(patterns) [RETURN (options)]."""
    cursor.expect_space("a reference")
    selection = _PLAIN
    extended = False
    if cursor.peek(b"("):
        extended = True
        selection = _read_selection(cursor)
        cursor.expect_space("a reference")
    reference = read_mailbox(cursor)
    cursor.expect_space("a pattern")
    if cursor.peek(b"("):
        extended = True
        patterns = cursor.expect_list(read_pattern, "patterns", MAX_PATTERNS)
    else:
        patterns = (read_pattern(cursor),)
    returns = _PLAIN_RETURNS
    if not cursor.at_end:
        extended = True
        cursor.expect_space("RETURN")
        if not cursor.try_word(b"RETURN"):
            raise cursor.fault("RETURN")
        cursor.expect_space("a list of return options")
        returns = ListReturns(**dict(cursor.expect_list_or_empty(_read_return, "return options", 20)))  # type: ignore[arg-type]
        cursor.expect_end()
    return List(reference, patterns, selection, returns, extended)


def _read_selection(cursor: Cursor) -> Selection:
    names = cursor.expect_list_or_empty(_read_selection_option, "selection options", 20)
    selection = Selection(**dict.fromkeys(names, True))
    if selection.recursive_match and not (selection.subscribed or selection.special_use):
        raise GrammarError("expected SUBSCRIBED beside RECURSIVEMATCH")
    return selection


def _read_selection_option(cursor: Cursor) -> str:
    return cursor.expect_choice(_SELECTIONS, "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE")


def _read_true(cursor: Cursor) -> bool:
    return True


def _read_status(cursor: Cursor) -> tuple[StatusItem, ...]:
    cursor.expect_space("a list of status items")
    return read_status_items(cursor)


def _read_metadata(cursor: Cursor) -> tuple[str, ...]:
    cursor.expect_space("a list of entries")
    return tuple(dict.fromkeys(cursor.expect_list(read_entry, "entries", MAX_ENTRIES)))


_RETURNS: dict[bytes, tuple[str, Callable[[Cursor], object]]] = {
    b"SUBSCRIBED": ("subscribed", _read_true),
    b"CHILDREN": ("children", _read_true),
    b"SPECIAL-USE": ("special_use", _read_true),
    b"MYRIGHTS": ("my_rights", _read_true),
    b"STATUS": ("status", _read_status),
    b"METADATA": ("metadata", _read_metadata),
}


def _read_return(cursor: Cursor) -> tuple[str, object]:
    name, read = cursor.expect_choice(_RETURNS, "a return option like CHILDREN")
    return name, read(cursor)


def read_lsub(cursor: Cursor, situation: Situation) -> Lsub:
    """LSUB reference pattern."""
    cursor.expect_space("a reference")
    reference = read_mailbox(cursor)
    cursor.expect_space("a pattern")
    pattern = read_pattern(cursor)
    cursor.expect_end()
    return Lsub(reference, pattern)
