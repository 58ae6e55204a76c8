"""Every operation of the store, cut off at each of its steps by the end of the process (DESIGN section 7)."""

import gc
import os
import shutil
from dataclasses import replace

import pytest

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.database import Database
from mailsrv.store.index import SCHEMA
from mailsrv.store.keywords import forget_unused
from mailsrv.store.values import ANSWERED, DELETED, FLAGGED, SEEN, Incoming, NamedFlags, Operation
from mailsrv.system.disk import Disk

from tests.crash import store
from tests.crash.store import HOST, Killed, Watched, append, deliver, every, finish, look, reader, texts
from tests.fakes.clock import FakeClock

LATER = 2_000_000_000.0 + 3600


@pytest.fixture(autouse=True, scope="module")
def steps_at_commits():
    """Commits are steps. Nobody cuts the power here, so that the disk need not be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "write", store.write)
        patch.setattr("mailsrv.store.index.SCHEMA", replace(SCHEMA, durable=False))
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda fd: None)
        yield


# What the account holds before; gives nothing.


def prepare(data_dir):
    account = reader(data_dir)
    inbox = account.open("INBOX")
    for number in range(4):
        append(inbox, f"inbox {number}", (0, SEEN, FLAGGED, DELETED)[number])
    inbox.store_flags(NumberSet([(1, 1)]), Operation.ADD, inbox.keyword_bit("$Work", create=True))
    account.create("Archive/2026")
    account.create("Other")
    other = account.open("Other")
    append(other, "other 0")
    append(other, "other 1", SEEN)
    account.subscribe("Other")
    finish(account)


# The operations. Each takes the account; what it gives is what the client was told.


def adopt(account):
    return account.open("INBOX").view()


def append_two(account):
    inbox = account.open("INBOX")
    files = []
    for text in ("appended 1", "appended 2"):
        file = inbox.new_file()
        file.write([text.encode()])
        files.append(Incoming(file, SEEN | ANSWERED))
    return inbox.append(files)


def copy(account):
    inbox = account.open("INBOX")
    return inbox.copy(NumberSet([(1, 3)]), account.open("Other"))


def move(account):
    inbox = account.open("INBOX")
    return inbox.move(NumberSet([(1, 3)]), account.open("Other"))


def move_to_and_fro(account):
    inbox, other = account.open("INBOX"), account.open("Other")
    there = inbox.move(NumberSet([(1, 2)]), other)
    return other.move(NumberSet.of(uid for _, uid in there), inbox)


def move_within(account):
    inbox = account.open("INBOX")
    return inbox.move(NumberSet([(1, 2)]), inbox)


def change_flags(account):
    return account.open("INBOX").store_flags(NumberSet([(1, 3)]), Operation.ADD, ANSWERED)


def expunge(account):
    return account.open("INBOX").expunge()


def create(account):
    return account.create("New/Deep", "\\Sent")


def delete(account):
    return account.delete("Other")


def rename(account):
    return account.rename("Archive", "Old/Archive")


def rename_inbox(account):
    return account.rename("INBOX", "Kept")


def subscribe(account):
    return account.subscribe("Archive/2026")


def tidied(operation):
    def both(account):
        operation(account)
        finish(account)

    both.__name__ = f"{operation.__name__}_and_tidy"
    return both


BASIC = (adopt, append_two, copy, move, move_to_and_fro, move_within, change_flags, expunge, create, delete, rename)
OPERATIONS = (
    *BASIC, rename_inbox, subscribe, *map(tidied, (adopt, copy, move, move_to_and_fro, move_within, change_flags)),
    *map(tidied, (expunge, delete, rename_inbox)),
)  # fmt: skip

INBOX = ["inbox 0", "inbox 1", "inbox 2", "inbox 3"]
OTHER = ["other 0", "other 1"]
DELIVERED = ["delivered 0", "delivered 1"]
# Messages that may be gone afterwards, and messages that may be there twice (nobody was told that they are not).
MAY_GO = {"expunge": ["inbox 3"], "delete": OTHER}
MAY_DOUBLE = {"copy": INBOX[:3]}


def check(operation, before, after):
    """What must be true whether it was done or not."""
    name = operation.__name__.removesuffix("_and_tidy")
    kept = INBOX + OTHER + DELIVERED
    found = texts(after)
    for text in kept:
        count = found.count(text)
        assert count or text in MAY_GO.get(name, ()), f"{text} is lost"
        assert count < 2 or count == 2 and text in MAY_DOUBLE.get(name, ()), f"{text} is there {count} times"
    assert set(found) - set(kept) <= {"appended 1", "appended 2"}
    assert found.count("appended 1") < 2 and found.count("appended 2") < 2
    for _, uidvalidity, messages in after.values():
        for _, known, old in before.values():
            if known == uidvalidity:
                for uid in messages.keys() & old.keys():
                    assert messages[uid][0] == old[uid][0], f"UID {uid} was another message"


def count_steps(data_dir, operation):
    disk = Watched()
    operation(reader(data_dir, disk))
    assert disk.faults == []
    return disk.count


@pytest.fixture(scope="module")
def ground(tmp_path_factory, steps_at_commits):
    """The account before any operation; two messages have just been delivered to it."""
    path = tmp_path_factory.mktemp("ground")
    prepare(path)
    deliver(path, 0)
    deliver(path, 1)
    gc.collect()  # connections that are closed later would take SQLite's files away while the ground is copied
    return path


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_the_process_dies_anywhere(tmp_path, ground, operation):
    shutil.copytree(ground, tmp_path / "count")
    before = look(reader(tmp_path / "count"))
    shutil.rmtree(tmp_path / "count")
    shutil.copytree(ground, tmp_path / "count")
    steps = count_steps(tmp_path / "count", operation)
    assert steps > 1
    for kill_at in range(steps):
        path = tmp_path / str(kill_at)
        shutil.copytree(ground, path)
        with pytest.raises(Killed):
            operation(reader(path, Watched(kill_at)))
        account = reader(path, clock=FakeClock(LATER))
        if kill_at % 2:
            # What is left half done is no fault, also before anybody has looked or tidied.
            assert account.check() == []
            assert account.repair() == ([], [])
        after = look(account)
        check(operation, before, after)
        finish(account)
        assert account.check() == []
        assert look(reader(path)) == after, "idle work changes nothing that a client sees"
        assert account.check() == []
        if kill_at % 5 == 0:
            for name in ("index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"):
                (path / "accounts/bob" / name).unlink(missing_ok=True)
            account = reader(path, clock=FakeClock(LATER))
            assert account.repair() == ([], [])
            compare_without_index(after, look(account))
        shutil.rmtree(path)


def compare_without_index(before, after):
    """The index was lost: every message, mailbox and system flag is there, under other UIDVALIDITYs."""
    assert before.keys() == after.keys()
    for name, (mailboxid, uidvalidity, messages) in before.items():
        assert after[name][0] == mailboxid
        assert after[name][1] > uidvalidity
        assert sorted((text, flags & 31) for text, flags in messages.values()) == sorted(after[name][2].values())


@pytest.mark.parametrize("operation", BASIC, ids=lambda operation: operation.__name__)
def test_the_recovery_dies_too(tmp_path, ground, operation):
    shutil.copytree(ground, tmp_path / "count")
    before = look(reader(tmp_path / "count"))
    shutil.copytree(ground, tmp_path / "again")
    steps = count_steps(tmp_path / "again", operation)
    for kill_at in range(1, steps, max(steps // 4, 1)):
        for again in range(0, 24, 4):
            path = tmp_path / f"{kill_at}-{again}"
            shutil.copytree(ground, path)
            with pytest.raises(Killed):
                operation(reader(path, Watched(kill_at)))
            try:
                account = reader(path, Watched(again), FakeClock(LATER))
                look(account)
                finish(account)
            except Killed:
                pass
            account = reader(path, clock=FakeClock(LATER))
            after = look(account)
            check(operation, before, after)
            finish(account)
            assert look(account) == after
            assert account.check() == []
            shutil.rmtree(path)


@pytest.mark.parametrize("name", ["sync_directory"])
def test_a_missing_sync_is_seen(tmp_path, ground, monkeypatch, name):
    shutil.copytree(ground, tmp_path / "x")
    monkeypatch.setattr(Watched, name, lambda self, path: None)
    disk = Watched()
    copy(reader(tmp_path / "x", disk))
    assert disk.faults


def test_a_file_that_is_not_synced_is_seen(tmp_path, ground, monkeypatch):
    shutil.copytree(ground, tmp_path / "x")
    monkeypatch.setattr(store.WatchedFile, "sync", lambda self: None)
    disk = Watched()
    append_two(reader(tmp_path / "x", disk))
    assert any(",S=10" in fault for fault in disk.faults)


def test_what_was_told_is_there(tmp_path, ground):
    """Each operation ends, then the process dies: what the client was told is true."""
    shutil.copytree(ground, tmp_path / "x")
    account = reader(tmp_path / "x")
    uids = append_two(account)
    pairs = copy(account)
    moved = account.open("INBOX").move(NumberSet.of(uids), account.open("Archive/2026"))
    seen = look(reader(tmp_path / "x"))
    assert [seen["Archive/2026"][2][uid][0] for _, uid in moved] == ["appended 1", "appended 2"]
    assert [seen["Other"][2][new][0] for _, new in pairs] == INBOX[:3]
    assert texts(seen, "INBOX") == sorted(INBOX + DELIVERED)


def name_another_keyword(account):
    account.open("INBOX").store_flags(NumberSet([(2, 3)]), Operation.ADD, NamedFlags(0, ("new", "K1")))


def forget_keywords(account):
    inbox = account.open("INBOX")
    forget_unused(inbox._index, inbox._key, 0)


def keywords_of(account):
    """The names that each message of INBOX has, in small letters."""
    rows, keywords = account.open("INBOX").named_rows(None, ("uid", "flags"))
    return {uid: {name.lower() for mask, name in keywords if word & mask} for uid, word in rows}


@pytest.mark.parametrize("operation", [name_another_keyword, forget_keywords])
def test_keywords_when_bits_change_hands(tmp_path, ground, operation):
    """All 55 are known and two are some message's; the process dies anywhere."""
    shutil.copytree(ground, tmp_path / "full")
    account = reader(tmp_path / "full")
    account.open("INBOX").keyword_word([f"k{number}" for number in range(54)], create=True)
    account.open("INBOX").store_flags(NumberSet([(2, 2)]), Operation.ADD, NamedFlags(0, ("k9",)))
    del account
    gc.collect()
    before = {1: {"$work"}, 2: {"k9"}, 3: set(), 4: set(), 5: set(), 6: set()}
    after = before | {2: {"k9", "new", "k1"}, 3: {"new", "k1"}}
    shutil.copytree(tmp_path / "full", tmp_path / "count")
    steps = count_steps(tmp_path / "count", operation)
    for kill_at in range(steps):
        path = tmp_path / str(kill_at)
        shutil.copytree(tmp_path / "full", path)
        with pytest.raises(Killed):
            operation(reader(path, Watched(kill_at)))
        account = reader(path, clock=FakeClock(LATER))
        assert keywords_of(account) in ([before, after] if operation is name_another_keyword else [before])
        name_another_keyword(account)
        assert keywords_of(account) == after
        assert account.check() == []


def test_a_file_that_fails_leaves_nothing(tmp_path, ground):
    """The disk refuses in the middle of COPY and MOVE: the target is as it was."""
    from mailsrv.errors import StorageFull

    shutil.copytree(ground, tmp_path / "x")
    before = look(reader(tmp_path / "x"))

    class Refusing(Disk):
        left = 2

        def link(self, source, target):
            if not self.left:
                raise StorageFull(target)
            self.left -= 1
            super().link(source, target)

    for operation in (copy, move):
        with pytest.raises(StorageFull):
            operation(reader(tmp_path / "x", Refusing()))
        account = reader(tmp_path / "x")
        account.open("Other").refresh(force=True)
        assert look(account) == before
    assert HOST and every(reader(tmp_path / "x").open("Other"))
