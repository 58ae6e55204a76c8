"""APPEND: durable first, all or none."""

import os

import pytest

from mailsrv.errors import StorageFull
from mailsrv.store.refusals import MailboxGone, OverQuota
from mailsrv.store.values import ANSWERED, SEEN, Incoming, Usage
from mailsrv.system.disk import Disk

from tests.mailsrv.store.ground import HOST, NOW, Ground, no_room_for_commits, rows, text_of


def test_a_message_lies_in_cur_with_its_flags_and_date(tmp_path):
    ground = Ground(tmp_path)
    box = ground.open()
    assert ground.append(box, "one", "two", flags=SEEN | ANSWERED, received=1_600_000_000) == [1, 2]
    assert rows(box, "uid", "flags", "size", "received", "saved") == [
        (1, SEEN | ANSWERED, 3, 1_600_000_000, int(NOW)),
        (2, SEEN | ANSWERED, 3, 1_600_000_000, int(NOW)),
    ]
    assert [text_of(box, uid) for uid in (1, 2)] == ["one", "two"]
    for name in ground.names("cur"):
        assert name.startswith(f"{int(NOW)}.") and name.endswith(f".{HOST},S=3:2,RS")
        status = os.stat(f"{ground.root}/cur/{name}")
        assert status.st_mtime == 1_600_000_000 and status.st_mode & 0o777 == 0o400
    assert ground.reader.check() == []


def test_now_is_the_date_when_none_is_given(tmp_path):
    ground = Ground(tmp_path)
    box = ground.open()
    ground.append(box, "one")
    assert rows(box, "received") == [(int(NOW),)]


def test_there_must_be_room(tmp_path):
    ground = Ground(tmp_path, Usage(octets=10, messages=3))
    box = ground.open()
    ground.append(box, "12345")
    with pytest.raises(OverQuota):
        ground.append(box, "123", "456")
    with pytest.raises(OverQuota):
        ground.append(box, "1", "2", "3")
    assert ground.names("cur") == [name for name in ground.names("cur") if ",S=5:" in name]
    ground.reader.limits = Usage()
    ground.append(box, "123", "456")
    assert ground.reader.usage() == Usage(11, 3)


def test_when_the_disk_refuses_nothing_is_left(tmp_path):
    class Full(Disk):
        def sync_directory(self, path):
            if path.endswith("/cur") and self.broken:
                raise StorageFull(path)
            super().sync_directory(path)

        broken = False

    disk = Full()
    ground = Ground(tmp_path, disk=disk)
    box = ground.open()
    disk.broken = True
    with pytest.raises(StorageFull):
        ground.append(box, "one", "two")
    assert ground.names("cur") == [] and rows(box, "uid") == []


def test_a_deleted_mailbox_takes_nothing(tmp_path):
    ground = Ground(tmp_path)
    ground.reader.create("A")
    box = ground.open("A")
    file = box.new_file()
    file.write([b"x"])
    ground.reader.delete("A")
    with pytest.raises(MailboxGone):
        box.append([Incoming(file)])


def test_a_mailbox_that_is_just_being_deleted(tmp_path):
    """Its directory is set aside, and its row is not forgotten yet."""
    ground = Ground(tmp_path)
    ground.reader.create("A")
    box = ground.open("A")
    file = box.new_file()
    file.write([b"x"])
    os.rename(f"{ground.root}/.A", f"{ground.root}/removed.1.x")
    with pytest.raises(MailboxGone):
        box.append([Incoming(file)])


def test_a_commit_that_the_disk_refuses_leaves_no_message(tmp_path, monkeypatch):
    ground = Ground(tmp_path)
    box = ground.open()
    ground.append(box, "one")
    before = ground.names("cur")
    with no_room_for_commits(monkeypatch), pytest.raises(StorageFull):
        ground.append(box, "two", "three")
    assert ground.names("cur") == before
    box.refresh(force=True)
    assert list(box.view()[0]) == [1]
    assert ground.append(box, "two") == [2] and ground.reader.check() == []
