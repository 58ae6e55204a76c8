"""The pump of IMAP: what it sends and when, the times it keeps, and last words. With a port: test_imapd.py."""

import socket
import threading

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.errors import StorageError
from mailsrv.imap.answers import Continue, ok
from mailsrv.imap.events import Command, Connected, IdleEnd
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Limits, Offer
from mailsrv.serve.imap_pump import ImapPump
from mailsrv.serve.imap_wire import ImapWire
from mailsrv.serve.pump import Surroundings
from mailsrv.serve.wire import Drain
from mailsrv.system.clock import SystemClock

CLOCK = SystemClock()


class Policy:
    """Says yes to everything; NOOP does what the test says."""

    def __init__(self) -> None:
        self.wants_rings = False
        self.on_noop = lambda policy: None
        self.rung = 0

    def connect(self, core, flush, ring):
        self.core, self.flush, self.ring = core, flush, ring

    def answer(self, event):
        name = event.row.name if isinstance(event, Command) else ""
        if name == "IDLE":
            self.wants_rings = True
            return Continue()
        if isinstance(event, IdleEnd):
            self.wants_rings = False
        if name == "NOOP":
            self.on_noop(self)
        return ok("done") if isinstance(event, Connected | Command | IdleEnd) else None

    def offer(self):
        return Offer(login=True, compress=True)

    def tls_started(self, info):
        raise AssertionError("no TLS here")

    def woken(self):
        self.rung += 1
        self.core.send(b"* %d EXISTS\r\n" % self.rung)


class Running:
    def __init__(self, **limits) -> None:
        ours, self.client = socket.socketpair()
        self.client.settimeout(20)
        self.file = self.client.makefile("rb")
        self.drain = Drain()
        self.policy = Policy()
        self.wire = ImapWire(ours, self.drain, CLOCK, 5)
        core = ServerSession(Limits(), Offer(login=True))
        surroundings = Surroundings(LimitsConfig(**limits), None, self.drain, CLOCK)
        self.pump = ImapPump(self.wire, core, self.policy, surroundings)
        self.ends: list[str] = []
        self.thread = threading.Thread(target=lambda: self.ends.append(self.pump.run()))

    def start(self) -> "Running":
        self.thread.start()
        assert self.hear().startswith("* OK")
        return self

    def say(self, *lines: str) -> None:
        self.client.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def hear(self) -> str:
        return self.file.readline().decode().removesuffix("\r\n")

    def end(self) -> str:
        self.file.close()
        self.client.close()
        self.thread.join(20)
        self.wire.close()
        return self.ends[0]


def test_a_session_from_greeting_to_logout() -> None:
    running = Running().start()
    running.say("a LOGIN x y", "b NOOP", "c LOGOUT")
    assert running.hear().startswith("a OK")
    assert [running.hear() for _ in range(3)] == ["b OK done", "* BYE until next time", "c OK done"]
    assert running.end() == "quit"


def test_much_is_sent_before_the_command_is_done() -> None:
    running = Running()
    heard = threading.Event()

    def speak(policy: Policy) -> None:
        policy.core.send(b"* first\r\n")
        policy.flush()
        assert heard.wait(20)

    running.policy.on_noop = speak
    running.start()
    running.say("a NOOP")
    assert running.hear() == "* first"
    heard.set()
    assert running.hear() == "a OK done"
    assert running.end().startswith("gone")


def test_rings_while_the_session_idles() -> None:
    running = Running().start()
    running.policy.ring()
    running.say("a LOGIN x y", "b IDLE")
    assert running.hear().startswith("a OK")
    assert running.hear() == "+ idling"
    assert running.hear() == "* 1 EXISTS"
    running.policy.ring()
    assert running.hear() == "* 2 EXISTS"
    running.say("DONE")
    assert running.hear() == "b OK done"
    running.end()


@pytest.mark.parametrize(
    ("stop", "words", "end"),
    [
        (lambda running: running.wire.kick(), "* BYE the postmaster has ended this session", "kicked"),
        (lambda running: running.wire.nudge(), "* BYE the server is restarting, please connect again", "drain"),
    ],
)
def test_ends_from_outside(stop, words, end) -> None:
    running = Running().start()
    stop(running)
    assert running.hear() == words
    assert running.end() == end


def test_a_worker_that_wants_to_stop_ends_sessions_that_begin_to_wait() -> None:
    running = Running().start()
    running.policy.on_noop = lambda policy: running.drain.start(CLOCK.monotonic(), CLOCK.monotonic() + 60)
    running.say("a NOOP")
    assert [running.hear(), running.hear()] == [
        "a OK done", "* BYE the server is restarting, please connect again"
    ]  # fmt: skip
    assert running.end() == "drain"


def test_a_message_that_does_not_come() -> None:
    running = Running(data_seconds=1)
    running.policy.answer = lambda event, usual=running.policy.answer: (
        Continue() if "Append" in repr(event) or type(event).__name__ == "MessageStart" else usual(event)
    )
    running.start()
    running.say("a LOGIN x y", "b APPEND INBOX {100}")
    assert running.hear().startswith("a OK")
    assert running.hear() == "+ go ahead"
    assert running.wire.idle_since == 0.0
    running.say("only a part")
    assert running.hear() == "* BYE too long without octets of the message, closing the connection"
    assert running.end() == "timeout"


def test_a_disk_that_fails_in_the_middle_of_an_answer() -> None:
    def fail(policy: Policy) -> None:
        raise StorageError("/data/x: broken")

    running = Running()
    running.policy.on_noop = fail
    running.start()
    running.say("a NOOP")
    running.thread.join(20)
    assert running.end() == "error: /data/x: broken"


def test_no_tls_where_there_is_none() -> None:
    running = Running()
    running.pump._core.offer = Offer(starttls=True)
    running.start()
    running.say("a STARTTLS")
    assert running.hear() == "a OK done"
    assert running.hear().startswith("* BYE [SERVERBUG]")
    assert running.end() == "no TLS"
