"""A daemon accepts from its listeners, serves each connection in a thread, turns away what is too much, and ends."""

import socket
import threading
from collections.abc import Iterator

import pytest

from mailsrv.config.schema import Config, ListenerConfig
from mailsrv.serve.daemon import Daemon, Kind
from mailsrv.serve.wire import Drain, Gone, Wire
from mailsrv.serve.worker import BoundListener, WorkerContext
from mailsrv.system.clock import SystemClock


class Echo:
    """A session that sends back what it gets until the client closes."""

    def __init__(self, number: int, connection: socket.socket, drain: Drain) -> None:
        self.id = f"session{number}"
        self.wire = Wire(connection, drain, SystemClock())

    def run(self, peer_name: object, bound: BoundListener) -> None:
        clock = SystemClock()
        try:
            self.wire.send(b"hello\r\n", 5)
            while True:
                self.wire.idle_since = clock.monotonic()
                octets = self.wire.receive(100, clock.monotonic() + 30)
                assert isinstance(octets, bytes)
                self.wire.send(octets, 5)
        except Gone:
            if self.wire.nudged or self.wire.kicked:
                self.wire.linger(b"bye\r\n")
        finally:
            self.wire.close()


class Served:
    def __init__(self, most: int) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        drain = Drain()
        numbers = iter(range(1000))
        context = WorkerContext(
            Config("mx.example", "/nowhere"), None, None, SystemClock(), None, None, 1, 1, 1, 1  # type: ignore[arg-type]
        )
        kind = Kind(most, lambda connection: Echo(next(numbers), connection, drain), b"full\r\n")
        self.daemon = Daemon(context, drain, kind)
        self.daemon.start([BoundListener(self.listening, ListenerConfig("imap"))])

    def client(self) -> socket.socket:
        return socket.create_connection(self.listening.getsockname(), 10)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served(2)
    yield made
    if not made.daemon._stopping:
        made.daemon.stop_accepting()
    made.daemon.drain(0, 0)
    made.listening.close()


def hear(client: socket.socket, octets: bytes) -> None:
    heard = b""
    while len(heard) < len(octets):
        more = client.recv(len(octets) - len(heard))
        assert more, heard
        heard += more
    assert heard == octets


def test_connections_are_served_side_by_side_and_the_third_is_turned_away(served: Served) -> None:
    with served.client() as one, served.client() as two:
        hear(one, b"hello\r\n")
        hear(two, b"hello\r\n")
        two.sendall(b"b")
        hear(two, b"b")
        one.sendall(b"a")
        hear(one, b"a")
        with served.client() as three:
            hear(three, b"full\r\n")
            assert three.recv(1) == b""
        assert served.daemon.sessions_left() == 2


def test_a_kick_ends_one_session(served: Served) -> None:
    with served.client() as one, served.client() as two:
        hear(one, b"hello\r\n")
        hear(two, b"hello\r\n")
        assert served.daemon.kick("session0")
        assert not served.daemon.kick("nobody")
        hear(one, b"bye\r\n")
        two.sendall(b"b")
        hear(two, b"b")


def test_a_drain_ends_the_idle_ones(served: Served) -> None:
    with served.client() as one:
        hear(one, b"hello\r\n")
        served.daemon.stop_accepting()
        served.daemon.drain(0, 10)
        hear(one, b"bye\r\n")
    assert threading.active_count() >= 1


def test_many_idle_sessions_are_woken_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsrv.serve.daemon._NUDGED_AT_ONCE", 1)
    monkeypatch.setattr("mailsrv.serve.daemon.GRACE", 0.0)
    made = Served(10)
    clients = [made.client() for _ in range(6)]
    for client in clients:
        hear(client, b"hello\r\n")
    ticks: list[int] = []

    def count(seconds: float) -> bool:
        ticks.append(sum(session.wire.nudged for session in made.daemon._sessions.values()))
        return threading.Event().wait(0.001)

    monkeypatch.setattr(made.daemon._drain.moved, "wait", count)
    made.daemon.stop_accepting()
    made.daemon.drain(600, 600)
    for client in clients:
        hear(client, b"bye\r\n")
        client.close()
    assert ticks[0] == 1
    made.listening.close()
