"""What lies beside the messages: maildirsize, the text index, tmp/."""

import os

import pytest

from mailsrv.store.account import Store
from mailsrv.store.quota import Quota
from mailsrv.store.text_index import FILE
from mailsrv.system.disk import Disk

from tests.mailsrv.store.ground import NOW, Ground


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    ground.reader.create("A")
    ground.append(ground.open(), "one", "three")
    return ground


@pytest.fixture
def quota(ground):
    quota = Quota(Disk(), Store(Disk(), ground.data_dir), ground.clock)
    assert quota.room("bob", 1000, 1)
    return quota


def test_old_files_in_tmp_are_told_and_removed(ground):
    for directory, name, age in ((".", "old", 36 * 3600 + 9), (".", "young", 36 * 3600 - 9), (".A", "x", 400_000)):
        path = f"{ground.root}/{directory}/tmp/{name}"
        with open(path, "w"):
            os.utime(path, (NOW - age, NOW - age))
    found = [f"{ground.root}/{place}tmp: has 1 files that nobody has finished in 36 hours" for place in ("", ".A/")]
    assert sorted(ground.reader.check()) == sorted(found)
    assert sorted(ground.reader.repair().done) == sorted(f"repaired: {text}" for text in found)
    assert ground.reader.check() == []
    assert ground.names("tmp") == ["young"]


def test_a_count_that_is_right(ground, quota):
    assert ground.reader.check() == []
    ground.file("1.new.x,S=4", "four")
    quota.add("bob", 4)
    assert ground.reader.check() == []


def test_a_count_that_is_wrong_is_made_again(ground, quota):
    quota.add("bob", 77, 2)
    path = f"{ground.root}/maildirsize"
    complaint = f"{path}: counts 85 octets in 4 messages, and there are 8 in 2"
    assert ground.reader.check() == [complaint]
    assert ground.reader.repair() == ([f"repaired: {complaint}"], [])
    assert ground.reader.check() == [] and not os.path.exists(path)
    assert quota.usage("bob", 1000).octets == 8
    assert ground.reader.check() == [] and os.path.exists(path)


def test_a_count_that_cannot_be_read(ground, quota):
    path = f"{ground.root}/maildirsize"
    with open(path, "w") as file:
        file.write("nonsense\n")
    assert ground.reader.check() == [f"{path}: the first line is not a limit in octets and messages"]
    ground.reader.repair()
    assert ground.reader.check() == []


@pytest.mark.parametrize("young", ["maildirsize", "index.sqlite3-wal", "cur", ".A/new"])
def test_where_somebody_is_at_work_just_now_nothing_is_counted(ground, quota, young):
    """A message is there a moment before it is counted."""
    quota.add("bob", 77, 2)
    ground.reader.adopt()
    assert len(ground.reader.check()) == 1
    os.utime(f"{ground.root}/{young}", (NOW - 1, NOW - 1))
    assert ground.reader.check() == []


def test_what_comes_while_it_is_counted_is_no_fault(ground, quota, monkeypatch):
    def deliver(index, key, force):
        ground.append(ground.open(), "x")

    monkeypatch.setattr("mailsrv.store.verify.refresh", deliver)
    assert ground.reader.check() == []


def test_a_text_index_that_knows_too_much(ground):
    while ground.readers.filler("bob").work():
        pass
    texts = ground.readers.filler("bob").texts
    texts.add(texts.covered(), 99, [])
    complaint = f"{ground.root}/{FILE}: knows messages up to content 99, and 2 is the last"
    assert ground.reader.check() == [complaint]
    assert ground.reader.repair() == ([f"repaired: {complaint}"], [])
    assert ground.reader.check() == [] and not os.path.exists(f"{ground.root}/{FILE}")


def test_a_text_index_that_is_damaged_is_told_once(ground):
    with open(f"{ground.root}/{FILE}", "wb") as file:
        file.write(b"no database at all" * 1000)
    assert "search.sqlite3" in ground.reader.check()[0]
    assert ground.reader.check() == []


def test_values_that_cannot_be_read_are_told_and_left(ground):
    path = f"{ground.root}/metadata"
    for text in ("metadata 1\n-\t/private/comment\tx\n", "metadata 1\nnonsense\n"):
        with open(path, "w") as file:
            file.write(text)
        complaint = f"{path}:2: not a mailbox's id, an entry and its value with tabs between"
        complaint += "; correct it, or move it away"
        assert ground.reader.check() == [complaint] * text.count("nonsense")
        assert ground.reader.repair() == ([], [])
        with open(path) as file:
            assert file.read() == text
