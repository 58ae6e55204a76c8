"""Adoption: what a file in a mailbox's directory is."""

import os

import pytest

from mailsrv.errors import StorageFull
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.values import ANSWERED, DELETED, FLAGGED, SEEN, Operation
from mailsrv.system.disk import Disk

from tests.mailsrv.store.ground import HOST, NOW, Ground, rows, text_of, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_files_become_messages_in_their_order(ground):
    ground.file("1700000002.b.x,S=14")
    ground.file("1700000001.c.x,S=14")
    ground.file("999999999.d.x:2,FS", directory="cur")
    ground.file("strange name", "abc")
    box = ground.open()
    assert rows(box, "uid", "path", "flags", "size") == [
        (1, "new/strange name", 0, 3),
        (2, "cur/999999999.d.x:2,FS", FLAGGED | SEEN, 14),
        (3, "new/1700000001.c.x,S=14", 0, 14),
        (4, "new/1700000002.b.x,S=14", 0, 14),
    ]
    status = box.status()
    assert (status.messages, status.unseen, status.octets, status.uidnext) == (4, 3, 45, 5)
    assert ground.reader.usage().octets == 45 and ground.reader.usage().messages == 4


def test_the_internal_date_is_the_files_and_saved_is_now(ground):
    os.utime(ground.file("1.a.x"), (1_600_000_000, 1_600_000_000))
    assert rows(ground.open(), "received", "saved") == [(1_600_000_000, int(NOW))]


def test_hidden_files_are_none(ground):
    ground.file(".nfs0001")
    assert rows(ground.open(), "uid") == []


def test_a_directory_is_no_message(ground):
    os.mkdir(f"{ground.root}/cur/1.a.x:2,S")
    assert rows(ground.open(), "uid") == []
    assert ground.reader.check() == []


def test_more_than_one_batch(ground):
    for number in range(2300):
        ground.file(f"{1_700_000_000 + number}.a.x", "x")
    box = ground.open()
    assert [uid for (uid,) in rows(box, "uid")] == list(range(1, 2301))
    assert [base for (base,) in rows(box, "base")] == [f"{1_700_000_000 + n}.a.x" for n in range(2300)]
    assert ground.reader.check() == []


class Counting(Disk):
    looks = 0

    def names(self, path):
        self.looks += path.endswith(("/new", "/cur"))
        return super().names(path)


def test_a_directory_is_read_when_its_time_says_so(tmp_path):
    disk = Counting()
    ground = Ground(tmp_path, disk=disk)
    ground.open()
    ground.age()
    box = ground.open()
    disk.looks = 0
    assert not box.refresh()
    assert disk.looks == 0
    ground.file("1.a.x")
    ground.age("new")
    assert box.refresh()
    assert disk.looks == 1
    assert not box.refresh() and disk.looks == 1
    assert not box.refresh(force=True) and disk.looks == 3


def test_a_young_time_says_nothing(ground):
    box = ground.open()
    ground.age()
    box.refresh()
    now = NOW - 1
    ground.file("1.a.x")
    os.utime(f"{ground.root}/new", (now, now))
    assert box.refresh()
    ground.file("2.a.x")
    os.utime(f"{ground.root}/new", (now, now))
    assert box.refresh(), "the same time, less than two seconds ago"


def test_what_we_change_ourselves_is_no_reason_to_read(tmp_path):
    disk = Counting()
    ground = Ground(tmp_path, disk=disk)
    ground.open()
    ground.age()
    box = ground.open()
    disk.looks = 0
    ground.append(box, "one")
    assert not box.refresh() and not ground.open().refresh()
    assert disk.looks == 0
    ground.clock.advance(10**9)
    ground.reader.tidy()
    assert disk.looks == 1, "in an idle moment it is looked for what somebody else did in the same moment"


def test_an_upload_is_no_reason_to_read_also_where_cur_was_read_while_it_was_young(tmp_path):
    """And nothing that others do is missed, though it comes in the same moment, as a coarse clock tells it."""
    disk = Counting()
    ground = Ground(tmp_path, disk=disk)
    box = ground.open()
    ground.file("0.a.x:2,", directory="cur")
    now = os.stat(f"{ground.root}/cur").st_mtime
    os.utime(f"{ground.root}/new", (now - 100, now - 100))
    ground.clock.time = now + 0.05
    assert box.refresh()
    disk.looks = 0
    assert not box.refresh()
    for text in ("one", "two", "three"):
        ground.append(box, text)
        box.refresh()
    assert disk.looks == 0
    stamp = os.stat(f"{ground.root}/cur").st_mtime_ns
    ground.file("1.a.x:2,", directory="cur")
    os.utime(f"{ground.root}/cur", ns=(stamp, stamp))
    assert not box.refresh() and disk.looks == 0
    ground.clock.advance(3600)
    assert box.refresh() and box.status().messages == 5
    disk.looks = 0
    assert not box.refresh() and disk.looks == 0


def test_a_delivery_costs_one_commit(ground, monkeypatch):
    box = ground.open()
    ground.age()
    box.refresh()
    commits = []
    write = box._index.write
    monkeypatch.setattr(box._index, "write", lambda **how: commits.append(1) or write(**how))
    ground.file("1.a.x")
    assert box.refresh() and len(commits) == 1
    assert not box.refresh() and len(commits) == 1, "a directory that is young is read again, and nothing noted"
    ground.age("new")
    assert not box.refresh() and len(commits) == 2
    assert not box.refresh() and len(commits) == 2


def test_a_new_name_brings_its_flags(ground):
    ground.file("1.a.x:2,F", directory="cur")
    box = ground.open()
    box.store_flags(uids(1), Operation.ADD, ANSWERED)  # not written yet
    os.rename(f"{ground.root}/cur/1.a.x:2,F", f"{ground.root}/cur/1.a.x:2,ST")
    modseq = box.view()[1]
    assert box.refresh()
    assert rows(box, "uid", "flags") == [(1, ANSWERED | SEEN | DELETED)]
    assert box.changes(modseq).flags[0][:2] == (1, ANSWERED | SEEN | DELETED)
    status = box.status()
    assert (status.unseen, status.deleted) == (0, 1)
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,RST"]


def test_a_message_moves_from_new_to_cur(ground):
    ground.file("1.a.x")
    box = ground.open()
    os.rename(f"{ground.root}/new/1.a.x", f"{ground.root}/cur/1.a.x:2,S")
    box.refresh()
    assert rows(box, "uid", "flags", "path") == [(1, SEEN, "cur/1.a.x:2,S")]
    assert ground.reader.check() == []


def test_a_file_that_is_gone_is_expunged(ground):
    ground.file("1.a.x", "abc")
    ground.file("2.a.x", "abcd")
    box = ground.open()
    modseq = box.view()[1]
    os.unlink(f"{ground.root}/new/1.a.x")
    assert box.refresh()
    assert list(box.changes(modseq).vanished) == [1]
    assert rows(box, "uid") == [(2,)]
    assert ground.reader.usage().octets == 4
    assert ground.reader.check() == []


def test_a_second_link_is_debris(ground):
    ground.reader.create("A")
    ground.open("A")
    path = ground.file("1.a.x", "abc")
    box = ground.open()
    os.link(path, f"{ground.root}/.A/cur/1.a.x:2,S")
    os.link(path, f"{ground.root}/cur/1.a.x:2,S")
    assert rows(ground.open("A"), "uid") == [] and rows(ground.open(), "uid") == [(1,)]
    ground.tidy()
    assert ground.names(".A/cur") == []
    assert ground.names("cur") + ground.names("new") == ["1.a.x:2,"]
    assert text_of(box, 1) == "abc"


def test_a_copy_under_the_same_name_is_another_message(ground):
    ground.reader.create("A")
    ground.open("A")
    ground.file("1.a.x", "abc")
    ground.open()
    ground.file("1.a.x:2,S", "abc", ".A/cur")
    ground.file("1.a.x:2,F", "other", "cur")
    assert rows(ground.open("A"), "uid", "flags") == [(1, SEEN)]
    assert rows(ground.open(), "uid", "flags") == [(1, 0), (2, FLAGGED)]
    ground.tidy()
    box = ground.open()
    assert [text_of(box, uid) for uid in (1, 2)] == ["abc", "other"]
    assert text_of(ground.open("A"), 1) == "abc"
    assert all(name.endswith(f"{HOST},S=3:2,S") for name in ground.names(".A/cur"))
    assert ground.reader.check() == []


def test_a_file_that_another_program_moves_to_another_mailbox(ground):
    ground.reader.create("A")
    target = ground.open("A")
    ground.file("1.a.x:2,S", "abc", "cur")
    box = ground.open()
    os.rename(f"{ground.root}/cur/1.a.x:2,S", f"{ground.root}/.A/cur/1.a.x:2,S")
    target.refresh()
    box.refresh()
    assert rows(box, "uid") == [] and rows(target, "uid", "flags") == [(1, SEEN)]
    assert text_of(target, 1) == "abc"
    assert ground.reader.check() == []


def test_names_that_are_not_text_get_others(ground):
    with open(os.fsencode(ground.root) + b"/cur/\xff\xfe:2,S", "wb") as file:
        file.write(b"abc")
    ground.file(":2,F", "nothing before the flags", "cur")
    box = ground.open()
    assert sorted(flags for (flags,) in rows(box, "flags")) == [SEEN, FLAGGED]
    assert {text_of(box, uid) for uid in (1, 2)} == {"abc", "nothing before the flags"}
    assert all(name.isprintable() and HOST in name for name in ground.names("cur"))


def test_a_restored_file_is_adopted_again(ground):
    """Once its file was removed, an expunged message can be brought back by hand."""
    ground.file("1.a.x:2,T", "abc", "cur")
    box = ground.open()
    box.expunge()
    ground.file("1.a.x:2,", "abc", "cur")
    box.refresh(force=True)
    assert rows(box, "uid") == [], "debris, as long as the expunged file waits to be removed"
    ground.tidy()
    ground.file("1.a.x:2,", "abc", "cur")
    box.refresh(force=True)
    assert rows(box, "uid") == [(2,)]


def test_a_delivery_that_is_repeated_after_a_move_is_debris(ground):
    ground.reader.create("A")
    ground.file("1.a.x", "abc")
    box = ground.open()
    box.move(uids(1), ground.open("A"))
    box.refresh()
    ground.tidy()
    assert rows(ground.open("A"), "uid") == [(1,)]
    assert ground.names("new") == []
    os.link(f"{ground.root}/.A/cur/{ground.names('.A/cur')[0]}", f"{ground.root}/new/1.a.x")
    box.refresh(force=True)
    assert rows(box, "uid") == []


def test_two_processes_adopt_each_message_once(ground):
    for number in range(50):
        ground.file(f"{number}.a.x", str(number))
    one, two = ground.open(), ground.other().open("INBOX")
    assert rows(one, "uid", "base") == rows(two, "uid", "base")
    assert one.status().messages == 50


def test_the_directories_of_an_open_mailbox_vanish(ground):
    ground.reader.create("A")
    box = ground.open("A")
    os.rename(f"{ground.root}/.A", f"{ground.root}/elsewhere")
    with pytest.raises(MailboxGone):
        box.refresh()


def test_a_mailbox_that_is_deleted_while_it_is_looked_into(tmp_path):
    """That is no trouble of the disk."""

    class Late(Disk):
        armed = False

        def names(self, path):
            if self.armed and path.endswith("/.A/cur"):
                os.rename(path.removesuffix("/cur"), f"{tmp_path}/elsewhere")
            return super().names(path)

    disk = Late()
    ground = Ground(tmp_path, disk=disk)
    ground.reader.create("A")
    box = ground.open("A")
    ground.file("1.a.x", directory=".A/new")
    disk.armed = True
    with pytest.raises(MailboxGone):
        box.refresh(force=True)


def test_on_a_full_disk_nothing_new_is_seen(ground, monkeypatch):
    box = ground.open()
    ground.append(box, "one")
    ground.file("1.a.x")
    told = []
    monkeypatch.setattr(box._index, "_complain", told.append)

    def refuse():
        raise StorageFull("index.sqlite3: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(box._index, "write", refuse)
        assert not box.refresh() and ground.open().status().messages == 1
    assert [str(error) for error in told] == ["index.sqlite3: database or disk is full"] * 2
    assert box.refresh() and box.status().messages == 2


def test_a_missing_new_is_made_again(ground):
    ground.reader.create("A")
    ground.open("A")
    os.rmdir(f"{ground.root}/.A/new")
    assert ground.open("A").status().messages == 0
    assert ground.names(".A") == ["cur", "maildirfolder", "new", "tmp"]


def test_a_rename_by_link_and_unlink_that_is_seen_halfway(ground):
    old = ground.file("1.a.x:2,", directory="cur")
    box = ground.open()
    os.link(old, f"{ground.root}/cur/1.a.x:2,S")
    os.utime(f"{ground.root}/cur", (NOW, NOW))  # just now
    box.refresh()
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,", "1.a.x:2,S"], "neither name is removed"
    os.unlink(old)
    box.refresh()
    assert rows(box, "uid", "path", "flags") == [(1, "cur/1.a.x:2,S", SEEN)]
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,S"] and ground.reader.check() == []


def test_what_was_a_second_link_is_the_only_name_by_now(ground):
    old = ground.file("1.a.x")
    box = ground.open()
    os.link(old, f"{ground.root}/cur/1.a.x:2,S")
    box.refresh()
    os.unlink(old)  # before the second name is removed
    assert ground.reader.repair().left == []
    assert rows(box, "uid", "path", "flags") == [(1, "cur/1.a.x:2,S", SEEN)]
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,S"] and ground.reader.check() == []


def test_a_second_link_with_yet_another_name(ground):
    old = ground.file("1.a.x")
    box = ground.open()
    os.link(old, f"{ground.root}/cur/1.a.x:2,S")
    box.refresh()
    os.unlink(old)
    os.rename(f"{ground.root}/cur/1.a.x:2,S", f"{ground.root}/cur/1.a.x:2,F")
    box.refresh()
    assert rows(box, "uid", "path", "flags") == [(1, "cur/1.a.x:2,F", FLAGGED)]
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,F"] and ground.reader.check() == []
