"""verify: what is found, and what is made right."""

import os

import pytest

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
    assert ground.reader.repair() == []
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
        ("UPDATE message SET size = 9 WHERE uid = 2", "INBOX: UID 2: its file has 3 octets, and had 9"),
        ("INSERT INTO mailbox SELECT 99, '.gone', uidvalidity, uidnext, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0 FROM"
         " mailbox LIMIT 1", ".gone: has rows, and is no mailbox"),
    ],
)  # fmt: skip
def test_what_is_found_is_made_right(ground, statement, complaint):
    ground.reader.adopt()
    write(ground, statement)
    assert any(complaint in text for text in ground.reader.check())
    assert any(complaint in text for text in ground.reader.repair())
    assert ground.reader.check() == []
    box = ground.open()
    assert sorted(text_of(box, uid) for (uid,) in rows(box, "uid")) == ["one", "three", "two"]


def test_another_size_is_another_message(ground):
    box = ground.open()
    (name,) = (path for uid, path in rows(box, "uid", "path") if uid == 2)
    os.chmod(f"{ground.root}/{name}", 0o600)
    with open(f"{ground.root}/{name}", "a") as file:
        file.write(" more")
    ground.reader.repair()
    assert [uid for (uid,) in rows(box, "uid")] == [1, 3, 4]
    assert text_of(box, 4) == "two more" and rows(box, "size")[2] == (8,)


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
    assert "set aside" in account.repair()[0]
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
    assert "set aside" in account.repair()[0]
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
    assert account.repair() == []
    box = account.open("INBOX")
    assert {text_of(box, uid): flags for uid, flags in rows(box, "uid", "flags")} == {
        "one": SEEN, "two": SEEN | FLAGGED, "three": 0,
    }  # fmt: skip
    assert account.status("A/B").messages == 1
