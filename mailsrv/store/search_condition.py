"""Search keys as SQL expressions: what the columns of a message tell (RFC 9051 section 6.4.4, RFC 5032, 7162, 8514).

A client's texts and numbers are values, never part of an expression. The tables are `m` (message), `s` (searchable) and
`c` (content); a message that is not computed yet has nothing to be found.

Diagnostics: raises nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.search_keys import (
    Comparison,
    Dated,
    DateOf,
    Everything,
    HasEmailId,
    HasFlag,
    HasThreadId,
    Key,
    Larger,
    Modified,
    Older,
    SaveDateSupported,
    Smaller,
    Where,
    Younger,
)
from mailsrv.store.text_index import Candidates
from mailsrv.store.values import SYSTEM_FLAGS

MAX_LISTED = 50_000  # contents that are named in a statement; of more candidates every message is tested

_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86400
_MOST = (1 << 63) - 1  # of SQLite's integers
# Columns of `searchable` that hold the text of a field.
COLUMNS = {
    Where.SUBJECT: "s.subject",
    Where.FROM: "s.sender",
    Where.TO: "s.recipient",
    Where.CC: "s.cc",
    Where.BCC: "s.bcc",
}

Value = int | str


@dataclass(frozen=True, slots=True)
class Condition:
    """An SQL expression that is 0 or 1, never NULL, with its values. `depth`: that of its tree."""

    sql: str
    values: tuple[Value, ...] = ()
    depth: int = 3


TRUE = Condition("1", (), 1)
FALSE = Condition("0", (), 1)


def told(key: Key, now: int, keyword: Callable[[str], int]) -> Condition:
    """What columns tell of a key that is no list, no set and no text; `keyword` gives the flag word of a keyword, 0 for
    an unknown one, and `now` the time in seconds."""
    match key:
        case Everything() | SaveDateSupported():
            return TRUE
        case HasFlag():
            bit = SYSTEM_FLAGS.get(key.flag) or keyword(key.flag)
            return Condition("(m.flags & ? <> 0)", (bit,)) if bit else FALSE
        case Dated():
            return dated(key)
        case Larger():
            return Condition("(m.size > ?)", (min(key.octets, _MOST),))
        case Smaller():
            return Condition("(m.size < ?)", (min(key.octets, _MOST),))
        case Younger():
            return Condition("(m.received >= ?)", (now - key.seconds,))
        case Older():
            return Condition("(m.received <= ?)", (now - key.seconds,))
        case Modified():
            return Condition("(m.modseq >= ?)", (min(key.modseq, _MOST),))
        case HasEmailId():
            return Condition("(c.emailid IS ?)", (key.id,))
        case HasThreadId():
            return FALSE  # messages have none: FETCH gives NIL
    raise TypeError(f"{key!r} is no search key")


def negate(condition: Condition) -> Condition:
    if condition is TRUE:
        return FALSE
    if condition is FALSE:
        return TRUE
    return Condition(f"(NOT {condition.sql})", condition.values, condition.depth + 1)


def combine(conditions: Sequence[Condition], word: str) -> Condition:
    """All conditions, or one of them, as a balanced tree: SQLite bounds its depth."""
    neutral, final = (TRUE, FALSE) if word == " AND " else (FALSE, TRUE)
    if any(condition is final for condition in conditions):
        return final
    left = [condition for condition in conditions if condition is not neutral]
    if not left:
        return neutral
    while len(left) > 1:
        pairs = [left[number : number + 2] for number in range(0, len(left), 2)]
        left = [_pair(pair, word) for pair in pairs]
    return left[0]


def _pair(pair: list[Condition], word: str) -> Condition:
    if len(pair) == 1:
        return pair[0]
    first, second = pair
    return Condition(
        f"({first.sql}{word}{second.sql})", first.values + second.values, max(first.depth, second.depth) + 1
    )


def holds(column: str, needle: str) -> Condition:
    """A folded text has the needle in it; a message that is not computed yet has none."""
    return Condition(f"(coalesce(instr({column}, ?), 0) > 0)", (needle,), 5)


def possible(candidates: Candidates) -> Condition:
    """The messages that may hold a text."""
    possible = candidates.contents | candidates.partial
    if not candidates.covered or len(possible) > MAX_LISTED:
        return TRUE
    listed = json.dumps(list(possible))
    return Condition(
        "(m.content > ? OR m.content IN (SELECT value FROM json_each(?)))", (candidates.covered, listed), 6
    )


def among(uids: NumberSet) -> Condition:
    ranges = [Condition("(m.uid BETWEEN ? AND ?)", pair) for pair in uids.ranges]
    return combine(ranges, " OR ")


def dated(key: Dated) -> Condition:
    day = key.day.toordinal() - _EPOCH
    if key.which is DateOf.SENT:
        # A message without a date that can be read has been sent neither before nor since any day.
        compared = {Comparison.BEFORE: "<", Comparison.ON: "=", Comparison.SINCE: ">="}[key.comparison]
        return Condition(f"(coalesce(s.sent_day {compared} ?, 0))", (day,), 4)
    column = "m.received" if key.which is DateOf.INTERNAL else "m.saved"
    first, behind = day * _DAY, (day + 1) * _DAY
    if key.comparison is Comparison.BEFORE:
        return Condition(f"({column} < ?)", (first,))
    if key.comparison is Comparison.SINCE:
        return Condition(f"({column} >= ?)", (first,))
    return Condition(f"({column} >= ? AND {column} < ?)", (first, behind), 4)
