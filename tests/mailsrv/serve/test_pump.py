"""The pump over real socket pairs: whole dialogues, one write per group of replies, times, drain, kicks, TLS."""

import dataclasses
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.mail.reply import Reply
from mailsrv.serve.pump import Pump, Surroundings
from mailsrv.serve.wire import Drain, Wire
from mailsrv.smtp import events
from mailsrv.smtp.events import Event, Kind, Limits, Offer
from mailsrv.smtp.session import ServerSession
from mailsrv.system import tls
from mailsrv.system.clock import SystemClock

OK = Reply(250, "2.0.0", "ok")
ANSWERS: dict[type, Reply] = {
    events.Connected: Reply(220, "", "mx.example ESMTP ready"),
    events.Hello: Reply(250, "", "mx.example"),
    events.StartTls: Reply(220, "2.0.0", "go"),
    events.DataStart: Reply(354, "", "go"),
    events.Quit: Reply(221, "2.0.0", "bye"),
}


class OpenPolicy:
    """Says yes to everything and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[Event] = []
        self.info: tls.TlsInfo | None = None

    def answer(self, event: Event) -> Reply | None:
        self.seen.append(event)
        return None if isinstance(event, events.DataChunk) else ANSWERS.get(type(event), OK)

    def offer(self) -> Offer:
        return Offer(starttls=self.info is None)

    def tls_started(self, info: tls.TlsInfo) -> None:
        self.info = info


class Server:
    """A pump in a thread, its client's end, and how it ended."""

    def __init__(self, limits: LimitsConfig, server_tls: tls.ServerTls | None = None) -> None:
        near, self.far = socket.socketpair()
        self.far.settimeout(20)
        self.drain = Drain()
        self.wire = Wire(near, self.drain, SystemClock())
        self.policy = OpenPolicy()
        self.core = ServerSession(Kind.SMTP, "mx.example", "4242", Limits(), Offer(starttls=server_tls is not None))
        self.end = ""
        surroundings = Surroundings(limits, server_tls, self.drain, SystemClock())
        self._pump = Pump(self.wire, self.core, self.policy, surroundings, " id=4242")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.end = self._pump.run()
        self.wire.close()

    def say(self, octets: bytes) -> None:
        self.far.sendall(octets)

    def reads(self, last: bytes) -> bytes:
        """Everything up to the line that begins with `last`."""
        octets = b""
        while not any(line.startswith(last) for line in octets.split(b"\r\n")[:-1]):
            more = self.far.recv(65536)
            assert more, octets
            octets += more
        return octets

    def ended(self) -> str:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.end

    def close(self) -> None:
        self.far.close()
        self.ended()
        self.drain.close()


@pytest.fixture
def limits() -> LimitsConfig:
    return LimitsConfig(command_seconds=20, data_seconds=20, session_seconds=60)


@pytest.fixture
def server(limits: LimitsConfig) -> Iterator[Server]:
    made = Server(limits)
    yield made
    made.close()


def test_a_dialogue_to_its_end(server: Server) -> None:
    server.reads(b"220")
    server.say(b"EHLO c.example\r\n")
    server.reads(b"250 ")
    server.say(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert server.reads(b"354").count(b"\r\n") == 3
    server.say(b"Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n")
    assert server.reads(b"221").startswith(b"250 2.0.0 ok\r\n221")
    assert server.far.recv(1) == b""
    assert server.ended() == "quit"
    body = b"".join(event.octets for event in server.policy.seen if isinstance(event, events.DataChunk))
    assert body == b"Subject: x\r\n\r\n.dot\r\n"


def test_the_replies_to_a_pipelined_group_leave_in_one_write(server: Server) -> None:
    server.reads(b"220")
    server.say(b"EHLO c.example\r\n")
    server.reads(b"250 ")
    server.say(b"RSET\r\n" * 20)
    assert server.far.recv(65536).count(b"250 2.0.0") == 20


def test_a_client_that_just_goes(server: Server) -> None:
    server.reads(b"220")
    server.far.close()
    assert server.ended().startswith("gone")


def test_a_framing_fault_gets_its_554_and_the_end(server: Server) -> None:
    server.reads(b"220")
    server.say(b"EHLO c.example\nMAIL FROM:<x@y.example>\r\n")
    assert server.reads(b"554").endswith(b"id=4242\r\n")
    assert server.far.recv(1) == b""
    server.far.close()
    assert server.ended().startswith("fault")


@pytest.mark.parametrize("change", [{"command_seconds": 0}, {"session_seconds": 0}])
def test_time_runs_out(limits: LimitsConfig, change: dict[str, int]) -> None:
    server = Server(dataclasses.replace(limits, **change))
    assert server.reads(b"421").startswith(b"220")
    server.close()
    assert server.end in ("timeout", "too long")


def test_time_runs_out_inside_a_message(limits: LimitsConfig) -> None:
    server = Server(dataclasses.replace(limits, data_seconds=0))
    server.say(b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert b"octets of the message" in server.reads(b"421")
    server.close()
    assert server.end == "timeout"


def test_an_idle_session_ends_when_the_worker_stops(server: Server) -> None:
    server.reads(b"220")
    now = SystemClock.monotonic()
    server.drain.start(now, now + 600)
    server.wire.nudge()
    assert server.reads(b"421").startswith(b"421 4.3.2")
    assert server.far.recv(1) == b""
    server.far.close()
    assert server.ended() == "drain"


def test_a_transaction_is_finished_first_when_the_worker_stops(server: Server) -> None:
    server.reads(b"220")
    server.say(b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    server.reads(b"354")
    now = SystemClock.monotonic()
    server.drain.start(now, now + 600)
    server.say(b"Subject: late\r\n")
    server.say(b"\r\n.\r\n")
    assert server.reads(b"421").startswith(b"250 2.0.0 ok\r\n421 4.3.2")
    server.far.close()
    assert server.ended() == "drain"


def test_a_kicked_session_is_told(server: Server) -> None:
    server.reads(b"220")
    server.wire.kick()
    assert b"postmaster" in server.reads(b"421")
    server.far.close()
    assert server.ended() == "kicked"


def test_last_words_over_tls_end_with_a_close_notify(limits: LimitsConfig, tmp_path: Path) -> None:
    loaded = tls.load([tls.Pair(*tls.make_self_signed(str(tmp_path), ["mx.example"]))])
    server = Server(limits, loaded)
    server.reads(b"220")
    server.say(b"EHLO c.example\r\nSTARTTLS\r\n")
    server.reads(b"220")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(server.far, suppress_ragged_eofs=False) as client:
        client.sendall(b"EHLO c.example\nbare\r\n")
        assert client.recv(4096).startswith(b"554")
        assert client.recv(4096) == b""
    assert server.ended().startswith("fault")
    server.drain.close()


def test_starttls_throws_away_what_came_before_and_does_not_greet_again(limits: LimitsConfig, tmp_path: Path) -> None:
    loaded = tls.load([tls.Pair(*tls.make_self_signed(str(tmp_path), ["mx.example"]))])
    server = Server(limits, loaded)
    server.reads(b"220")
    server.say(b"EHLO c.example\r\n")
    assert b"STARTTLS" in server.reads(b"250 ")
    server.say(b"STARTTLS\r\nMAIL FROM:<injected@c.example>\r\n")
    server.reads(b"220")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(server.far, server_hostname="mx.example") as client:
        client.sendall(b"EHLO c.example\r\n")
        assert client.recv(4096).startswith(b"250-mx.example")
        client.sendall(b"QUIT\r\n")
        assert client.recv(4096).startswith(b"221")
    assert server.ended() == "quit"
    assert not any(isinstance(event, events.Mail) for event in server.policy.seen)
    assert server.policy.info is not None and server.policy.info.version == "TLSv1.3"
    server.drain.close()
