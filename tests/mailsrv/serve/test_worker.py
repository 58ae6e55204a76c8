import socket
import threading
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import Config, LimitsConfig, ListenerConfig
from mailsrv.serve.worker import BoundListener, Channel, Work
from mailsrv.system.clock import SystemClock
from tests.fakes.log import FakeLog

DEADLINE = 20


class EchoService:
    """Writes down what it is told; `left` sessions live."""

    def __init__(self, left=0):
        self.calls = []
        self.left = left
        self.listening = None

    def start(self, listeners):
        self.calls.append("start")
        self.listening = listeners[0].socket

    def stop_accepting(self):
        # The socket is still open here: the worker closes it only afterwards.
        self.calls.append(("stop_accepting", self.listening.fileno() >= 0))

    def drain(self, idle_seconds, busy_seconds):
        self.calls.append(("drain", idle_seconds, busy_seconds))

    def sessions_left(self):
        return self.left

    def kick(self, session_id):
        self.calls.append(("kick", session_id))
        return True


class Running:
    """A worker's loop in a thread, and the supervisor's end of its channel."""

    def __init__(self, left=0, drain_seconds=60):
        self.service = EchoService(left)
        self.log = FakeLog()
        self.forgotten = []
        self.successor = False
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE)
        self.channel = Channel(ours)
        self.wakeup, self.wakes = socket.socketpair()
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.listener = BoundListener(listening, ListenerConfig(kind="smtp"))
        context = SimpleNamespace(
            config=Config(
                hostname="h", data_dir="/nowhere", limits=LimitsConfig(drain_seconds=drain_seconds)
            ),
            log=self.log,
            clock=SystemClock(),
            counts=SimpleNamespace(forget=self.forgotten.append),
        )
        self.theirs = theirs
        work = Work(context, self.service, Channel(theirs), lambda: self.successor)
        self.thread = threading.Thread(target=work.run, args=([self.listener], self.wakeup))
        self.thread.start()
        assert self.channel.receive() == ["ready"]

    def join(self):
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()

    def close(self):
        for each in (self.channel.end, self.theirs, self.wakeup, self.wakes, self.listener.socket):
            each.close()


@pytest.fixture
def make():
    made = []

    def make_one(*args, **words):
        made.append(Running(*args, **words))
        return made[-1]

    yield make_one
    for running in made:
        running.service.left = 0
        running.channel.end.close()
        running.join()
        running.close()


def test_it_stops_accepting_closes_and_drains(make):
    running = make(left=1)
    running.channel.send("drain 60 600")
    running.service.left = 0
    running.join()
    assert running.service.calls == ["start", ("stop_accepting", True), ("drain", 60, 600)]
    assert running.listener.socket.fileno() < 0


def test_it_waits_for_sessions_no_longer_than_its_time(make):
    running = make(left=1)
    running.channel.send("drain 0.1 0.1")
    running.join()
    assert running.service.left == 1


def test_a_second_drain_may_shorten_the_first(make):
    running = make(left=1)
    running.channel.send("drain 60 600")
    running.channel.send("drain 0 0.1")
    running.join()
    assert running.service.calls[1:] == [("stop_accepting", True), ("drain", 60, 600), ("drain", 0, 0.1)]


def test_what_it_is_told(make):
    running = make()
    for line in ("kick abc", "reopen", "level error", "forget 2001:db8::/64", "drain 1 10"):
        running.channel.send(line)
    running.join()
    assert ("kick", "abc") in running.service.calls
    assert running.log.reopened == 1 and running.log.level == "error"
    assert running.forgotten == ["2001:db8::/64"]


def test_a_signal_drains_as_the_configuration_says(make):
    running = make(drain_seconds=7)
    running.wakes.send(b"\x0f")
    running.join()
    assert running.service.calls[-1] == ("drain", 7, 70)


def test_the_death_of_the_supervisor_drains(make):
    running = make(drain_seconds=7)
    running.channel.end.close()
    running.join()
    assert running.service.calls[1:] == [("stop_accepting", True), ("drain", 7, 70)]


def test_an_orphan_hurries_when_somebody_waits(make):
    running = make(left=1, drain_seconds=60)
    running.successor = True
    running.channel.end.close()
    running.join()
    assert running.service.calls[-2:] == [("drain", 60, 600), ("drain", 0, 1)]


def test_lines_arrive_whole():
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    ours.send(b"one\ntw")
    assert channel.receive() == ["one"]
    ours.send(b"o\n")
    assert channel.receive() == ["two"]
    theirs.setblocking(False)
    assert channel.receive() == []
    assert Channel(ours).send("many\nlines")
    assert channel.receive() == ["many lines"]
    ours.close()
    assert channel.receive() is None
    assert not channel.send("nobody")
    theirs.close()
