import os
import selectors
import signal
import socket
import time
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import Config, LimitsConfig, ListenerConfig
from mailsrv.errors import ConfigError, Refused, StorageError
from mailsrv.serve.children import Children, Services
from mailsrv.serve.counts import SLOTS, Counts
from mailsrv.serve.generation import IMAPD, RUNNER, Generation
from mailsrv.serve.privileges import Identity
from mailsrv.serve.worker import BoundListener
from mailsrv.system.clock import SystemClock
from mailsrv.system.log import open_log

DEADLINE = 20


class QuietService:
    """Serves nobody."""

    def start(self, listeners):
        pass

    def stop_accepting(self):
        pass

    def drain(self, idle_seconds, busy_seconds):
        pass

    def sessions_left(self):
        return 0

    def kick(self, session_id):
        return True


class Nursery:
    def __init__(self, tmp_path, build):
        self.clock = SystemClock()
        self.counts = Counts(b"k" * 32, self.clock, 60)
        self.left = []
        self.premises = SimpleNamespace(holder=lambda: str(os.getpid()))
        identity = Identity(os.geteuid(), os.getegid(), "x", False)
        services = Services(build, self.counts, None, self.premises, identity, self.clock)
        self.children = Children(services, lambda generation: None)
        self.log_file = tmp_path / "log"
        log = open_log(str(self.log_file), "logfmt", "info", self.clock)
        config = Config(hostname="h", data_dir="/nowhere", limits=LimitsConfig(workers=2))
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.listener = BoundListener(listening, ListenerConfig(kind="smtp"))
        self.generation = Generation(3, config, None, log, [self.listener])

    def hear(self, child):
        with selectors.DefaultSelector() as selector:
            selector.register(child.channel.end, selectors.EVENT_READ)
            assert selector.select(DEADLINE)
        return child.channel.receive()

    def reap(self):
        end = time.monotonic() + DEADLINE
        while self.children.by_pid and time.monotonic() < end:
            for generation, child, code in self.children.reap():
                child.channel.end.close()
                yield generation, child, code


@pytest.fixture
def nurse(tmp_path):
    made = []

    def make(build=lambda context: QuietService()):
        made.append(Nursery(tmp_path, build))
        return made[-1]

    yield make
    for nursery in made:
        nursery.children.kill()
        for _ in nursery.reap():
            pass
        nursery.listener.socket.close()


def test_a_worker_from_its_start_to_its_end(nurse):
    seen = []
    nursery = nurse(lambda context: seen.append(context) or QuietService())
    child = nursery.children.start(nursery.generation, 2)
    assert nursery.hear(child) == ["ready"]
    assert nursery.generation.children == {2: child} and child.slot == 1
    with open(f"/proc/{child.pid}/comm") as file:
        assert file.read() == "mailsrv:smtpd 2\n"
    nursery.children.tell("drain 1 10", nursery.generation)
    assert list(nursery.reap()) == [(nursery.generation, child, 0)]
    assert nursery.generation.children == {} and nursery.children.by_pid == {}
    assert seen == []  # the Service was built in the child
    assert nursery.counts.claim() == 1


def test_what_the_service_is_given(nurse):
    def build(context):
        assert (context.number, context.generation, context.workers, context.slot) == (1, 3, 2, 1)
        assert context.counts.opened("192.0.2.1") == 1
        raise ConfigError(["one", "two"])

    nursery = nurse(build)
    nursery.children.start(nursery.generation, 1)
    [(_, child, code)] = nursery.reap()
    assert code == 78
    assert child.reason == "one two"
    text = nursery.log_file.read_text()
    assert "complaint=one\n" in text and "complaint=two\n" in text
    assert nursery.counts.total() == 0  # its slot was cleared


@pytest.mark.parametrize(
    ("error", "status"), [(Refused("no"), 78), (StorageError("disk"), 75), (ZeroDivisionError("bug"), 70)]
)
def test_exit_statuses(nurse, error, status):
    def build(context):
        raise error

    nursery = nurse(build)
    nursery.children.start(nursery.generation, 1)
    [(_, child, code)] = nursery.reap()
    assert code == status
    if status == 70:
        assert "ZeroDivisionError: bug" in nursery.log_file.read_text()
    else:
        assert child.reason == str(error)


def test_the_end_of_one_supervisors_channels_reaches_every_worker(nurse):
    """A later child must not hold the supervisor's end of an earlier one's channel, or the life pipe would not end."""
    nursery = nurse()
    first = nursery.children.start(nursery.generation, 1)
    second = nursery.children.start(nursery.generation, 2)
    for child in (first, second):
        assert nursery.hear(child) == ["ready"]
    first.channel.end.shutdown(socket.SHUT_RD)  # nothing: only a close ends it
    first.channel.end.close()
    assert next(nursery.reap())[1] is first
    second.channel.end.close()
    assert next(nursery.reap())[1] is second


def test_signals_of_the_group_are_the_supervisors(nurse):
    nursery = nurse()
    child = nursery.children.start(nursery.generation, 1)
    assert nursery.hear(child) == ["ready"]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(child.pid, number)
    nursery.children.tell("level info")
    assert list(nursery.children.reap()) == []
    os.kill(child.pid, signal.SIGTERM)
    [(_, _, code)] = nursery.reap()
    assert code == 0


def test_a_kill_is_told_by_its_signal(nurse):
    nursery = nurse()
    nursery.children.start(nursery.generation, 1)
    nursery.children.kill(nursery.generation)
    assert [code for _, _, code in nursery.reap()] == [-signal.SIGKILL]


def test_no_slot_no_worker(nurse):
    nursery = nurse()
    for _ in range(SLOTS):
        nursery.counts.claim()
    with pytest.raises(Refused, match="too many"):
        nursery.children.start(nursery.generation, 1)


def test_no_process_no_worker(nurse, monkeypatch):
    nursery = nurse()

    def fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(Refused, match="cannot start a worker: Resource"):
        nursery.children.start(nursery.generation, 1)
    assert nursery.counts.claim() == 1
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_each_process_gets_its_own_listeners_and_closes_the_others(nurse):
    with socket.socket() as imap:
        imap.bind(("127.0.0.1", 0))

        class Telling(QuietService):
            def start(self, listeners):
                kinds = [listener.config.kind for listener in listeners]
                open_ones = [end.fileno() >= 0 for end in (nursery.listener.socket, imap)]
                raise ConfigError([f"{kinds} {open_ones}"])

        nursery = nurse(lambda context: Telling())
        nursery.generation.listeners.append(BoundListener(imap, ListenerConfig("imap")))
        told = []
        for number in (1, IMAPD + 1, RUNNER):
            nursery.children.start(nursery.generation, number)
            [(_, child, _)] = nursery.reap()
            told.append(child.reason)
        assert told == ["['smtp'] [True, False]", "['imap'] [False, True]", "[] [False, False]"]
