"""Files of messages that are not what they were: found, told, and another message afterwards."""

import gc
import os
import shutil

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.database import Database
from mailsrv.store.message import checksum
from mailsrv.store.values import FLAGGED, SEEN, Operation
from mailsrv.system.disk import Disk

from tests.crash import store
from tests.crash.store import Killed, Watched
from tests.mailsrv.store.ground import NOW, Ground, rows, text_of, uids


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    ground.reader.create("A")
    box = ground.open()
    ground.append(box, "Subject: one\r\n\r\n", "two", "three", flags=SEEN, received=1_700_000_000)
    box.copy(uids(1), ground.open("A"))
    box.store_flags(uids(2), Operation.ADD, FLAGGED | box.keyword_bit("$Work", create=True))
    ground.file("1.new.x", "four")
    ground.reader.adopt()
    fill(ground)
    return ground


def fill(ground):
    while ground.readers.filler("bob").work():
        pass


def path_of(box, uid, root):
    ((path,),) = box.rows(uids(uid), ("path",))
    return f"{root}/{'' if box.directory == '.' else box.directory}/{path}"


def spoil(path, text):
    """Write over a file, as a program does that edits it, or a disk that forgets."""
    os.chmod(path, 0o600)
    with open(path, "w") as file:
        file.write(text)


def test_octets_that_changed(ground):
    box = ground.open()
    before = {row[0]: row for row in rows(box, "uid", "flags", "received", "emailid", "base", "content")}
    path = path_of(box, 2, ground.root)
    spoil(path, "TWO")
    assert ground.reader.check(quick=True) == []
    (text,) = ground.reader.check()
    digests = checksum([b"TWO"]).hex(), checksum([b"two"]).hex()
    name = path.partition("//")[2]
    complaint = f"INBOX: UID 2: its file {name} has the checksum {digests[0]}, and had {digests[1]}"
    assert text == complaint
    assert ground.reader.repair() == ([f"repaired: {complaint}; it is UID 5 now"], [])
    assert ground.reader.check() == []

    after = {row[0]: row for row in rows(box, "uid", "flags", "received", "emailid", "base", "content")}
    assert after.keys() == {1, 3, 4, 5}
    assert [after[uid] for uid in (1, 3, 4)] == [before[uid] for uid in (1, 3, 4)]
    assert after[5][1:3] == before[2][1:3] == (box.keyword_bit("$Work") | SEEN | FLAGGED, 1_700_000_000)
    assert not set(after[5][3:]) & set(before[2][3:])
    assert text_of(box, 5) == "TWO"
    assert ground.reader._index.read("SELECT count(*) FROM ready WHERE content = ?", (before[2][5],)) == [(0,)]
    ground.tidy()
    assert ground.reader.check() == []
    assert not os.path.exists(path) and len(ground.names("cur") + ground.names("new")) == 4
    fill(ground)
    assert ground.reader._index.read("SELECT checksum FROM content WHERE id = ?", (after[5][5],)) == [
        (checksum([b"TWO"]),)
    ]


@pytest.mark.parametrize(("text", "size"), [("", 0), ("tw", 2), ("two and more", 12)])
@pytest.mark.parametrize("quick", [True, False])
def test_another_size(ground, text, size, quick):
    box = ground.open()
    spoil(path_of(box, 4, ground.root), text)  # it lies in new/
    (complaint,) = ground.reader.check(quick)
    assert complaint.endswith(f"has {size} octets, and had 4")
    assert len(ground.reader.repair(quick).done) == 1
    assert ground.reader.check() == []
    assert rows(box, "uid", "size")[-1] == (5, size)
    assert rows(box, "path")[-1][0].endswith(f",S={size}")
    assert box.status().octets == 24 + size
    ground.tidy()
    assert ground.reader.check() == [] and text_of(box, 5) == text


def test_copies_are_one_file_which_is_read_once(ground):
    box, other = ground.open(), ground.open("A")
    spoil(path_of(box, 1, ground.root), "Subject: One\r\n\r\n")
    assert [text.partition(": its")[0] for text in ground.reader.check()] == ["INBOX: UID 1", "A: UID 1"]
    assert len(ground.reader.repair().done) == 2
    assert ground.reader.check() == []
    assert text_of(box, 5) == text_of(other, 2) == "Subject: One\r\n\r\n"
    assert rows(box, "emailid")[-1] != rows(other, "emailid")[-1]
    opened = []

    class Counting(Disk):
        def open_file(self, path):
            opened.append(path)
            return super().open_file(path)

    box.copy(uids(2, 3), other)
    box.copy(uids(2, 3), other)
    account = Ground(ground.data_dir, disk=Counting())
    assert account.reader.check() == []
    read = [path for path in opened if "/cur/" in path or "/new/" in path]
    assert len(read) == 9  # each is opened, to see which file it is
    assert account.reader.check(quick=True) == []
    assert len([path for path in opened if "/cur/" in path or "/new/" in path]) == 9


def test_one_of_several_files_of_a_content(ground):
    """A copy that is a file of its own is changed: the others stay what they are."""
    box, other = ground.open(), ground.open("A")
    path = path_of(other, 1, ground.root)
    os.unlink(path)
    spoil_new = f"{path}.x"
    with open(spoil_new, "w") as file:
        file.write("Subject: eno\r\n\r\n")
    os.rename(spoil_new, path)
    before = rows(box, "uid", "emailid", "content")
    assert len(ground.reader.check()) == 1
    assert len(ground.reader.repair().done) == 1
    assert rows(box, "uid", "emailid", "content") == before
    assert rows(other, "uid") == [(2,)]
    assert ground.reader.check() == []


def test_a_file_that_cannot_be_read_is_told_and_stays(ground, monkeypatch):
    bad = path_of(ground.open(), 2, ground.root).partition("//")[2]

    class Failing(Disk):
        def open_file(self, path):
            if path.endswith(bad):
                raise StorageError(f"{path}: Input/output error")
            return super().open_file(path)

    account = Ground(ground.data_dir, disk=Failing())
    text = f"INBOX: UID 2: its file cannot be read: {ground.root}/{bad}: Input/output error"
    assert account.reader.check() == [text]
    assert account.reader.repair() == ([], [text])
    assert account.reader.check(quick=True) == []
    assert rows(account.open(), "uid") == [(1,), (2,), (3,), (4,)]


def test_a_file_that_is_gone_is_expunged_and_no_fault(ground):
    os.unlink(path_of(ground.open(), 2, ground.root))
    assert ground.reader.check() == []
    assert rows(ground.open(), "uid") == [(1,), (3,), (4,)]


def test_repair_notes_checksums_that_are_not_known(ground):
    index = ground.reader._index
    expected = index.read("SELECT checksum FROM content")
    with index.write() as writing:
        writing.execute("UPDATE content SET checksum = NULL")
    assert ground.reader.check() == []
    assert index.read("SELECT DISTINCT checksum FROM content") == [(None,)]
    assert ground.reader.repair() == ([], [])
    assert index.read("SELECT checksum FROM content") == expected


def test_a_wrong_hash(ground):
    with ground.reader._index.write() as writing:
        writing.execute("UPDATE message SET hash = 5 WHERE uid = 2")
    (text,) = ground.reader.check()
    assert text.startswith("INBOX: UID 2: its base name ") and text.endswith(" cannot be found by its hash")
    assert ground.reader.repair() == ([f"repaired: {text}"], [])
    assert ground.reader.check() == []


def test_messages_of_one_base_name_get_names_of_their_own(ground):
    box, other = ground.open(), ground.open("A")
    ((base, tail),) = ground.reader._index.read("SELECT base, tail FROM message WHERE uid = 3 AND size = 5")
    old = path_of(other, 1, ground.root)
    os.rename(old, f"{os.path.dirname(old)}/{base}{tail}")
    with ground.reader._index.write() as writing:
        writing.execute(
            "UPDATE message SET base = ?1, hash = (SELECT hash FROM message WHERE uid = 3), tail = ?2"
            " WHERE mailbox = ?3",
            (base, tail, other.id),
        )
    assert ground.reader.check() == [f"{base}: is the name of 2 messages"]
    assert ground.reader.repair() == ([f"repaired: {base}: is the name of 2 messages"], [])
    assert ground.reader.check() == []
    ground.tidy()
    assert ground.reader.check() == []
    assert [text_of(box, uid) for uid in (1, 2, 3)] == ["Subject: one\r\n\r\n", "two", "three"]
    assert [text_of(other, uid) for (uid,) in rows(other, "uid")] == ["Subject: one\r\n\r\n"]


def test_a_repair_that_is_killed_loses_nothing(ground, tmp_path, monkeypatch):
    """At each step: the message is as it was, or it is another one with the same flags; the next repair ends it."""
    monkeypatch.setattr(Database, "write", store.write)  # commits are steps
    box = ground.open()
    spoil(path_of(box, 2, ground.root), "TWO!")
    flags = dict(rows(box, "uid", "flags"))[2]
    ground.readers.close()
    gc.collect()
    kill_at = 0
    while True:
        path = tmp_path / f"k{kill_at}"
        shutil.copytree(ground.root, path / "accounts/bob")
        disk = Watched(kill_at)
        account = Ground(path, disk=Disk())
        account.clock.moment = NOW + 4000
        try:
            Ground(path, disk=disk).reader.repair()
            dead = False
        except Killed:
            dead = True
        assert disk.faults == []
        opened = account.open()
        by_text = {text_of(opened, uid): (uid, flag) for uid, flag in rows(opened, "uid", "flags")}
        assert len(by_text) == len(rows(opened, "uid")) == 4 and by_text["TWO!"] in ((2, flags), (5, flags))
        account.reader.repair()
        account.tidy()
        assert account.reader.check() == []
        assert sorted(text_of(opened, uid) for (uid,) in rows(opened, "uid")) == sorted(by_text)
        assert len(account.names("cur") + account.names("new")) == 4
        account.readers.close()
        shutil.rmtree(path)
        if not dead:
            break
        kill_at += 1
    assert kill_at > 6
