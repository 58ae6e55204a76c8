"""What the runner's process does beside the queue: the drop directory, what others may read, and its doorbell."""

import os

import pytest

from mailsrv.config.schema import AccountConfig, Config, GreylistConfig
from mailsrv.deliver.dispatch import Destination
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.errors import StorageError
from mailsrv.receive.drops import read_counts
from mailsrv.serve.rounds import Rounds
from mailsrv.spool.drop import DIRECTORY_MODE, Request, leave
from mailsrv.spool.hops import HOPS, read_hops
from mailsrv.spool.layout import prepare
from mailsrv.spool.scan import list_ids
from mailsrv.store.senders import Senders
from mailsrv.system.disk import Disk
from mailsrv.system.wake import Doorbell, Waker, Woken
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog

DROP = "dZJjly8m603"


class Stage:
    """Rounds, and a runner as they see it."""

    def __init__(self, path, **more):
        self.disk = Disk()
        self.layout = prepare(self.disk, str(path / "data"))
        self.drops = path / "drop"
        self.drops.mkdir()
        self.drops.chmod(DIRECTORY_MODE)
        self.log = FakeLog()
        self.config = Config(
            hostname="mx.example.org", data_dir=self.layout.data_dir, drop_dir=str(self.drops),
            domains=["example.org"], accounts=[AccountConfig("ada", ["ada@example.org"])], **more,
        )  # fmt: skip
        self.clock = FakeClock(2_000_000_000.0)
        self.rounds = Rounds(self.config, self.log, self.clock)
        self.doorbell = self.rounds.hang_doorbell()
        self.known = []
        self.dispatcher = self

    def destinations(self):
        return self.known

    def go(self):
        self.rounds.go(self)


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.doorbell.close()


def test_a_dropped_message_is_queued_and_wakes_the_runner(stage):
    name = f"{DROP}0"
    leave(stage.disk, str(stage.drops), name, Request(("erin@remote.example",)), b"Subject: x\r\n\r\nhi\r\n")
    stage.go()
    assert list_ids(stage.disk, stage.layout) == [name]
    assert name not in os.listdir(stage.drops)
    assert stage.doorbell.take() == [name.encode()]


def test_the_numbers_for_everybody(stage):
    stage.go()
    counts = read_counts(stage.disk, str(stage.drops))
    assert (counts.queued, counts.held) == (0, 0)


def test_what_is_known_of_next_hops(stage):
    bad, good = (Destination(NextHop(HopKind.DIRECT, f"{name}.example")) for name in ("bad", "good"))
    bad.backoff.failed("connection refused", 1000.0, stage.config.queue, lambda n: n // 2)
    good.threads = 2
    stage.known = [bad, good]
    stage.go()
    states = read_hops(stage.disk, stage.layout)
    assert set(states) == {"bad.example", "good.example"}
    assert states["bad.example"].failures == 1 and states["bad.example"].error == "connection refused"
    assert states["bad.example"].not_before == 1300
    assert states["good.example"].threads == 2
    path = f"{stage.layout.data_dir}/{HOPS}"
    before = stage.disk.stamp(path)
    stage.go()
    assert stage.disk.stamp(path) == before, "written although nothing has changed"


def test_a_drop_directory_that_is_wrong_hides_nothing_else(stage):
    stage.drops.chmod(0o700)
    stage.known = [Destination(NextHop(HopKind.DIRECT, "good.example"))]
    with pytest.raises(StorageError, match="mode"):
        stage.go()
    assert set(read_hops(stage.disk, stage.layout)) == {"good.example"}
    stage.go()  # told once a minute, not once a second
    stage.clock.advance(60)
    with pytest.raises(StorageError, match="mode"):
        stage.go()
    stage.drops.chmod(DIRECTORY_MODE)
    stage.clock.advance(60)
    stage.go()


def test_the_doorbell_of_a_dead_process_is_replaced(stage):
    """A process that was to follow us took our place at the door, and died."""
    waker = Waker()
    other = Doorbell(stage.layout.wake)
    other._socket.close()
    assert waker.wake(stage.layout.wake, b"-") is Woken.NOBODY
    first = stage.doorbell
    stage.go()
    assert stage.doorbell is not first
    assert waker.wake(stage.layout.wake, b"-") is Woken.SENT
    assert stage.doorbell.take() == [b"-"]
    second = stage.doorbell
    stage.go()
    assert stage.doorbell is second
    os.unlink(stage.layout.wake)
    stage.go()
    assert waker.wake(stage.layout.wake, b"x") is Woken.SENT
    waker.close()


@pytest.fixture
def greylisting(tmp_path):
    made = Stage(tmp_path, greylist=GreylistConfig(enabled=True))
    yield made
    made.doorbell.close()


def test_once_an_hour_old_senders_are_forgotten(greylisting, monkeypatch):
    asked = []
    answers = [True, False]

    def expire(_):
        asked.append(greylisting.clock.now())
        return answers.pop(0) if answers else False

    monkeypatch.setattr(Senders, "expire", expire)
    began = greylisting.clock.now()
    for _ in range(3):  # the first did not do all of it
        greylisting.go()
    assert asked == [began, began]
    greylisting.clock.advance(3599)
    greylisting.go()
    assert asked == [began, began]
    greylisting.clock.advance(1)
    greylisting.go()
    assert asked == [began, began, began + 3600]


def test_trouble_with_senders_does_not_stop_the_rest(greylisting):
    (greylisting.drops.parent / "data" / "senders.sqlite3").mkdir()
    greylisting.known = [Destination(NextHop(HopKind.DIRECT, "far.example"))]
    greylisting.go()
    assert set(read_hops(greylisting.disk, greylisting.layout)) == {"far.example"}
    assert len(greylisting.log.named("storage")) == 1


def test_nobody_who_does_not_greylist_keeps_senders(stage):
    stage.go()
    assert "senders.sqlite3" not in os.listdir(stage.layout.data_dir)
