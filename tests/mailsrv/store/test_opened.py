"""An open mailbox: what its methods do not share with the modules below them."""

import os

import pytest

from mailsrv.store.refusals import MailboxGone, MessageGone
from mailsrv.store.values import SEEN, Operation

from tests.mailsrv.store.ground import Ground, rows, text_of, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_it_is_what_it_was_when_it_was_opened(ground):
    ground.reader.create("A")
    box = ground.open("A")
    line = ground.reader.find("A")
    assert (box.name, box.directory, box.mailboxid) == ("A", ".A", line.mailboxid)
    assert box.uidvalidity == line.uidvalidity
    ground.reader.rename("A", "B")
    assert ground.append(box, "x") == [1]
    assert text_of(ground.open("B"), 1) == "x"


def test_two_see_each_others_changes_at_once(ground):
    one, two = ground.open(), ground.other().open("INBOX")
    ground.append(one, "x")
    assert rows(two, "uid", "flags") == [(1, 0)]
    two.store_flags(uids(1), Operation.ADD, SEEN)
    assert one.status().unseen == 0


def test_a_file_is_found_under_any_name(ground):
    ground.file("1.a.x", "abc")
    box, other = ground.open(), ground.other()
    ((path,),) = rows(box, "path")
    while other.tidy():
        pass
    for open_file in (lambda: box.open_path(1, path), lambda: box.open_file(1)):
        with open_file() as file:
            assert (file.size, file.read_at(0, 9)) == (3, b"abc")
    os.rename(f"{ground.root}/cur/1.a.x:2,", f"{ground.root}/cur/1.a.x:2,S")
    with box.open_file(1) as file:
        assert os.pread(file.fileno(), 9, 0) == b"abc"
    assert rows(box, "flags") == [(SEEN,)]
    os.unlink(f"{ground.root}/cur/1.a.x:2,S")
    with pytest.raises(MessageGone):
        box.open_file(1)
    assert rows(box, "uid") == []
    with pytest.raises(MessageGone):
        box.open_path(1, path)


def test_a_new_file_that_is_not_used_leaves_nothing(ground):
    box = ground.open()
    with box.new_file() as file:
        file.write([b"x"])
    assert ground.names("cur") == ground.names("tmp") == []


def test_the_index_is_made_again_under_an_open_mailbox(ground):
    box = ground.open()
    ground.append(box, "x")
    for name in ("index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"):
        os.unlink(f"{ground.root}/{name}")
    ground.other().open("INBOX")
    with pytest.raises(MailboxGone):
        box.changes(0)
    with pytest.raises(MailboxGone):
        box.store_flags(uids(1), Operation.ADD, SEEN)
