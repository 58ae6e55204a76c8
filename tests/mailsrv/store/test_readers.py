"""The readers of a process: few indexes stay open, others hear of changes, quota is told."""

import os

import pytest

from mailsrv.store.account import Store
from mailsrv.store.quota import Quota
from mailsrv.store.readers import Readers
from mailsrv.store.refusals import OverQuota
from mailsrv.store.values import Incoming, Operation, Usage
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock
from tests.mailsrv.store.ground import HOST, uids


class Heard:
    def __init__(self):
        self.accounts = []

    def announce(self, *accounts):
        self.accounts += accounts


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def readers(tmp_path, heard):
    disk, clock = Disk(), FakeClock(2_000_000_000.0)
    quota = Quota(disk, Store(disk, str(tmp_path)), clock)
    readers = Readers(disk, str(tmp_path), clock, HOST, heard, quota)
    readers.quota = quota
    return readers


def append(box, octets, flags=0):
    file = box.new_file()
    file.write([octets])
    return box.append([Incoming(file, flags)])


def descriptors():
    paths = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return [os.readlink(path) for path in paths if os.path.exists(path)]


def test_few_indexes_stay_open(readers, monkeypatch):
    monkeypatch.setattr("mailsrv.store.readers.OPEN", 3)
    before = sum("index.sqlite3" in name for name in descriptors())
    all_readers = [readers.reader(f"account{number}") for number in range(8)]
    for reader in all_readers:
        append(reader.open("INBOX"), b"x")
        readers.reader(reader.account)
    mine = [name for name in descriptors() if "index.sqlite3" in name]
    assert len({name.split("/")[-2] for name in mine}) <= 3 + 5 + before
    for reader in all_readers:
        assert reader.status("INBOX").messages == 1
    readers.close()


def test_limits_come_with_the_reader(readers):
    assert readers.reader("bob", Usage(5, 6)).limits == Usage(5, 6)
    assert readers.reader("bob").limits == Usage()
    with pytest.raises(ValueError):
        readers.reader("../bob")


def test_every_change_is_announced(readers, heard):
    box = readers.reader("bob").open("INBOX")
    for change in (
        lambda: append(box, b"x"),
        lambda: box.store_flags(uids(1), Operation.ADD, 8),
        lambda: box.copy(uids(1), box),
        lambda: box.move(uids(2), box),
        lambda: box.expunge(),
    ):
        heard.accounts.clear()
        change()
        assert heard.accounts == ["bob"]
    heard.accounts.clear()
    box.expunge()
    box.store_flags(uids(1), Operation.ADD, 8)
    assert heard.accounts == []


def test_the_delivery_quota_is_told(readers):
    readers.quota.room("bob", 1000, 1)
    box = readers.reader("bob", Usage(octets=1000)).open("INBOX")
    append(box, b"", flags=0)
    readers.quota.room("bob", 1000, 1)
    append(box, b"12345", flags=8)
    box.copy(uids(2), box)
    assert readers.quota.usage("bob", 1000).octets == 10
    box.expunge(uids(2))
    usage = readers.quota.usage("bob", 1000)
    assert (usage.octets, usage.messages) == (5, 2)


def test_a_count_that_another_process_keeps_is_told_too(readers, tmp_path):
    (tmp_path / "accounts/bob").mkdir(parents=True)
    (tmp_path / "accounts/bob/maildirsize").write_text("1000S\n0 0\n")
    append(readers.reader("bob", Usage(octets=1000)).open("INBOX"), b"12345")
    assert (tmp_path / "accounts/bob/maildirsize").read_text() == "1000S\n0 0\n5 1\n"


def test_without_a_limit_there_is_no_count(readers, tmp_path):
    append(readers.reader("bob").open("INBOX"), b"12345")
    assert not (tmp_path / "accounts/bob/maildirsize").exists()


def test_limits_that_are_set_hold_for_readers_that_are_there(readers):
    """And a count that nobody kept while there was no limit is made anew."""
    reader = readers.reader("bob", Usage(100, 0))
    box = reader.open("INBOX")
    assert readers.quota.room("bob", 100, 1)
    readers.set_limits("bob", Usage())
    append(box, b"x" * 150)
    assert readers.quota.room("bob", 100, 10**12)
    readers.set_limits("bob", None)
    assert reader.limits == Usage(100)
    assert not readers.quota.room("bob", 100, 1)
    with pytest.raises(OverQuota):
        append(box, b"x")
    readers.set_limits("bob", Usage(151, 2))
    append(box, b"x")
    with pytest.raises(OverQuota):
        append(box, b"x")


def test_what_goes_again_may_be_stored_on_top(readers):
    box = readers.reader("bob", Usage(10, 1)).open("INBOX")
    append(box, b"x" * 10)
    box.free(Usage(10, 1))
    append(box, b"y" * 10)
    box.free(Usage())
    with pytest.raises(OverQuota):
        append(box, b"z")
