"""What can wait is done: rows and ready octets after a delivery, flags in names when an account is quiet."""

import threading
from pathlib import Path

import pytest

from mailsrv.errors import StorageError
from mailsrv.serve.caretaker import QUIET_SECONDS, Caretaker, Share
from mailsrv.store.reader import Reader
from mailsrv.store.readers import Readers
from mailsrv.store.values import Operation, Usage
from mailsrv.imap.numbers import NumberSet
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock
from tests.fakes.imap_client import message
from tests.fakes.log import FakeLog


class Ground:
    def __init__(self, path: Path) -> None:
        self.path, self.clock, self.log = path, FakeClock(), FakeLog()
        self.readers = Readers(Disk(), str(path), self.clock, "mx.example")
        self.caretaker = Caretaker(self.readers, Share(), self.log, self.clock)

    def deliver(self, account: str, *names: str) -> None:
        self.readers.reader(account)
        for name in names:
            (self.path / "accounts" / account / "new" / name).write_bytes(message(name))

    def box(self, account: str):
        return self.readers.reader(account, Usage()).open("INBOX")

    def ready(self, account: str) -> int:
        return self.readers._index(account).read("SELECT count(*) FROM ready")[0][0]


    def finish(self) -> None:
        """Rounds until there is no more to do."""
        while self.caretaker.work(()):
            pass


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_after_a_delivery_everything_is_computed(ground: Ground) -> None:
    ground.deliver("alice", "1.a", "2.b")
    ground.caretaker.work({"alice"})
    assert ground.ready("alice") == 2
    # There may have been more to do; the next round finds that there is not.
    ground.finish()
    assert ground.readers.filler("alice").work() is False


def test_flags_are_written_back_when_the_account_is_quiet(ground: Ground) -> None:
    ground.deliver("alice", "1.a")
    box = ground.box("alice")
    box.store_flags(NumberSet([(1, 1)]), Operation.ADD, 1)
    ground.caretaker.work({"alice"})
    ground.finish()
    files = ground.path / "accounts" / "alice"
    assert [path.name for path in files.glob("*/1.a*")] == ["1.a"]
    ground.clock.advance(QUIET_SECONDS)
    for _ in range(5):
        ground.caretaker.work(())
    assert [path.name for path in files.glob("*/1.a*")] == ["1.a:2,S"]
    assert ground.caretaker._untidy == {}


def test_only_news_are_a_reason_to_look(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsrv.serve.caretaker._STEP", 1)
    ground.deliver("alice", "1.a", "2.b", "3.c")
    looks = []
    opened = Reader.open
    monkeypatch.setattr(Reader, "open", lambda self, name: looks.append(name) or opened(self, name))
    assert ground.caretaker.work({"alice"})
    rounds = 1
    while ground.caretaker.work(()):
        rounds += 1
    assert rounds > 3 and looks == ["INBOX"] and ground.ready("alice") == 3


def test_a_crowded_new_is_cleared_at_once(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsrv.store.reader._CROWD", 3)
    monkeypatch.setattr("mailsrv.serve.caretaker._TIDY", 2)
    monkeypatch.setattr("mailsrv.store.tidy.STEP", 2)
    ground.deliver("alice", *[f"{number}.a" for number in range(9)])
    files = ground.path / "accounts" / "alice"
    assert ground.caretaker.work({"alice"}), "there is more to move"
    rounds = 1
    while ground.caretaker.work(()):
        rounds += 1
    assert rounds > 1 and len(list((files / "new").iterdir())) <= 3
    assert ground.caretaker._crowded == set()


def test_the_room_of_the_reserve_is_held_back(ground: Ground) -> None:
    ground.caretaker.stop()
    ground.caretaker.run()
    reserve = ground.path / "reserve"
    assert reserve.stat().st_size == 8 << 20
    ground.readers.reserve.give_up()
    caretaker = Caretaker(ground.readers, Share(1, 2), ground.log, ground.clock)
    ground.deliver("alice", "1.a")
    caretaker.work({"alice"})
    while caretaker.work(()):
        pass
    assert reserve.stat().st_size == 0
    ground.clock.advance(QUIET_SECONDS)
    caretaker.work(())
    assert reserve.stat().st_size == 8 << 20, "room was made"
    reserve.unlink()
    Caretaker(ground.readers, Share(1, 2), ground.log, ground.clock)._stopping = True
    assert not reserve.exists()


def test_what_fails_is_told_and_others_are_served(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.deliver("alice", "1.a")
    usual = Readers.filler

    def fail(self, account):
        if account == "bob":
            raise StorageError("broken")
        if account == "carol":
            raise ZeroDivisionError
        return usual(self, account)

    monkeypatch.setattr(Readers, "filler", fail)
    ground.caretaker.work(["bob", "carol", "alice"])
    assert ground.log.named("storage") == [{"path": "bob", "reason": "broken"}]
    assert "ZeroDivisionError" in ground.log.named("bug")[0]["traceback"]
    assert ground.ready("alice") == 1


def test_every_account_is_in_one_share() -> None:
    shares = [Share(number, 3) for number in range(3)]
    counts = [sum(share.has(f"account{number}") for number in range(300)) for share in shares]
    assert sum(counts) == 300
    assert min(counts) > 60


def test_the_thread_works_at_what_is_noted_and_ends(ground: Ground) -> None:
    done = threading.Event()
    caretaker = ground.caretaker
    usual = caretaker.work

    def work(noted) -> None:
        usual(noted)
        if "alice" in noted:
            done.set()

    caretaker.work = work
    thread = threading.Thread(target=caretaker.run)
    thread.start()
    ground.deliver("alice", "1.a")
    caretaker.note({"alice"})
    assert done.wait(20)
    caretaker.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert ground.ready("alice") == 1


def test_accounts_of_others_are_not_noted(ground: Ground) -> None:
    other = next(number for number in (0, 1) if not Share(number, 2).has("alice"))
    caretaker = Caretaker(ground.readers, Share(other, 2), ground.log, ground.clock)
    caretaker.note(["alice"])
    assert caretaker._noted == set()
