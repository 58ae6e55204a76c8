"""verify: what is found, and what is made right."""

import gc
import os
import sqlite3
from contextlib import closing

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.values import FLAGGED, SEEN, Operation

from tests.mailsrv.store.ground import Ground, rows, text_of, uids


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    ground.reader.create("A/B", "\\Sent")
    box = ground.open()
    ground.append(box, "one", "two", flags=SEEN)
    box.copy(uids(1), ground.open("A/B"))
    ground.file("1.a.x", "three")
    return ground


def test_nothing_is_wrong(ground):
    assert ground.reader.check() == []
    assert ground.reader.repair() == ([], [])
    assert ground.open().status().messages == 3


def write(ground, statement, *values):
    with ground.reader._index.write() as writing:
        writing.execute(statement, values)


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE mailbox SET messages = messages + 1 WHERE directory = '.'", "INBOX: messages: counts 4"),
        ("UPDATE mailbox SET unseen = 77 WHERE directory = '.'", "INBOX: unseen: counts 77"),
        ("UPDATE mailbox SET deleted = 1 WHERE directory = '.A.B'", "A/B: deleted: counts 1"),
        ("UPDATE mailbox SET octets = 0 WHERE directory = '.'", "INBOX: octets: counts 0"),
        ("UPDATE mailbox SET uidnext = 2 WHERE directory = '.'", "INBOX: has UID 3, and the next is to be 2"),
        ("UPDATE mailbox SET highestmodseq = 1 WHERE directory = '.'", "the highest is said to be 1"),
        ("UPDATE account SET octets = 1", "the account counts 1 octets"),
        ("UPDATE content SET copies = 9 WHERE id = 1", "content 1 counts 9 copies, and there are 2"),
        ("DELETE FROM content WHERE id = 2", "1 messages have no content"),
        ("UPDATE message SET size = 9 WHERE uid = 2", "INBOX: UID 2: its file cur/"),
    ],
)  # fmt: skip
def test_what_is_found_is_made_right(ground, statement, complaint):
    ground.reader.adopt()
    write(ground, statement)
    assert any(complaint in text for text in ground.reader.check())
    assert any(complaint in text for text in ground.reader.repair().done)
    assert ground.reader.check() == []
    box = ground.open()
    assert sorted(text_of(box, uid) for (uid,) in rows(box, "uid")) == ["one", "three", "two"]


def test_rows_of_a_mailbox_that_is_no_more_are_no_fault_and_go(ground):
    ground.reader.adopt()
    columns = [name for _, name, *_ in ground.reader._index.read("PRAGMA table_info(mailbox)")][2:]
    write(ground, f"INSERT INTO mailbox SELECT 99, '.gone', {', '.join(columns)} FROM mailbox WHERE directory = '.A.B'")
    write(ground, "UPDATE account SET octets = octets + 3, messages = messages + 1")
    assert ground.reader.check() == []
    assert ground.reader._index.find(".gone") is None


def test_a_mailbox_without_its_directories(ground):
    box = ground.open("A/B")
    os.rmdir(f"{ground.root}/.A.B/new")
    complaint = f"A/B: has no {ground.root}/.A.B/new"
    assert ground.reader.check() == [complaint]
    assert ground.reader.repair() == ([f"repaired: {complaint}"], [])
    assert ground.reader.check() == []
    assert [text_of(box, uid) for (uid,) in rows(box, "uid")] == ["one"]


def test_an_index_within_the_index_is_made_again(ground):
    """SQLite's own index of a table is wrong: nothing is set aside for it."""
    box = ground.open()
    index = ground.reader._index
    path = index.layout.index
    ground.reader.adopt()
    ground.readers.close()
    gc.collect()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        kept = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'message_hash'").fetchone()[0]
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX message_hash ON message (hash + 1)'"
                           " WHERE name = 'message_hash'")  # fmt: skip
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("REINDEX message_hash")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'message_hash'", (kept,))
    account = ground.other()
    assert any("index.sqlite3: " in text and "message_hash" in text for text in account.check())
    assert account.check(quick=True) == []
    assert all(text.startswith("repaired: ") for text in account.repair().done)
    assert account.check() == []
    assert account.open("INBOX").uidvalidity == box.uidvalidity


def test_what_was_found_before_the_disk_refuses_is_told(ground, monkeypatch):
    ground.reader.adopt()
    write(ground, "UPDATE mailbox SET unseen = 77 WHERE directory = '.'")

    def refuse(*arguments):
        raise StorageError("the disk refuses")
        yield

    monkeypatch.setattr("mailsrv.store.verify.find_doubles", refuse)
    assert ground.reader.check() == ["INBOX: unseen: counts 77, and there are 1", "the disk refuses"]
    done, left = ground.reader.repair()
    assert done == ["repaired: INBOX: unseen: counts 77, and there are 1"]
    assert left == ["the disk refuses"]


def test_it_is_told_how_far_it_is(ground):
    counts = []
    ground.reader.check(told=counts.append)
    assert sum(counts) == 4
    ground.reader.repair(told=counts.append)
    assert sum(counts) == 8


def test_a_damaged_index_is_set_aside(ground):
    box = ground.open()
    ground.open("A/B").store_flags(uids(1), Operation.ADD, FLAGGED)
    ground.tidy()
    ground.readers.close()
    uidvalidity = box.uidvalidity
    with open(f"{ground.root}/index.sqlite3", "r+b") as file:
        file.write(b"not a database, for certain" * 50)
    for suffix in ("-wal", "-shm"):
        if os.path.exists(f"{ground.root}/index.sqlite3{suffix}"):
            os.unlink(f"{ground.root}/index.sqlite3{suffix}")
    account = ground.other()
    assert account.check() != []
    assert "set aside" in account.repair().done[0]
    assert account.check() == []
    assert account.open("INBOX").uidvalidity > uidvalidity
    assert rows(account.open("A/B"), "flags") == [(SEEN | FLAGGED,)]
    assert account.find("A/B").special_use == "\\Sent"
    assert os.path.exists(f"{ground.root}/index.sqlite3.damaged")


def test_a_damaged_list_of_mailboxes_is_set_aside(ground):
    ground.reader.adopt()
    with open(f"{ground.root}/mailboxes", "w") as file:
        file.write("mailboxes 1 5\n.\tnonsense\n")
    account = ground.other()
    assert "mailboxes:2" in account.check()[0]
    assert "set aside" in account.repair().done[0]
    assert {line.name for line in account.mailboxes()} == {"INBOX", "A", "A/B"}
    assert account.status("A/B").messages == 1 and account.check() == []


def test_files_alone(ground):
    """Everything of ours is gone; the Maildir remains."""
    ground.open().store_flags(uids(2), Operation.ADD, FLAGGED)
    ground.tidy()
    for name in ground.names("."):
        if name.startswith(("index", "mailboxes")):
            os.unlink(f"{ground.root}/{name}")
    account = ground.other()
    assert account.repair() == ([], [])
    box = account.open("INBOX")
    assert {text_of(box, uid): flags for uid, flags in rows(box, "uid", "flags")} == {
        "one": SEEN, "two": SEEN | FLAGGED, "three": 0,
    }  # fmt: skip
    assert account.status("A/B").messages == 1
