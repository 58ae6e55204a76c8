"""The index: one transaction, one modseq; counters; what is forgotten."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from mailsrv.errors import StorageError
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.index import CONTENT_TABLES, SCHEMA, Delta, Key, forget_mailbox
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.values import SEEN, Operation

from tests.mailsrv.store.ground import Ground, rows, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_a_transaction_has_one_modseq(ground):
    index = ground.reader._index
    box = ground.open()
    before = box.view()[1]
    with index.write() as writing:
        assert writing.modseq == writing.modseq == before + 1
        writing.touch(box.id, NumberSet([(1, 2)]), Delta(messages=2, unseen=1, deleted=0, octets=9), 3)
        writing.touch(box.id, NumberSet([(7, 7)]))
    row = index.mailbox(Key(box.id, box.uidvalidity))
    assert (row.highestmodseq, row.messages, row.unseen, row.octets, row.uidnext) == (before + 1, 2, 1, 9, 3)
    assert index.read("SELECT modseq, uids FROM change WHERE mailbox = ?", (box.id,)) == [(before + 1, "1:2,7")]
    assert ground.reader.usage().octets == 9


def test_too_many_ranges_are_logged_as_one(ground):
    index = ground.reader._index
    box = ground.open()
    with index.write() as writing:
        writing.touch(box.id, NumberSet.of(range(1, 2000, 3)))
    assert index.read("SELECT uids FROM change") == [("1:1999",)]


def test_what_fails_is_taken_back(ground):
    index = ground.reader._index
    box = ground.open()
    before = index.mailbox(Key(box.id, box.uidvalidity))
    with pytest.raises(KeyError), index.write() as writing:
        writing.touch(box.id, NumberSet([(1, 2)]), Delta(messages=2))
        raise KeyError
    assert index.mailbox(Key(box.id, box.uidvalidity)) == before
    with index.write() as writing:
        assert writing.modseq == before.highestmodseq + 1


def test_another_uidvalidity_is_another_mailbox(ground):
    box = ground.open()
    for key in (Key(box.id, box.uidvalidity + 1), Key(box.id + 1, box.uidvalidity)):
        with pytest.raises(MailboxGone):
            ground.reader._index.mailbox(key)
        with pytest.raises(MailboxGone), ground.reader._index.write() as writing:
            writing.mailbox(key)


def test_a_forgotten_mailbox_leaves_nothing(ground):
    ground.reader.create("A")
    box, index = ground.open("A"), ground.reader._index
    ground.append(box, "one", "two", flags=8)
    box.copy(uids(1), ground.open())
    box.store_flags(uids(1), Operation.ADD, SEEN | box.keyword_bit("x", create=True))
    box.expunge(uids(2))
    with index.write() as writing:
        forget_mailbox(writing, box.directory)
    for table in ("message", "keyword", "change", "expunged"):
        assert index.read(f"SELECT 1 FROM {table} WHERE mailbox = ?", (box.id,)) == []
    assert index.read("SELECT id, copies FROM content") == [(1, 1)]
    assert index.read("SELECT octets, messages FROM account") == [(3, 1)]


def test_what_is_computed_goes_with_its_content(ground):
    box, index = ground.open(), ground.reader._index
    ground.append(box, "one", flags=8)
    with index.write() as writing:
        writing.execute("INSERT INTO ready (content, header_size) VALUES (1, 5)")
    assert rows(box, "header_size") == [(5,)]
    box.expunge()
    ground.tidy()
    assert all(index.read(f"SELECT 1 FROM {table}") == [] for table in CONTENT_TABLES)


def test_stores_of_flags_rewrite_little():
    """Neither an index by flags nor one by modseq: both make STORE of a large mailbox several times as slow."""
    assert not any("INDEX" in text and ("flags" in text or "modseq" in text) for text in SCHEMA.statements)


def test_it_is_durable(ground):
    ground.open()
    with ground.reader._index.write() as writing:
        assert writing.execute("PRAGMA synchronous").fetchall() == [(2,)]
        assert writing.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert os.stat(f"{ground.root}/index.sqlite3").st_mode & 0o777 == 0o600


def test_an_index_of_a_later_version_is_left_alone(ground):
    ground.open()
    ground.readers.close()
    with sqlite3.connect(f"{ground.root}/index.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="version 99"):
        ground.other().open("INBOX")


def test_threads_and_processes_write_at_once(ground):
    box = ground.open()
    failures = []

    def work(number):
        try:
            mine = ground.other().open("INBOX") if number % 2 else box
            for _ in range(10):
                (uid,) = ground.append(mine, str(number))
                mine.store_flags(uids(uid), Operation.ADD, SEEN)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [uid for (uid,) in rows(box, "uid")] == list(range(1, 61))
    assert box.status().unseen == 0 and ground.reader.check() == []


def test_every_table_and_column_is_in_the_manual():
    page = (Path(__file__).parents[3] / "man/mailsrv-store.5").read_text(encoding="utf-8")
    section = page[page.index(".Sh INDEX") : page.index(".Sh ADOPTION")]
    words = set(section.replace(",", " ").split())
    connection = sqlite3.connect(":memory:")
    for statement in SCHEMA.statements:
        connection.execute(statement)
    own = ("account", "mailbox", "message", "content", "keyword", "change", "expunged", "removal")
    for table in own:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        assert f".It Li {table}\n" in section
        assert table == "removal" or columns - {"uids"} <= words, table
