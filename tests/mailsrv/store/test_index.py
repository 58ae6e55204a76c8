"""The index: one transaction, one modseq; counters; what is forgotten."""

import gc
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mailsrv.errors import StorageError
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.index import CONTENT_TABLES, SCHEMA, Delta, Key, forget_mailbox
from mailsrv.store.readers import Readers
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.values import SEEN, Operation
from mailsrv.system.disk import Disk

from tests.mailsrv.store.ground import Ground, rows, uids

VERSION_1 = Path(__file__).with_name("index_version_1.sql")


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_a_transaction_has_one_modseq(ground):
    index = ground.reader._index
    box = ground.open()
    before = box.view()[1]
    with index.write() as writing:
        assert writing.modseq == writing.modseq == before + 1
        delta = Delta(messages=2, unseen=1, deleted=0, octets=9)
        writing.touch(box.id, NumberSet([(1, 2)]), delta, 3)
        first = writing.count(delta, 3)
        assert writing.count(Delta(messages=1), 1) == first + 3
        assert writing.modseq == before + 1
        writing.touch(box.id, NumberSet([(7, 7)]))
    row = index.mailbox(Key(box.id, box.uidvalidity))
    assert (row.highestmodseq, row.messages, row.unseen, row.octets, row.uidnext) == (before + 1, 2, 1, 9, 3)
    assert index.read("SELECT modseq, uids FROM change WHERE mailbox = ?", (box.id,)) == [(before + 1, "1:2,7")]
    usage = ground.reader.usage()
    assert (usage.octets, usage.messages) == (9, 3)


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


def columns(connection):
    tables = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index') ORDER BY name")
    return {
        name: connection.execute(f"SELECT name, type, [notnull], pk FROM pragma_table_info('{name}')").fetchall()
        for _, name in tables.fetchall()
    }


def make_old(path):
    """Put an index of version 1 in the place of one of ours, with the same rows."""
    with closing(sqlite3.connect(f"{path}.old", isolation_level=None)) as old:
        old.executescript(VERSION_1.read_text())
        old.execute("PRAGMA journal_mode = WAL")
        old.execute("DELETE FROM account")
        old.execute("ATTACH ? AS new", (path,))
        for name, described in columns(old).items():
            if described and not name.startswith("sqlite_"):
                named = ", ".join(column for column, *_ in described)
                old.execute(f"INSERT INTO {name} ({named}) SELECT {named} FROM new.{name}")
        old.execute("UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM mailbox)")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    os.rename(f"{path}.old", path)


def test_an_index_of_version_1_is_upgraded(ground, tmp_path):
    ground.reader.create("A")
    box = ground.open()
    ground.append(box, "Subject: one\r\n\r\n", "two", flags=SEEN)
    box.copy(uids(1), ground.open("A"))
    kept = ("uid", "flags", "modseq", "size", "base", "emailid")
    before = rows(box, *kept), box.uidvalidity
    while ground.readers.filler("bob").work():
        pass
    ground.readers.close()
    gc.collect()
    path = f"{ground.root}/index.sqlite3"
    make_old(path)

    account = ground.other()
    opened = account.open("INBOX")
    assert (rows(opened, *kept), opened.uidvalidity) == before
    assert account.check() == []
    assert account._index.read("SELECT count(*) FROM ready") == [(0,)]  # computed again
    ground.append(opened, "three")
    fresh = Readers(Disk(), str(tmp_path / "other"), ground.clock, "mx").reader("bob")
    fresh.open("INBOX")
    with closing(sqlite3.connect(path)) as upgraded, closing(sqlite3.connect(fresh._index.layout.index)) as made:
        assert columns(upgraded) == columns(made)
        assert upgraded.execute("PRAGMA user_version").fetchone() == made.execute("PRAGMA user_version").fetchone()


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
