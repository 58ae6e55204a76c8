"""SEARCH, SORT and THREAD in one mailbox (RFC 9051 section 6.4.4, RFC 5256, RFC 5957): UIDs out of the index, and out
of messages where a key asks for their text.

One statement selects what columns tell; what is left is tested, what costs least first. A text is looked for in the
messages that the text index names, and in those that it does not have yet; a needle that is too short for it, in all.
What is not computed yet is computed first where a statement needs it.

Diagnostics: SearchLimit for what would cost too much; MailboxGone; StorageError when the index refuses. A message whose
file cannot be read has no text, nor has one that brings out a bug, which the operator is told.
"""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from mailsrv.errors import StorageError
from mailsrv.system.openfile import OpenFile
from mailsrv.mail.mime import Octets
from mailsrv.mail.words import decode_field
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.search_arguments import Algorithm, Criterion, SortKey
from mailsrv.imap.search_keys import Among, Key
from mailsrv.store import index as index_tables
from mailsrv.store import text_index, threads
from mailsrv.store.database import Row
from mailsrv.store.filling import Filler, read_octets
from mailsrv.store.folding import fold
from mailsrv.store.guard import read_safely
from mailsrv.store.index import Index, MailboxRow, selections
from mailsrv.store.message_text import MAX_HEADER, holds
from mailsrv.store.ready import field_values, header_of
from mailsrv.store.ready_tables import FIELDS
from mailsrv.store.refusals import MessageGone
from mailsrv.store.rows import LEAVES
from mailsrv.store.search_budget import Budget, SearchLimit
from mailsrv.store.search_plan import All, Any, Column, Field, Knowledge, No, Plan, Test, Text, Uids, make_plan
from mailsrv.store.text_index import Candidates
from mailsrv.store.threads import Message, Thread

MAX_COMPARISONS = 20_000_000  # of one statement, which nothing interrupts: 200 keys in a mailbox of 100 000 messages
_CHUNK = 200  # files between two looks at the clock
_LARGE = 1 << 20  # octets of one that takes as long

# What SORT goes by; `o` is `sortable`. Whatever is not there sorts as the empty string does.
_SORT_COLUMNS = {
    SortKey.ARRIVAL: "m.received",
    SortKey.CC: "o.cc_mailbox",
    SortKey.DATE: "coalesce(o.sent, m.received)",
    SortKey.FROM: "o.from_mailbox",
    SortKey.SIZE: "m.size",
    SortKey.SUBJECT: "o.subject",
    SortKey.TO: "o.to_mailbox",
    SortKey.DISPLAYFROM: "o.from_name",
    SortKey.DISPLAYTO: "o.to_name",
}
_SORTED = "FROM message AS m LEFT JOIN sortable AS o ON o.content = m.content WHERE m.mailbox = ?"
_THREADED = (
    "SELECT m.uid, coalesce(o.sent, m.received), coalesce(o.subject, ''), coalesce(o.is_reply, 0),"
    f" coalesce(o.message_id, ''), coalesce(o.parents, '') {_SORTED} ORDER BY m.uid"
)


class Searched(Protocol):
    """What is asked of an open mailbox (store.opened)."""

    id: int
    uidvalidity: int

    def keyword_bit(self, name: str, create: bool = False) -> int: ...

    def open_path(self, uid: int, path: str) -> OpenFile: ...


class Searcher:
    """Searches in one open mailbox, for one command. Cheap to make; used by one thread."""

    def __init__(self, index: Index, mailbox: Searched, budget: Budget | None = None) -> None:
        self._index = index
        self._filler = Filler(index)
        self._mailbox = mailbox
        self._key = index_tables.Key(mailbox.id, mailbox.uidvalidity)
        self._budget = budget or Budget(index.clock)

    def search(self, key: Key, uids: Callable[[Among], NumberSet]) -> "array[int]":
        """The UIDs of the messages that match, ascending, as an array of "I". `uids` gives the UIDs that a set of
        numbers means."""
        while True:
            row = self._index.mailbox(self._key)
            found = self._search(row, key, uids)
            # The bit of a keyword may have become another's between the plan and the rows.
            if self._index.mailbox(self._key).forgotten == row.forgotten:
                return found

    def _search(self, row: MailboxRow, key: Key, uids: Callable[[Among], NumberSet]) -> "array[int]":
        plan = make_plan(key, Knowledge(int(self._index.clock.now()), uids, self._mailbox.keyword_bit, self._find))
        if row.messages * plan.cost > MAX_COMPARISONS:
            raise SearchLimit("these are too many search keys for so many messages")
        if "searchable" in plan.tables:
            self._fill()
        if plan.test is None:
            return self._select_uids(plan)
        rows = self._select(plan)
        tester = _Tester(self._index, self._mailbox, self._budget)
        matching = tester.matching(plan.test, rows)
        return array("I", [found[0] for found in rows if found[0] in matching])

    def sort(self, uids: Sequence[int], criteria: Sequence[Criterion]) -> list[int]:
        """UIDs that a search has found, sorted; messages that are equal by all criteria by their UIDs."""
        row = self._index.mailbox(self._key)
        self._fill()
        order = "".join(
            f"{_SORT_COLUMNS[criterion.key]} {'DESC' if criterion.reverse else 'ASC'}, " for criterion in criteria
        )
        wanted = set(uids)
        rows = self._index.read(f"SELECT m.uid {_SORTED} ORDER BY {order}m.uid", (row.id,))
        self._budget.spend()
        return [uid for (uid,) in rows if uid in wanted]

    def thread(self, uids: Sequence[int], algorithm: Algorithm) -> list[Thread]:
        """UIDs that a search has found as threads."""
        row = self._index.mailbox(self._key)
        self._fill()
        wanted = set(uids)
        messages = [
            Message(uid, sent, subject, bool(is_reply), message_id, parents.split("\n") if parents else ())
            for uid, sent, subject, is_reply, message_id, parents in self._index.read(_THREADED, (row.id,))
            if uid in wanted
        ]
        self._budget.spend()
        if algorithm is Algorithm.ORDEREDSUBJECT:
            return threads.by_subject(messages)
        return threads.by_references(messages)

    def highest_modseq(self, uids: Sequence[int]) -> int:
        """The highest modseq of messages (RFC 7162 section 3.1.5), 0 of none."""
        row = self._index.mailbox(self._key)
        found = 0
        for condition, values in selections(NumberSet.of_sorted(uids)) if uids else ():
            statement = f"SELECT coalesce(max(modseq), 0) FROM message WHERE mailbox = ? AND {condition}"
            found = max(found, self._index.read(statement, (row.id, *values))[0][0])
        return found

    def _find(self, needle: str, where: text_index.Where) -> Candidates:
        self._budget.spend()
        return self._filler.texts.find(needle, where)

    def _fill(self) -> None:
        self._filler.fill_mailbox(self._key, self._budget.spend)

    def _select_uids(self, plan: Plan) -> "array[int]":
        """The UIDs that the statement selects: as one text, for a row each would cost twice as much."""
        ((text,),) = self._index.read(
            f"SELECT group_concat(m.uid) FROM message AS m{plan.tables} WHERE m.mailbox = ? AND {plan.where.sql}",
            (self._key.id, *plan.where.values),
        )
        # In the order of the table, most likely, but nothing says so.
        return array("I", sorted(map(int, text.split(",")))) if text else array("I")

    def _select(self, plan: Plan) -> list[Row]:
        """UID, content and the plan's columns of what the statement selects, by ascending UID."""
        columns = "".join(f", {column.sql}" for column in plan.columns)
        values = [value for column in plan.columns for value in column.values]
        return self._index.read(
            f"SELECT m.uid, m.content{columns} FROM message AS m{plan.tables} WHERE m.mailbox = ?"
            f" AND {plan.where.sql} ORDER BY m.uid",
            (*values, self._key.id, *plan.where.values),
        )


class _Tester:
    """What is left to be looked at, for one search."""

    def __init__(self, index: Index, mailbox: Searched, budget: Budget) -> None:
        self._index = index
        self._mailbox = mailbox
        self._budget = budget

    def matching(self, test: Test, rows: Sequence[Row]) -> set[int]:
        """The UIDs of the rows that pass."""
        match test:
            case Column():
                place = 2 + test.number
                return {row[0] for row in rows if row[place]}
            case Uids():
                uids = [row[0] for row in rows]
                return {uid for start, stop in test.uids.slices(uids) for uid in uids[start:stop]}
            case All():
                for one in test.tests:
                    passed = self.matching(one, rows)
                    rows = [row for row in rows if row[0] in passed]
                return {row[0] for row in rows}
            case Any():
                found: set[int] = set()
                for one in test.tests:
                    found |= self.matching(one, [row for row in rows if row[0] not in found])
                return found
            case No():
                return {row[0] for row in rows} - self.matching(test.test, rows)
            case Text():
                return self._with_text(test, rows)
            case Field():
                return self._with_field(test, rows)
        raise TypeError(f"{test!r} is no test")

    def _with_text(self, test: Text, rows: Sequence[Row]) -> set[int]:
        candidates = test.candidates
        found, doubtful = _judge(candidates, rows)
        if len(test.needle) > text_index.MIN_CHARACTERS:
            doubtful += found
            found = []
        body = test.where is not text_index.Where.HEADER
        header = test.where is not text_index.Where.BODY
        matching = {row[0] for row in found}
        for uid, octets in self._octets(doubtful):
            if self._is_true(partial(holds, octets, test.needle, header, body)):
                matching.add(uid)
        return matching

    def _with_field(self, test: Field, rows: Sequence[Row]) -> set[int]:
        found, doubtful = _judge(test.candidates, rows)
        doubtful += found
        headers = self._kept_fields(doubtful) if test.field in FIELDS else {}
        matching = set()
        unkept = []
        for row in doubtful:
            if (header := headers.get(row[1])) is None:
                unkept.append(row)
            elif self._is_true(partial(_has_field, header, test)):
                matching.add(row[0])
        for uid, octets in self._octets(unkept):
            if self._is_true(partial(_has_field, header_of(octets), test)):
                matching.add(uid)
        return matching

    def _is_true(self, test: Callable[[], bool]) -> bool:
        return read_safely(test, False, self._index.complain)

    def _kept_fields(self, rows: Sequence[Row]) -> dict[int, bytes]:
        """The kept fields of messages by their contents, where there are any."""
        contents = json.dumps([row[1] for row in rows])
        found = self._index.read(
            "SELECT content, fields FROM ready WHERE content IN (SELECT value FROM json_each(?))"
            " AND fields IS NOT NULL",
            (contents,),
        )
        return {content: bytes(fields) for content, fields in found}

    def _octets(self, rows: Sequence[Row]) -> Iterator[tuple[int, Octets]]:
        """The UIDs and octets of messages, as far as they can be read."""
        for start in range(0, len(rows), _CHUNK):
            uids = [row[0] for row in rows[start : start + _CHUNK]]
            self._budget.spend(len(uids))
            places = self._index.read(
                "SELECT uid, leaf, base, tail FROM message WHERE mailbox = ?"
                " AND uid IN (SELECT value FROM json_each(?))",
                (self._mailbox.id, json.dumps(uids)),
            )
            for uid, leaf, base, tail in places:
                try:
                    octets = read_octets(self._mailbox.open_path(uid, f"{LEAVES[leaf]}/{base}{tail}"))
                except (StorageError, MessageGone):
                    continue
                if len(octets) > _LARGE:
                    self._budget.spend()
                yield uid, octets


def _judge(candidates: Candidates, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Which rows the text index names, and which it does not have or has not whole."""
    named, doubtful = [], []
    covered, contents, partial = candidates.covered, candidates.contents, candidates.partial
    for row in rows:
        content = row[1]
        if content > covered or content in partial:
            doubtful.append(row)
        elif content in contents:
            named.append(row)
    return named, doubtful


def _has_field(header: bytes, test: Field) -> bool:
    values: Iterable[bytes] = field_values(header[:MAX_HEADER], test.field)
    if not test.needle:
        return any(True for _ in values)
    return any(test.needle in fold(decode_field(value)) for value in values)
