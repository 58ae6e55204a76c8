"""From a tree of search keys to one SQL statement, and a test for what no column tells (RFC 9051 section 6.4.4).

Everything that columns tell is in the statement, negated keys too. Where a key needs a message's text, the statement
selects more (what the text index allows, or all), and `test` says what is left to be looked at. Nothing that a client
sent is ever part of the statement's text: it is among its values.

Diagnostics: `make_plan` raises SearchLimit for trees that are too deep for one statement.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.search_keys import Among, And, Contains, HeaderContains, Key, Not, Or, Where
from mailsrv.store import text_index
from mailsrv.store.folding import fold_needle
from mailsrv.store.search_budget import SearchLimit
from mailsrv.store.search_condition import COLUMNS, TRUE, Condition, among, combine, holds, negate, possible, told
from mailsrv.store.text_index import Candidates

MAX_SQL_DEPTH = 27  # of expressions, each in parentheses: what SQLite's parser can stack
MAX_RANGES = 16  # of a set of UIDs that stands in a statement

# Fields that have a column.
_FIELD_COLUMNS = {where.value.lower(): column for where, column in COLUMNS.items()}
_ENTRIES = {Where.TEXT: text_index.Where.BOTH, Where.BODY: text_index.Where.BODY}

# The tables of columns in a condition.
_SEARCHABLE = re.compile(r"\bs\.")
_CONTENT = re.compile(r"\bc\.")


# What is tested of the rows that the statement gives


@dataclass(frozen=True, slots=True)
class Column:
    """What the row says in its extra column of this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Uids:
    """One of these UIDs."""

    uids: NumberSet


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """The folded needle stands in the message's header or body, or in its body."""

    needle: str
    where: text_index.Where
    candidates: Candidates


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of this name (lower case) holds the folded needle; "": there is such a field."""

    field: bytes
    needle: str
    candidates: Candidates


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these."""

    tests: "tuple[Test, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    """One of these at least."""

    tests: "tuple[Test, ...]"


@dataclass(frozen=True, slots=True)
class No:
    """Not this."""

    test: "Test"


Test = Column | Uids | Text | Field | All | Any | No
# What costs least is tested first.
_COSTS = {Column: 0, Uids: 1, Field: 2, Text: 3}


@dataclass(frozen=True, slots=True)
class Plan:
    """Select `where` of the messages `m` of a mailbox, with `columns` and their values, and `test` the rows (None: all
    are right). Searchable texts are `s`, contents `c`."""

    where: Condition
    columns: tuple[Condition, ...]
    test: Test | None

    @property
    def cost(self) -> int:
        """How much is compared of each message, at most."""
        return len(self.where.values) + sum(len(column.values) for column in self.columns)

    @property
    def tables(self) -> str:
        """What is joined to the messages."""
        sql = " ".join([self.where.sql, *(column.sql for column in self.columns)])
        joins = ""
        if _SEARCHABLE.search(sql):
            joins += " LEFT JOIN searchable AS s ON s.content = m.content"
        if _CONTENT.search(sql):
            joins += " LEFT JOIN content AS c ON c.id = m.content"
        return joins


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a plan needs to know: the time in seconds, the UIDs that an Among means, the flag word of a keyword (0:
    unknown), and who may hold a text."""

    now: int
    uids: Callable[[Among], NumberSet]
    keyword: Callable[[str], int]
    find: Callable[[str, text_index.Where], Candidates]


def make_plan(key: Key, knowledge: Knowledge) -> Plan:
    """The plan for a tree of keys."""
    planner = _Planner(knowledge)
    where, test = planner.plan(key, negated=False, selects=True)
    if max([where.depth, *(column.depth for column in planner.columns)]) > MAX_SQL_DEPTH:
        raise SearchLimit("the search keys are nested too deep")
    return Plan(where, tuple(planner.columns), test)


Planned = tuple[Condition, Test | None]  # what the statement can tell (more, where there is a test), and the test


class _Planner:
    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self.columns: list[Condition] = []

    def plan(self, key: Key, negated: bool, selects: bool) -> Planned:
        """`selects`: the statement selects by the condition, so that no test repeats it."""
        if isinstance(key, Not):
            return self.plan(key.key, not negated, selects)
        if isinstance(key, And | Or):
            all_of = isinstance(key, And) is not negated
            return self._join(list(_flatten(key, negated, all_of)), selects, all_of)
        condition, test = self._leaf(key)
        if test is None:
            return negate(condition) if negated else condition, None
        return (TRUE, No(test)) if negated else (condition, test)

    def _join(self, keys: Sequence[tuple[Key, bool]], selects: bool, all_of: bool) -> Planned:
        """All of the keys, some of them negated; or one of them."""
        planned = [self.plan(key, negated, selects and all_of) for key, negated in keys]
        condition = combine([condition for condition, _ in planned], " AND " if all_of else " OR ")
        tests = [test for _, test in planned if test is not None]
        if not tests:
            return condition, None
        told = [condition for condition, test in planned if test is None]
        if told and not (selects and all_of):
            # The statement selects more than these: it tells of each row whether they hold.
            tests.append(Column(len(self.columns)))
            self.columns.append(combine(told, " AND " if all_of else " OR "))
        tests.sort(key=_cost)
        if len(tests) == 1:
            return condition, tests[0]
        return condition, All(tuple(tests)) if all_of else Any(tuple(tests))

    def _leaf(self, key: Key) -> Planned:
        if isinstance(key, Among):
            uids = self._knowledge.uids(key)
            return (TRUE, Uids(uids)) if len(uids.ranges) > MAX_RANGES else (among(uids), None)
        if isinstance(key, Contains):
            needle = fold_needle(key.text)
            if needle and key.where in _ENTRIES:
                return self._text(needle, _ENTRIES[key.where])
            return holds(COLUMNS[key.where], needle) if needle else TRUE, None
        if isinstance(key, HeaderContains):
            return self._field(key)
        return told(key, self._knowledge.now, self._knowledge.keyword), None

    def _text(self, needle: str, where: text_index.Where) -> Planned:
        candidates = self._knowledge.find(needle, where)
        return possible(candidates), Text(needle, where, candidates)

    def _field(self, key: HeaderContains) -> Planned:
        field = key.field.lower().encode("utf-8", "replace")
        needle = fold_needle(key.text)
        if needle and field in _FIELD_COLUMNS:
            return holds(_FIELD_COLUMNS[field], needle), None
        # The field's name stands in the header as well; it is looked for where there is nothing else.
        found = self._knowledge.find(needle or fold_needle(key.field), text_index.Where.HEADER)
        return possible(found), Field(field, needle, found)


def _flatten(key: Key, negated: bool, all_of: bool) -> Iterator[tuple[Key, bool]]:
    """The keys of a list, and those of such lists in it, with whether they are negated: clients nest long lists."""
    if isinstance(key, Not):
        yield from _flatten(key.key, not negated, all_of)
    elif isinstance(key, And | Or) and (isinstance(key, And) is not negated) is all_of:
        for inner in key.keys if isinstance(key, And) else (key.left, key.right):
            yield from _flatten(inner, negated, all_of)
    else:
        yield key, negated


def _cost(test: Test) -> int:
    if isinstance(test, No):
        return _cost(test.test)
    if isinstance(test, All | Any):
        return max(_cost(one) for one in test.tests)
    return _COSTS[type(test)]
