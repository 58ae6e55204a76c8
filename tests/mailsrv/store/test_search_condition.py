"""Conditions: what they select of rows, and that none of them is ever NULL."""

import sqlite3
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.search_keys import Comparison, Contains, Dated, DateOf, HasFlag, Older, Where, Younger
from mailsrv.store.search_condition import (
    COLUMNS,
    FALSE,
    TRUE,
    Condition,
    among,
    combine,
    holds,
    negate,
    possible,
    told,
)
from mailsrv.store.text_index import Candidates

NOW = 10 * 86400
DAY = date(1970, 1, 6)  # number 5


@pytest.fixture(scope="module")
def connection():
    """Messages 1 to 9, arrived at noon of their day; the last one is not computed, the one before has no date."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE message (uid, flags, modseq, size, content, received, saved)")
    connection.execute("CREATE TABLE searchable (content, sent_day, subject, sender, recipient, cc, bcc)")
    connection.execute("CREATE TABLE content (id, emailid)")
    for uid in range(1, 10):
        values = (uid, uid % 4, uid, uid * 10, uid * 100, uid * 86400 + 43200, NOW)
        connection.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        if uid < 9:
            row = (uid * 100, uid if uid < 8 else None, f"subject {uid}", "", "", "", "")
            connection.execute("INSERT INTO searchable VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    yield connection
    connection.close()


def select(connection, condition):
    statement = (
        f"SELECT uid, {condition.sql} FROM message AS m LEFT JOIN searchable AS s ON s.content = m.content"
        " LEFT JOIN content AS c ON c.id = m.content ORDER BY uid"
    )
    rows = connection.execute(statement, condition.values).fetchall()
    assert {told for _, told in rows} <= {0, 1}
    return [uid for uid, told in rows if told]


def tell(key):
    return told(key, NOW, lambda name: 0)


@pytest.mark.parametrize(
    ("key", "uids"),
    [
        (Dated(DateOf.INTERNAL, Comparison.BEFORE, DAY), [1, 2, 3, 4]),
        (Dated(DateOf.INTERNAL, Comparison.ON, DAY), [5]),
        (Dated(DateOf.INTERNAL, Comparison.SINCE, DAY), [5, 6, 7, 8, 9]),
        (Dated(DateOf.SENT, Comparison.BEFORE, DAY), [1, 2, 3, 4]),
        (Dated(DateOf.SENT, Comparison.ON, DAY), [5]),
        (Dated(DateOf.SENT, Comparison.SINCE, DAY), [5, 6, 7]),
        (Dated(DateOf.SAVED, Comparison.ON, date(1970, 1, 11)), list(range(1, 10))),
        (Dated(DateOf.SENT, Comparison.SINCE, date.min), list(range(1, 8))),
        (Dated(DateOf.INTERNAL, Comparison.BEFORE, date.max), list(range(1, 10))),
        (Younger(5 * 86400 - 43200), [5, 6, 7, 8, 9]),
        (Older(5 * 86400 - 43200), [1, 2, 3, 4, 5]),
        (HasFlag("\\Seen"), [1, 3, 5, 7, 9]),
        (HasFlag("unknown"), []),
    ],
)
def test_what_a_key_selects(connection, key, uids):
    condition = tell(key)
    others = [uid for uid in range(1, 10) if uid not in uids]
    assert select(connection, condition) == sorted(uids)
    assert select(connection, negate(condition)) == others


def test_texts(connection):
    condition = holds(COLUMNS[Where.SUBJECT], "ject 4")
    assert select(connection, condition) == [4]
    assert select(connection, negate(condition)) == [1, 2, 3, 5, 6, 7, 8, 9]


def test_every_place_that_is_no_text_of_a_message_has_a_column():
    assert set(COLUMNS) == set(Where) - {Where.TEXT, Where.BODY}
    with pytest.raises(TypeError):
        tell(Contains(Where.SUBJECT, "x"))


def test_sets(connection):
    assert select(connection, among(NumberSet([(2, 3), (9, 20)]))) == [2, 3, 9]
    assert among(NumberSet()) is FALSE


def test_who_may_hold_a_text(connection):
    candidates = Candidates(700, frozenset({300}), frozenset({500}))
    assert select(connection, possible(candidates)) == [3, 5, 8, 9]
    assert possible(Candidates()) is TRUE


@given(st.recursive(st.integers(1, 9), lambda inner: st.lists(inner, max_size=5), max_leaves=30), st.booleans())
def test_lists_are_all_or_one_of_theirs(connection, tree, all_of):
    def build(node, all_of):
        if isinstance(node, int):
            return Condition("(m.size >= ?)", (node * 10,)), lambda uid: uid >= node
        built = [build(inner, not all_of) for inner in node]
        condition = combine([condition for condition, _ in built], " AND " if all_of else " OR ")
        return condition, lambda uid: (all if all_of else any)(test(uid) for _, test in built)

    condition, test = build(tree, all_of)
    assert select(connection, condition) == [uid for uid in range(1, 10) if test(uid)]


def test_long_lists_are_shallow():
    many = combine([Condition("(m.size > ?)", (number,)) for number in range(2000)], " OR ")
    assert many.depth <= 3 + 11
    assert many.values == tuple(range(2000))
