"""Plans: one statement for what columns tell, tests for the rest, and nothing of a client's in the statement."""

import sqlite3
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap.numbers import NumberSet, SequenceSet
from mailsrv.imap.search_keys import (
    Among,
    And,
    Comparison,
    Contains,
    Dated,
    DateOf,
    Everything,
    HasEmailId,
    HasFlag,
    HasThreadId,
    HeaderContains,
    Larger,
    Modified,
    Not,
    Older,
    Or,
    SaveDateSupported,
    Smaller,
    Where,
    Younger,
)
from mailsrv.store.search_budget import SearchLimit
from mailsrv.store.search_condition import FALSE, TRUE
from mailsrv.store.search_plan import All, Any, Column, Field, Knowledge, No, Text, Uids, make_plan
from mailsrv.store.text_index import NOTHING_COVERED, Candidates

UIDS = NumberSet([(1, 3), (7, 7)])


def plan(key, find=lambda needle, where: NOTHING_COVERED, uids=UIDS):
    return make_plan(key, Knowledge(1_700_000_000, lambda among: uids, lambda name: 256 * (name == "known"), find))


SUBJECT = Contains(Where.SUBJECT, "Hello")
TEXT = Contains(Where.TEXT, "Hello")
HEADER = HeaderContains("X-Thing", "")


@pytest.mark.parametrize(
    ("key", "sql", "values"),
    [
        (Everything(), "1", ()),
        (Not(Everything()), "0", ()),
        (SaveDateSupported(), "1", ()),
        (HasFlag("\\Seen"), "(m.flags & ? <> 0)", (1,)),
        (Not(HasFlag("known")), "(NOT (m.flags & ? <> 0))", (256,)),
        (HasFlag("unknown"), "0", ()),
        (Not(HasFlag("unknown")), "1", ()),
        (Larger(5), "(m.size > ?)", (5,)),
        (Smaller(1 << 80), "(m.size < ?)", ((1 << 63) - 1,)),
        (Younger(10), "(m.received >= ?)", (1_699_999_990,)),
        (Older(10), "(m.received <= ?)", (1_699_999_990,)),
        (Modified(9), "(m.modseq >= ?)", (9,)),
        (HasEmailId("Mx"), "(c.emailid IS ?)", ("Mx",)),
        (HasThreadId("T"), "0", ()),
        (Among(SequenceSet(), True), "((m.uid BETWEEN ? AND ?) OR (m.uid BETWEEN ? AND ?))", (1, 3, 7, 7)),
        (SUBJECT, "(coalesce(instr(s.subject, ?), 0) > 0)", ("hello",)),
        (HeaderContains("FROM", "A b"), "(coalesce(instr(s.sender, ?), 0) > 0)", ("a b",)),
        (Contains(Where.TEXT, ""), "1", ()),
        (Contains(Where.TO, ""), "1", ()),
        (
            Dated(DateOf.INTERNAL, Comparison.ON, date(1970, 1, 2)),
            "(m.received >= ? AND m.received < ?)",
            (86400, 172800),
        ),
        (Dated(DateOf.SAVED, Comparison.BEFORE, date(1970, 1, 2)), "(m.saved < ?)", (86400,)),
        (Dated(DateOf.SENT, Comparison.SINCE, date(1970, 1, 2)), "(coalesce(s.sent_day >= ?, 0))", (1,)),
        (
            And((HasFlag("\\Seen"), Or(Larger(1), Smaller(2)))),
            "((m.flags & ? <> 0) AND ((m.size > ?) OR (m.size < ?)))",
            (1, 1, 2),
        ),
        (Not(Or(Larger(1), Smaller(2))), "((NOT (m.size > ?)) AND (NOT (m.size < ?)))", (1, 2)),
        (Not(And((Larger(1), Everything()))), "(NOT (m.size > ?))", (1,)),
        (Or(Larger(1), Everything()), "1", ()),
        (And((Larger(1), Not(Everything()))), "0", ()),
    ],
)
def test_what_columns_tell_is_in_the_statement(key, sql, values):
    found = plan(key)
    assert (found.where.sql, found.where.values, found.columns, found.test) == (sql, values, (), None)


def test_only_what_is_needed_is_joined():
    assert plan(Larger(1)).tables == ""
    assert plan(SUBJECT).tables == " LEFT JOIN searchable AS s ON s.content = m.content"
    assert plan(Contains(Where.CC, "x")).tables == " LEFT JOIN searchable AS s ON s.content = m.content"
    assert plan(HasEmailId("M")).tables == " LEFT JOIN content AS c ON c.id = m.content"
    assert plan(Or(And((TEXT, SUBJECT)), And((TEXT, HasEmailId("M"))))).tables.count("JOIN") == 2


def test_texts_are_tested_last_in_what_the_statement_selects():
    found = plan(And((TEXT, HEADER, Larger(5))))
    assert found.where.sql == "(m.size > ?)"
    assert found.columns == ()
    assert isinstance(found.test, All)
    assert [type(test) for test in found.test.tests] == [Field, Text]


def test_the_text_index_narrows_the_statement():
    found = plan(TEXT, lambda needle, where: Candidates(50, frozenset({7}), frozenset({9})))
    assert found.where.sql == "(m.content > ? OR m.content IN (SELECT value FROM json_each(?)))"
    assert found.where.values[0] == 50
    assert sorted(eval(found.where.values[1])) == [7, 9]
    assert plan(Not(TEXT), lambda needle, where: Candidates(50)).where is TRUE
    many = Candidates(1 << 20, frozenset(range(60_000)))
    assert plan(TEXT, lambda needle, where: many).where is TRUE


def test_under_or_the_statement_tells_of_each_row_what_it_knows():
    found = plan(Or(And((TEXT, Larger(5))), HasFlag("\\Seen")))
    assert found.where is not FALSE
    assert [column.sql for column in found.columns] == ["(m.size > ?)", "(m.flags & ? <> 0)"]
    assert isinstance(found.test, Any)
    assert Column(1) in found.test.tests
    (both,) = (test for test in found.test.tests if isinstance(test, All))
    assert both.tests[0] == Column(0)


def test_what_is_negated_is_tested_of_all():
    found = plan(Not(Or(TEXT, Larger(5))))
    assert found.where.sql == "(NOT (m.size > ?))"
    assert isinstance(found.test, No)


def test_a_set_of_many_ranges_is_tested():
    uids = NumberSet([(number, number) for number in range(1, 100, 2)])
    assert plan(Among(SequenceSet(), False), uids=uids).test == Uids(uids)
    assert plan(Not(Among(SequenceSet(), False)), uids=NumberSet()).where is TRUE


def test_long_lists_are_no_deep_trees():
    found = plan(And(tuple(Larger(number) for number in range(2000))))
    assert found.where.depth < 20


def test_what_is_too_deep_is_refused():
    deepest = 0
    for leaf in (Larger(1), SUBJECT, TEXT, Dated(DateOf.SENT, Comparison.ON, date(2020, 1, 1))):
        key = leaf
        for level in range(100):
            key = Or(Smaller(2), key) if level % 2 else And((HasFlag("\\Seen"), Not(SUBJECT), key))
            try:
                run(plan(key))
            except SearchLimit:
                break
        else:
            pytest.fail("nothing is too deep")
        deepest = max(deepest, level)
    assert deepest >= 10


def test_nested_lists_of_one_kind_are_one_list():
    key = negated = Larger(1)
    for number in range(48):
        key = Or(Smaller(number), key)
        negated = Not(And((Smaller(number), Not(negated))))
    assert plan(key).where.depth < 10
    assert plan(negated).where.depth < 12
    run(plan(And((key, Not(negated)))))


LEAVES = st.one_of(
    st.sampled_from([Everything(), SaveDateSupported(), HEADER, TEXT, SUBJECT, HasThreadId("x")]),
    st.builds(HasFlag, st.sampled_from(["\\Seen", "known", "unknown", "'; --"])),
    st.builds(Contains, st.sampled_from(Where), st.text(max_size=5)),
    st.builds(HeaderContains, st.sampled_from(["Subject", "x'); DROP", "To"]), st.text(max_size=5)),
    st.builds(Dated, st.sampled_from(DateOf), st.sampled_from(Comparison), st.dates()),
    st.builds(Larger, st.integers(0, 1 << 70)),
    st.builds(HasEmailId, st.sampled_from(["M'", "x"])),
    st.builds(Modified, st.integers(0, 1 << 64)),
    st.just(Among(SequenceSet(), True)),
)
KEYS = st.recursive(
    LEAVES,
    lambda keys: st.one_of(
        st.builds(Not, keys),
        st.builds(Or, keys, keys),
        st.builds(And, st.lists(keys, min_size=2, max_size=5).map(tuple)),
    ),
    max_leaves=40,
)
TABLES = (
    "CREATE TABLE message (mailbox, uid, flags, modseq, size, content, received, saved)",
    "CREATE TABLE searchable (content, sent_day, subject, sender, recipient, cc, bcc)",
    "CREATE TABLE content (id, emailid)",
)


def run(found):
    """Let SQLite read the statement of a plan."""
    connection = sqlite3.connect(":memory:")
    for table in TABLES:
        connection.execute(table)
    columns = "".join(f", {column.sql}" for column in found.columns)
    values = [value for column in found.columns for value in column.values]
    statement = f"SELECT m.uid{columns} FROM message AS m{found.tables} WHERE {found.where.sql}"
    connection.execute(statement, [*values, *found.where.values]).fetchall()
    connection.close()
    return statement


@given(KEYS)
def test_any_tree_is_a_statement_without_a_clients_text(key):
    statement = run(plan(key))
    assert "'" not in statement and "DROP" not in statement and ";" not in statement
