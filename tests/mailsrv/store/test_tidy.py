"""What waits for idle moments."""

import os
from contextlib import contextmanager

import pytest

from mailsrv.store import tidy
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation

from tests.fakes.clock import FakeClock
from tests.mailsrv.store.ground import Ground, rows, text_of, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_flags_go_into_names(ground):
    ground.file("1.a.x", "abc")
    ground.file("2.a.x:2,PSa", "abcd", "cur")
    box = ground.open()
    box.store_flags(uids(1, 2), Operation.ADD, FLAGGED)
    box.store_flags(uids(2), Operation.REMOVE, SEEN)
    modseq = box.view()[1]
    ground.tidy()
    assert ground.names("new") == [] and ground.names("cur") == ["1.a.x:2,F", "2.a.x:2,FPa"]
    assert box.view()[1] == modseq and not box.refresh(force=True)
    assert [text_of(box, uid) for uid in (1, 2)] == ["abc", "abcd"]


def test_no_file_of_another_program_is_replaced(ground):
    ground.file("1.a.x:2,", "abc", "cur")
    box = ground.open()
    box.store_flags(uids(1), Operation.ADD, SEEN)
    index = box._index
    ground.file("1.a.x:2,S", "theirs", "cur")  # and nobody has looked since
    tidy.write_back(index, index.find(box.directory), 10)
    assert ground.names("cur") == ["1.a.x:2,", "1.a.x:2,S"]
    ground.age("cur")
    box.refresh(force=True)
    assert sorted(text_of(box, uid) for uid in box.view()[0]) == ["abc", "theirs"]


def test_what_was_seen_leaves_new(ground):
    ground.file("1.a.x")
    ground.open()
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,"]


def test_an_old_path_still_leads_to_the_file(ground):
    ground.file("1.a.x", "abc")
    box = ground.open()
    ((path,),) = rows(box, "path")
    ground.tidy()
    with box.open_path(1, path) as file:
        assert file.read_at(0, 10) == b"abc"


def test_it_is_done_in_pieces(ground, monkeypatch):
    monkeypatch.setattr("mailsrv.store.tidy.STEP", 3)
    box = ground.open()
    ground.append(box, *"abcdefghij")
    box.store_flags(uids(*range(1, 11)), Operation.ADD, SEEN | DELETED)
    calls = 1
    while ground.reader.tidy(3):
        calls += 1
    assert calls == 4 and all(name.endswith(":2,ST") for name in ground.names("cur"))
    box.expunge()
    calls = 1
    while ground.reader.tidy(3):
        calls += 1
    assert calls == 4 and ground.names("cur") == []


def test_a_file_that_another_has_renamed_is_written_later(ground):
    ground.file("1.a.x:2,", directory="cur")
    ground.file("2.a.x:2,", directory="cur")
    box = ground.open()
    box.store_flags(uids(1, 2), Operation.ADD, SEEN)
    os.rename(f"{ground.root}/cur/1.a.x:2,", f"{ground.root}/cur/1.a.x:2,F")
    ground.tidy()
    assert ground.names("cur") == ["1.a.x:2,FS", "2.a.x:2,S"]
    assert rows(box, "flags") == [(SEEN | FLAGGED,), (SEEN,)]


def test_a_renamed_file_is_removed_too(ground):
    ground.file("1.a.x:2,T", directory="cur")
    box = ground.open()
    box.expunge()
    os.rename(f"{ground.root}/cur/1.a.x:2,T", f"{ground.root}/cur/1.a.x:2,ST")
    ground.tidy()
    assert ground.names("cur") == [] and not box.refresh(force=True)


def test_a_name_that_is_the_only_one_is_kept(ground):
    """Moved, and moved back by another program before the old name was removed."""
    ground.reader.create("A")
    ground.file("1.a.x:2,", "abc", "cur")
    ground.open().move(uids(1), ground.open("A"))
    os.replace(f"{ground.root}/.A/cur/1.a.x:2,", f"{ground.root}/cur/1.a.x:2,S")
    os.unlink(f"{ground.root}/cur/1.a.x:2,")
    ground.tidy()
    ground.open("A").refresh(force=True)
    ground.open().refresh(force=True)
    ground.tidy()
    ground.open().refresh(force=True)
    assert sum(box.status().messages for box in (ground.open(), ground.open("A"))) == 1
    assert ground.reader.check() == []


def test_nothing_to_do_is_nothing(ground):
    ground.append(ground.open(), "x")
    ground.tidy()
    before = ground.reader._index.read("PRAGMA data_version")
    assert not ground.reader.tidy()
    assert ground.reader._index.read("PRAGMA data_version") == before


class Slow(FakeClock):
    """Each look at the clock finds it 4 ms later."""

    def monotonic(self):
        self.time += 0.004
        return self.time


def test_no_transaction_holds_others_up_for_long(ground, monkeypatch):
    box = ground.open()
    ground.append(box, *"x" * 100)
    held = []
    write = box._index.write

    @contextmanager
    def watched(**how):
        with write(**how) as writing:
            before = writing.connection.total_changes
            yield writing
            held.append(writing.connection.total_changes - before)

    monkeypatch.setattr(box._index, "write", watched)
    monkeypatch.setattr(box._index, "clock", Slow(ground.clock.now()))
    monkeypatch.setattr("mailsrv.store.tidy._SOME", 8)
    box.store_flags(uids(*range(1, 101)), Operation.ADD, SEEN | DELETED)
    held.clear()
    ground.tidy()
    assert all(name.endswith(":2,ST") for name in ground.names("cur"))
    assert len(held) > 4 and max(held) <= 30
    box.expunge()
    held.clear()
    ground.tidy()
    assert ground.names("cur") == []
    assert len(held) > 4


def test_where_nothing_can_be_done_nobody_is_kept_busy(ground, monkeypatch):
    """Another program has moved every file, and nobody has looked yet."""
    box = ground.open()
    ground.append(box, *"x" * 10)
    box.store_flags(uids(*range(1, 11)), Operation.ADD, SEEN)
    for name in ground.names("cur"):
        os.rename(f"{ground.root}/cur/{name}", f"{ground.root}/{name}")
    row = box._index.mailbox(box._key)
    assert tidy.write_back(box._index, row, 3) is False
    assert box._index.mailbox(box._key).written < row.highestmodseq, "it is tried again another time"


def test_a_crowded_new_is_cleared(ground, monkeypatch):
    monkeypatch.setattr("mailsrv.store.reader._CROWD", 5)
    monkeypatch.setattr("mailsrv.store.tidy.STEP", 2)
    for number in range(8):
        ground.file(f"{number}.a.x")
    ground.open()
    assert ground.reader.clear_new(2)
    assert len(ground.names("cur")) >= 2
    while ground.reader.clear_new(2):
        pass
    assert len(ground.names("new")) <= 5
    ground.open()
    assert [uid for (uid,) in rows(ground.open(), "uid")] == list(range(1, 9))


def test_what_changed_long_ago_is_forgotten_some_at_a_time(ground, monkeypatch):
    for name, value in (("LOGGED", 2), ("REMEMBERED", 3), ("_FORGOTTEN", 4)):
        monkeypatch.setattr(f"mailsrv.store.tidy.{name}", value)
    box = ground.open()
    ground.append(box, *"x" * 20)
    start = box.view()[1]
    for uid in range(1, 19):
        box.store_flags(uids(uid), Operation.ADD, DELETED)
        box.expunge(uids(uid))
    count = "SELECT (SELECT count(*) FROM expunged), (SELECT count(*) FROM change)"
    assert tidy.trim(box._index, box._index.mailbox(box._key))
    ((gone, changed),) = box._index.read(count)
    assert (gone, changed) == (14, 15)
    assert box.changes(start).vanished == uids(*range(1, 19)), "what is not told any more was all that is not there"
    while tidy.trim(box._index, box._index.mailbox(box._key)):
        pass
    assert box._index.read(count) == [(3, 2)]
    assert not tidy.trim(box._index, box._index.mailbox(box._key))
    assert box.changes(start).vanished == uids(*range(1, 19))
