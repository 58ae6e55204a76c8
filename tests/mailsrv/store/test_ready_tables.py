"""The tables of what is computed: they are what the rows have, and a message's rows fit."""

import sqlite3

from mailsrv.store import ready_tables
from mailsrv.store.ready import ReadyRow, SearchRow, SortRow, compute
from tests.house.manual import find_tags


def test_each_table_has_the_columns_of_its_rows():
    connection = sqlite3.connect(":memory:")
    for statement in ready_tables.STATEMENTS:
        connection.execute(statement)
    for table, row in zip(ready_tables.TABLES, (ReadyRow, SearchRow, SortRow), strict=True):
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        assert columns[0] == "content"
        assert columns[1:] == list(row._fields)
    connection.close()


def test_whatever_is_computed_can_be_stored():
    connection = sqlite3.connect(":memory:")
    for statement in ready_tables.STATEMENTS:
        connection.execute(statement)
    rows = compute(b"Subject: =?utf-7?q?+2AA-?= \xff\0\r\nFrom: \xff\xfe <\0@\xff>\r\nDate: 1 Jan 9999\r\n\r\n\0")
    for table, row in zip(ready_tables.TABLES, rows, strict=True):
        marks = ", ".join("?" * (len(row) + 1))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", (1, *row))
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == [(1, *row)]
    connection.close()


def test_the_page_has_each_table():
    assert set(find_tags("mailsrv-store.5", "READY OCTETS")) == set(ready_tables.TABLES)


def test_field_names_are_in_lower_case():
    assert all(name == name.lower() and b" " not in name for name in ready_tables.FIELDS)
