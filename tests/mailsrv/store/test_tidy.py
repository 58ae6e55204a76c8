"""What waits for idle moments."""

import os

import pytest

from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation

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
