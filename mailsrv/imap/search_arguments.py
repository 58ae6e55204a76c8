"""SEARCH, SORT, THREAD and ESEARCH with their options (RFC 9051 section 6.4.4, RFC 4731, RFC 5182, RFC 5256, RFC 5957,
RFC 5267 section 3, RFC 7377, RFC 9394).

Diagnostics: readers raise GrammarError with what was expected, and Refusal for a charset that is not read here; where
the result was to be saved, `refused` tells that instead, for it changes what is saved (RFC 9051 section 6.4.4.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mailsrv.imap.answers import Refusal, Status, Word, bad
from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter, read_filter
from mailsrv.imap.partial import PartialRange, read_partial_range
from mailsrv.imap.search_grammar import read_keys
from mailsrv.imap.search_keys import Everything, Key
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor

MAX_CRITERIA = 20
MAX_SOURCES = 100


@dataclass(frozen=True, slots=True)
class Returns:
    """RETURN (...): what is told of the result. `RETURN ()` is ALL (RFC 4731 section 3.1)."""

    minimum: bool = False
    maximum: bool = False
    all: bool = False
    count: bool = False
    save: bool = False
    partial: PartialRange | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH and UID SEARCH. `returns` is None where the client did not say: SEARCH or ESEARCH ALL is the answer.
    `refused`: the answer where the result was to be saved and the keys cannot be read; so in the others below."""

    key: Key
    returns: Returns | None = None
    uid: bool = False
    refused: Status | None = None


class SortKey(Enum):
    """What SORT goes by (RFC 5256 section 3, RFC 5957)."""

    ARRIVAL = b"ARRIVAL"
    CC = b"CC"
    DATE = b"DATE"
    FROM = b"FROM"
    SIZE = b"SIZE"
    SUBJECT = b"SUBJECT"
    TO = b"TO"
    DISPLAYFROM = b"DISPLAYFROM"
    DISPLAYTO = b"DISPLAYTO"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class Criterion:
    """One key, and whether it is reversed."""

    key: SortKey
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """SORT and UID SORT. `returns` is None for the answer of RFC 5256."""

    criteria: tuple[Criterion, ...]
    key: Key
    returns: Returns | None = None
    uid: bool = False
    refused: Status | None = None


class Algorithm(Enum):
    """How THREAD threads."""

    ORDEREDSUBJECT = b"ORDEREDSUBJECT"
    REFERENCES = b"REFERENCES"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class Thread:
    """THREAD and UID THREAD."""

    algorithm: Algorithm
    key: Key
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Esearch:
    """ESEARCH: a search in several mailboxes, or in the selected one where `sources` is empty. Its results are UIDs."""

    sources: tuple[MailboxFilter, ...]
    key: Key
    returns: Returns | None = None
    refused: Status | None = None


_SORT_KEYS = {key.value: key for key in SortKey}
_ALGORITHMS = {algorithm.value: algorithm for algorithm in Algorithm}
_SOURCES = frozenset(FilterKind) - {FilterKind.SELECTED_DELAYED}
_RETURNS = {b"MIN": "minimum", b"MAX": "maximum", b"ALL": "all", b"COUNT": "count", b"SAVE": "save"}
_ALL = Returns(all=True)


def read_search(cursor: Cursor, situation: Situation, uid: bool = False) -> Search:
    """SEARCH [RETURN (...)] [CHARSET charset] keys."""
    cursor.expect_space("a search key")
    returns = _try_returns(cursor)
    key, refused = _read_saved(_read_program, cursor, situation, returns)
    return Search(key, returns, uid, refused)


def _read_saved(
    read: Callable[[Cursor, Situation], Key], cursor: Cursor, situation: Situation, returns: Returns | None
) -> tuple[Key, Status | None]:
    """The keys of a search, or why they are refused where the result was to be saved."""
    try:
        return read(cursor, situation), None
    except Refusal as refusal:
        if returns is None or not returns.save or refusal.status.word is not Word.NO:
            raise
        return Everything(), refusal.status


def _read_program(cursor: Cursor, situation: Situation) -> Key:
    """[CHARSET charset] key *(SP key), and the end."""
    charset = "US-ASCII"
    if cursor.try_word(b"CHARSET"):
        if "UTF8=ACCEPT" in situation.enabled:
            raise Refusal(bad("CHARSET is not used behind ENABLE UTF8=ACCEPT"))  # RFC 6855 section 3
        cursor.expect_space("a charset")
        charset = cursor.expect_text("a charset")
        cursor.expect_space("a search key")
    key = read_keys(cursor, situation, charset)
    cursor.expect_end()
    return key


def _try_returns(cursor: Cursor) -> Returns | None:
    """[RETURN (...) SP]"""
    if not cursor.try_word(b"RETURN"):
        return None
    cursor.expect_space("a list of return options")
    options = cursor.expect_list_or_empty(_read_return, "return options", 20)
    cursor.expect_space("what comes behind the return options")
    if not options:
        return _ALL
    found = dict(options)
    partial = found.get("partial")
    if isinstance(partial, PartialRange) and "all" in found:
        raise Refusal(bad("RETURN has ALL or PARTIAL, not both"))
    named = {name: True for name in _RETURNS.values() if name in found}
    return Returns(**named, partial=partial if isinstance(partial, PartialRange) else None)


def _read_return(cursor: Cursor) -> tuple[str, bool | PartialRange]:
    start = cursor.at
    what = "MIN, MAX, ALL, COUNT, SAVE or PARTIAL"
    word = cursor.expect_word(what)
    if word == b"PARTIAL":
        return "partial", read_partial_range(cursor)
    if word not in _RETURNS:
        cursor.at = start
        raise cursor.fault(what)
    return _RETURNS[word], True


def read_sort(cursor: Cursor, situation: Situation, uid: bool = False) -> Sort:
    """SORT [RETURN (...)] (criteria) charset keys."""
    cursor.expect_space("a list of criteria")
    returns = _try_returns(cursor)
    criteria = cursor.expect_list(_read_criterion, "criteria", MAX_CRITERIA)
    key, refused = _read_saved(_read_criteria_of_messages, cursor, situation, returns)
    return Sort(criteria, key, returns, uid, refused)


def _read_criterion(cursor: Cursor) -> Criterion:
    reverse = cursor.try_word(b"REVERSE")
    if reverse:
        cursor.expect_space("a criterion")
    return Criterion(cursor.expect_choice(_SORT_KEYS, "a criterion like ARRIVAL"), reverse)


def _read_criteria_of_messages(cursor: Cursor, situation: Situation) -> Key:
    """SP charset 1*(SP key), and the end."""
    cursor.expect_space("a charset")
    charset = cursor.expect_text("a charset")
    cursor.expect_space("a search key")
    key = read_keys(cursor, situation, charset)
    cursor.expect_end()
    return key


def read_thread(cursor: Cursor, situation: Situation, uid: bool = False) -> Thread:
    """THREAD algorithm charset keys."""
    cursor.expect_space("an algorithm")
    algorithm = cursor.expect_choice(_ALGORITHMS, "ORDEREDSUBJECT or REFERENCES")
    return Thread(algorithm, _read_criteria_of_messages(cursor, situation), uid)


def read_esearch(cursor: Cursor, situation: Situation) -> Esearch:
    """ESEARCH [IN (filters)] [RETURN (...)] keys."""
    cursor.expect_space("a search key")
    sources: tuple[MailboxFilter, ...] = ()
    if cursor.try_word(b"IN"):
        cursor.expect_space("a list of mailboxes")
        sources = cursor.expect_list(_read_source, "filters", MAX_SOURCES)
        cursor.expect_space("a search key")
    returns = _try_returns(cursor)
    key, refused = _read_saved(_read_program, cursor, situation, returns)
    return Esearch(sources, key, returns, refused)


def _read_source(cursor: Cursor) -> MailboxFilter:
    return read_filter(cursor, _SOURCES)
