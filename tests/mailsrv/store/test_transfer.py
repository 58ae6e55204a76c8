"""COPY and MOVE."""

import os

import pytest

from mailsrv.errors import StorageFull
from mailsrv.store.refusals import MailboxGone, OverQuota
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation, Usage
from mailsrv.system.disk import CrossDevice, Disk

from tests.mailsrv.store.ground import Ground, no_room_for_commits, rows, text_of, uids


@pytest.fixture(params=["links", "copies"])
def ground(request, tmp_path):
    """With links, and where the mailboxes are on other file systems."""

    class Apart(Disk):
        def link(self, source, target):
            if ("/.A/" in source) != ("/.A/" in target):
                raise CrossDevice(target)
            super().link(source, target)

    ground = Ground(tmp_path, disk=Disk() if request.param == "links" else Apart())
    ground.reader.create("A")
    box = ground.open()
    ground.append(box, "one", "two", "three", flags=SEEN, received=1_600_000_000)
    ground.file("1.delivered.x", "four")
    ground.linked = request.param == "links"
    return ground


def test_a_copy_is_the_same_message(ground):
    box, target = ground.open(), ground.open("A")
    assert box.copy(uids(1, 3, 4, 77), target) == [(1, 1), (3, 2), (4, 3)]
    assert [text_of(target, uid) for uid in (1, 2, 3)] == ["one", "three", "four"]
    columns = ("size", "flags", "received", "emailid", "content")
    assert rows(target, *columns) == [rows(box, *columns)[number] for number in (0, 2, 3)]
    assert not {base for (base,) in rows(box, "base")} & {base for (base,) in rows(target, "base")}
    assert (ground.open("A").status().unseen, ground.reader.usage().messages) == (1, 7)
    if ground.linked:
        assert os.stat(f"{ground.root}/.A/cur/{ground.names('.A/cur')[0]}").st_nlink == 2
    assert ground.reader.check() == []


def test_a_copy_outlives_its_original(ground):
    box, target = ground.open(), ground.open("A")
    box.copy(uids(1), target)
    emailid = rows(target, "emailid")
    box.store_flags(uids(1), Operation.ADD, DELETED)
    box.expunge()
    ground.tidy()
    assert text_of(target, 1) == "one" and rows(target, "emailid") == emailid
    target.store_flags(uids(1), Operation.ADD, DELETED)
    target.expunge()
    ground.tidy()
    assert len(ground.reader._index.read("SELECT id FROM content")) == 3
    assert ground.reader.check() == []


def test_a_copy_into_its_own_mailbox(ground):
    box = ground.open()
    assert box.copy(uids(2), box) == [(2, 5)]
    assert text_of(box, 5) == "two" and len(ground.names("cur")) == 4


def test_a_moved_message_keeps_its_base_name(ground):
    box, target = ground.open(), ground.open("A")
    before = rows(box, "base", "emailid", "received")
    modseq = box.view()[1]
    assert box.move(uids(2, 4), target) == [(2, 1), (4, 2)]
    assert rows(target, "base", "emailid", "received") == [before[1], before[3]]
    assert list(box.changes(modseq).vanished) == [2, 4]
    assert [uid for (uid,) in rows(box, "uid")] == [1, 3]
    assert rows(ground.open(), "uid") == [(1,), (3,)], "the old name is there still, and is no message"
    ground.tidy()
    assert len(ground.names("cur")) == 2 and ground.names("new") == []
    assert [text_of(target, uid) for uid in (1, 2)] == ["two", "four"]
    assert ground.reader.check() == []


def test_to_and_fro_before_anything_is_removed(ground):
    box, target = ground.open(), ground.open("A")
    box.store_flags(uids(1), Operation.ADD, FLAGGED)
    there = box.move(uids(1, 4), target)
    assert target.move(uids(*(uid for _, uid in there)), box) == [(1, 5), (2, 6)]
    box.refresh(force=True)
    ground.tidy()
    box.refresh(force=True)
    assert [text_of(box, uid) for uid in (2, 3, 5, 6)] == ["two", "three", "one", "four"]
    assert ground.names(".A/cur") == [] and len(ground.names("cur") + ground.names("new")) == 4
    assert ground.reader.check() == []


def test_a_move_within_a_mailbox_gives_other_uids(ground):
    box = ground.open()
    assert box.move(uids(1, 2), box) == [(1, 5), (2, 6)]
    ground.tidy()
    assert [text_of(box, uid) for uid in (3, 4, 5, 6)] == ["three", "four", "one", "two"]
    assert ground.reader.check() == []


def test_a_name_that_somebody_has_taken(ground):
    box, target = ground.open(), ground.open("A")
    (base,) = (base for base, uid in rows(box, "base", "uid") if uid == 1)
    ground.file(f"{base}:2,S", "another", ".A/cur")
    assert box.move(uids(1), target) == [(1, 1)]
    assert text_of(target, 1) == "one"
    assert len(rows(ground.open("A"), "uid")) == 2
    assert text_of(target, 2) == "another"


def test_a_file_with_another_name_by_now(ground):
    box, target = ground.open(), ground.open("A")
    name = ground.names("cur")[0]
    os.rename(f"{ground.root}/cur/{name}", f"{ground.root}/cur/{name}F")
    assert len(box.copy(uids(1, 2, 3), target)) == 3
    os.unlink(f"{ground.root}/cur/{name}F")
    assert len(box.move(uids(1, 2, 3), target)) == 2


def test_copies_need_room_and_moves_do_not(ground):
    box, target = ground.open(), ground.open("A")
    ground.reader.limits = Usage(messages=5)
    box, target = ground.open(), ground.open("A")
    with pytest.raises(OverQuota):
        box.copy(uids(1, 2), target)
    assert rows(target, "uid") == [] and ground.names(".A/cur") == []
    assert len(box.copy(uids(1), target)) == 1
    assert len(box.move(uids(1, 2, 3, 4), target)) == 4


def test_nothing_to_do(ground):
    box, target = ground.open(), ground.open("A")
    modseq = target.view()[1]
    assert box.copy(uids(99), target) == box.move(uids(), target) == []
    assert target.view()[1] == modseq


def test_a_target_that_is_just_being_deleted(ground):
    """Its directory is set aside, and its rows are not forgotten yet."""
    box, target = ground.open(), ground.open("A")
    os.rename(f"{ground.root}/.A", f"{ground.root}/removed.1.x")
    for transfer in (box.copy, box.move):
        with pytest.raises(MailboxGone):
            transfer(uids(1, 2), target)
    assert len(rows(box, "uid")) == 4


@pytest.mark.parametrize("ask", ["copy", "move"])
def test_a_commit_that_the_disk_refuses_changes_nothing(ground, monkeypatch, ask):
    box, target = ground.open(), ground.open("A")
    before = ground.names("cur"), ground.names("new")
    with no_room_for_commits(monkeypatch), pytest.raises(StorageFull):
        getattr(box, ask)(uids(1, 2, 4), target)
    assert ground.names(".A/cur") == [] and (ground.names("cur"), ground.names("new")) == before
    target.refresh(force=True)
    assert target.status().messages == 0
    assert [text_of(box, uid) for uid in (1, 2, 3, 4)] == ["one", "two", "three", "four"]
    assert ground.reader.check() == []
    assert getattr(box, ask)(uids(1, 2, 4), target) == [(1, 1), (2, 2), (4, 3)]
