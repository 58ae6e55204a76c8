"""Connections with one deadline: it covers finding the address, connecting, sending and receiving."""

import socket

import pytest

from mailsrv.system.bounded import BoundedConnection, TimeLimit, open_tcp, open_unix
from mailsrv.system.clock import SystemClock
from mailsrv.system.dns_values import DnsFailure
from mailsrv.system.net import Connection, Lost, TimedOut, Unreachable

from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver

SOON = 0.05


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def connected(listener, limit):
    connection = open_tcp("127.0.0.1", listener.getsockname()[1], limit)
    far = listener.accept()[0]
    far.settimeout(10)
    return connection, far


def test_octets_both_ways_and_the_end(listener):
    connection, far = connected(listener, TimeLimit(FakeClock(), 10))
    with connection, far:
        connection.send(b"x" * 20_000)
        assert far.recv(20_000, socket.MSG_WAITALL) == b"x" * 20_000
        far.sendall(b"hello")
        assert connection.receive(3) == b"hel"
        assert connection.receive() == b"lo"
        far.close()
        with pytest.raises(Lost):
            connection.receive()


def test_all_steps_share_one_limit(listener):
    """A peer that sends and takes a little now and then gains no time by it."""
    clock = FakeClock()
    connection, far = connected(listener, TimeLimit(clock, 10))
    with connection, far:
        for _ in range(10):
            far.sendall(b"x")
            assert connection.receive() == b"x"
            connection.send(b"y")
            assert far.recv(1) == b"y"
            clock.advance(1)
        far.sendall(b"x")
        with pytest.raises(TimedOut, match="within 10 s"):
            connection.receive()
        with pytest.raises(TimedOut):
            connection.send(b"y")


def test_silence_expires(listener):
    for act in (lambda one: one.receive(), lambda one: one.send(b"x" * 30_000_000)):
        connection, far = connected(listener, TimeLimit(SystemClock(), SOON))
        with connection, far, pytest.raises(TimedOut, match="within 0.05 s"):
            act(connection)


def test_a_piece_is_one_wait():
    """The connection is given the time that is left, and no more, for each piece."""
    clock = FakeClock()
    waits = []

    class Slow:
        def send(self, octets, seconds):
            waits.append((len(octets), seconds))
            clock.advance(4)

    with pytest.raises(TimedOut):
        BoundedConnection(Slow(), TimeLimit(clock, 10)).send(b"x" * 100_000)
    assert waits == [(8192, 10), (8192, 6), (8192, 2)]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "filter.example"])
def test_a_host(listener, host):
    resolver = FakeResolver("filter.example. A 127.0.0.1")
    with open_tcp(host, listener.getsockname()[1], TimeLimit(FakeClock(), 10), resolver), listener.accept()[0]:
        pass


def test_the_next_address_is_tried(listener):
    # Nobody listens at the first one.
    resolver = FakeResolver("filter.example. A 127.0.0.77\nfilter.example. A 127.0.0.1")
    with open_tcp("filter.example", listener.getsockname()[1], TimeLimit(FakeClock(), 10), resolver):
        pass


@pytest.mark.parametrize(
    ("zone", "error", "text"),
    [
        ("", Unreachable, "has no address"),
        ("FAIL filter.example", DnsFailure, "filter.example"),
        (None, Unreachable, "nobody is there to look it up"),
    ],
)
def test_a_host_without_address(zone, error, text):
    resolver = None if zone is None else FakeResolver(zone)
    with pytest.raises(error, match=text):
        open_tcp("filter.example", 1, TimeLimit(FakeClock(), 10), resolver)


def test_nobody_there_is_unreachable(listener, tmp_path):
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(Unreachable, match="refused"):
        open_tcp("127.0.0.1", port, TimeLimit(FakeClock(), 10))
    with pytest.raises(Unreachable, match="no such file"):
        open_unix(str(tmp_path / "nobody"), TimeLimit(FakeClock(), 10))


def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        connection = open_unix(path, TimeLimit(FakeClock(), 10))
        assert isinstance(connection._connection, Connection)
        with connection, server.accept()[0] as far:
            far.sendall(b"hi")
            assert connection.receive() == b"hi"
