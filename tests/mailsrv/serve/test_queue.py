"""The runner's process put together: from a queue file to another host and into an account, and its end."""

from pathlib import Path

import pytest

from mailsrv.config.schema import AccountConfig, Config, DnsConfig, QueueConfig, RouteConfig
from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.serve.queue import Place, QueueService, build_runner
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import prepare
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from mailsrv.system.wake import Doorbell, Waker
from tests.fakes.log import FakeLog
from tests.fakes.mx import Behaviour, FakeMx
from tests.whole.running import wait_until

MESSAGE = b"From: carol@far.example\r\nSubject: lunch\r\n\r\nAt noon?\r\n"


class Stage:
    """A data_dir whose mail for elsewhere goes to one fake host."""

    def __init__(self, path, mx):
        self.disk = Disk()
        self.layout = prepare(self.disk, str(path))
        self.config = Config(
            hostname="mx.example.org", data_dir=str(path), domains=["example.org"],
            accounts=[AccountConfig("ada", ["ada@example.org"])],
            queue=QueueConfig(connections_per_hop=1, idle_seconds=0),
            routes=[RouteConfig(f"smtp:127.0.0.1:{mx.port}", ["*"])], dns=DnsConfig(["127.0.0.1"]),
        )  # fmt: skip
        self.log = FakeLog()
        self.place = Place(self.config, self.log, SystemClock(), 5)
        self.spool = Spool(self.disk, str(path), Waker())
        self.ids = QueueIds(SystemClock(), 6)
        self.service = QueueService(self.place)

    def put(self, *addresses):
        recipients = tuple(Recipient(Address(*one.split("@"))) for one in addresses)
        identifier = child(self.ids.new(), 0)
        now = SystemClock().now()
        own = Envelope(identifier, now, Address("carol", "far.example"), recipients, size=len(MESSAGE))
        with Scratch(self.disk, "", 0, MemoryBudget(0)) as nothing:
            self.spool.enqueue(own, Octets(MESSAGE, nothing))
        return identifier

    def queued(self):
        return self.disk.names(self.layout.queue)


@pytest.fixture
def mx():
    with FakeMx() as made:
        yield made


@pytest.fixture
def stage(tmp_path, mx):
    made = Stage(tmp_path, mx)
    yield made
    made.service.stop_accepting()
    wait_until(lambda: not made.service.sessions_left(), "the end of deliveries")


def test_what_lies_there_and_what_comes(stage, mx):
    stage.put("erin@remote.example", "ada@example.org")
    stage.service.start([])
    mx.wait_for(1)
    stage.put("frank@remote.example")
    assert [one.recipients for one in mx.wait_for(2)] == [["erin@remote.example"], ["frank@remote.example"]]
    wait_until(lambda: not stage.queued(), "an empty queue")
    [path] = (Path(stage.config.data_dir) / "accounts" / "ada" / "new").iterdir()
    assert path.read_bytes().endswith(MESSAGE)
    assert not stage.service.kick("anything")


def test_before_it_is_started_it_can_be_stopped(stage):
    assert stage.service.sessions_left() == 0
    stage.service.drain(0, 0)
    stage.service.stop_accepting()


def test_at_its_end_running_deliveries_are_settled_and_others_wait(stage, mx):
    mx.behave(Behaviour(drip=0.01))
    for _ in range(3):
        stage.put("erin@remote.example")
    stage.service.start([])
    mx.wait_until(lambda: any(line.startswith("MAIL") for line in mx.commands), "a transaction")
    stage.service.stop_accepting()
    wait_until(lambda: not stage.service.sessions_left(), "the end of deliveries")
    assert len(mx.accepted) + len(stage.queued()) == 3
    assert len(stage.queued()) == 2
    assert stage.disk.names(stage.layout.journal) == []


def test_a_key_that_cannot_be_read_is_told_at_the_start(stage, tmp_path):
    directory = tmp_path / "dkim" / "example.org"
    directory.mkdir(parents=True)
    (directory / "keys.json").write_text("nonsense")
    with Doorbell(str(tmp_path / "bell")) as bell, pytest.raises(GrammarError, match="keys.json"):
        build_runner(stage.place, bell)
