"""The wire over real socket pairs: reading, waiting, sending to who does not read, lingering, being kicked."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import thread_time

import pytest

from mailsrv.serve.wire import Drain, Expired, Gone, Wait, Wire
from mailsrv.system import tls
from mailsrv.system.clock import SystemClock

SOON = 0.02


@pytest.fixture
def drain() -> Iterator[Drain]:
    made = Drain()
    yield made
    made.close()


@pytest.fixture
def pair(drain: Drain) -> Iterator[tuple[Wire, socket.socket]]:
    near, far = socket.socketpair()
    far.settimeout(10)
    wire = Wire(near, drain, SystemClock())
    yield wire, far
    wire.close()
    far.close()


def soon() -> float:
    return SystemClock.monotonic() + SOON


def test_reads_what_is_there_and_nothing_else(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    assert wire.try_read(10) is None
    far.sendall(b"hello")
    assert wire.wait(SystemClock.monotonic() + 10) is Wait.READY
    assert wire.try_read(2) == b"he"
    assert wire.try_read(10) == b"llo"
    far.close()
    assert wire.wait(SystemClock.monotonic() + 10) is Wait.READY
    with pytest.raises(Gone, match="closed"):
        wire.try_read(10)


def test_peeking_waits_for_enough_and_takes_nothing(drain: Drain) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as far:
        wire = Wire(server.accept()[0], drain, SystemClock())
        far.sendall(b"hello")
        assert wire.peek(10, 5, SystemClock.monotonic() + 10) == b"hello"
        with pytest.raises(Expired):
            wire.peek(10, 6, soon())
        far.sendall(b"!")
        assert wire.peek(10, 6, SystemClock.monotonic() + 10) == b"hello!"
        far.shutdown(socket.SHUT_WR)
        with pytest.raises(Gone):
            wire.peek(10, 7, SystemClock.monotonic() + 10)
        assert wire.try_read(10) == b"hello!"
        wire.close()


def test_a_blocking_read_gives_octets_or_expires(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    assert wire.receive(10, soon()) is Wait.EXPIRED
    assert wire.receive(10, SystemClock.monotonic() - 1) is Wait.EXPIRED
    far.sendall(b"hello")
    assert wire.receive(10, SystemClock.monotonic() + 10_000) == b"hello"
    assert wire.receive(10, soon()) is Wait.EXPIRED, "a shorter wait is told to the kernel"
    far.close()
    with pytest.raises(Gone):
        wire.receive(10, SystemClock.monotonic() + 10)


def test_a_nudge_wakes_a_blocking_read(pair: tuple[Wire, socket.socket]) -> None:
    wire, _far = pair
    nudge = threading.Timer(SOON, wire.nudge)
    nudge.start()
    with pytest.raises(Gone):
        wire.receive(10, SystemClock.monotonic() + 60)
    assert wire.nudged
    nudge.join()


def test_waiting_expires(pair: tuple[Wire, socket.socket]) -> None:
    wire, _far = pair
    assert wire.wait(soon()) is Wait.EXPIRED
    assert wire.wait(SystemClock.monotonic() - 1) is Wait.EXPIRED


def test_the_wish_to_stop_is_seen_once_and_octets_still_are(pair: tuple[Wire, socket.socket], drain: Drain) -> None:
    wire, far = pair
    drain.start(1.0, 2.0)
    assert wire.wait(SystemClock.monotonic() + 10) is Wait.DRAIN
    assert wire.wait(soon()) is Wait.EXPIRED
    far.sendall(b"x")
    assert wire.wait(SystemClock.monotonic() + 10) is Wait.READY


def test_much_is_sent_to_who_reads_and_expires_for_who_does_not(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    much = b"m" * 3_000_000
    received = bytearray()

    def read() -> None:
        while len(received) < len(much):
            received.extend(far.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    wire.send(much, 10)
    reader.join()
    assert received == much
    with pytest.raises(Expired):
        wire.send(much, SOON)


def test_waiting_for_who_sends_and_never_reads_costs_nothing(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    far.sendall(b"RCPT TO:<bob@example.test>\r\n" * 100)
    began = thread_time()
    with pytest.raises(Expired):
        wire.send(b"m" * 3_000_000, 0.5)
    assert thread_time() - began < 0.25


def test_lingering_sends_the_last_words_and_discards(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    far.sendall(b"more that nobody wants")
    lingering = threading.Thread(target=wire.linger, args=(b"554 5.5.2 no\r\n",))
    lingering.start()
    assert far.recv(100) == b"554 5.5.2 no\r\n"
    assert far.recv(100) == b""
    far.close()
    lingering.join(10)
    assert not lingering.is_alive()


def test_lingering_ends_after_a_mebibyte(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    lingering = threading.Thread(target=wire.linger, args=(b"",))
    lingering.start()
    far.settimeout(0.5)
    try:
        while lingering.is_alive():
            far.send(b"x" * 65536)
    except OSError:
        pass
    lingering.join(10)
    assert not lingering.is_alive()


def test_a_kicked_session_sees_its_client_gone(pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    wire.kick()
    assert wire.kicked
    with pytest.raises(Gone):
        wire.try_read(1)
    wire.send(b"421 bye\r\n", 1)
    assert far.recv(100) == b"421 bye\r\n"


def test_last_words_to_a_kicked_session_stay_inside_tls(pair: tuple[Wire, socket.socket], tmp_path: Path) -> None:
    wire, far = pair
    server = tls.load([tls.Pair(*tls.make_self_signed(str(tmp_path), ["mx.example"]))])
    assert server is not None
    shaking = threading.Thread(target=wire.start_tls, args=(server, 10.0))
    shaking.start()
    with tls.client_context(False).wrap_socket(far) as client:
        shaking.join(10)
        wire.kick()
        with pytest.raises(Gone):
            wire.receive(100, SystemClock.monotonic() + 10)
        wire.send(b"421 bye\r\n", 1)
        assert client.recv(100) == b"421 bye\r\n"


def test_a_wait_does_not_outlast_the_wish_to_stop(drain: Drain) -> None:
    waiting = threading.Thread(target=drain.wait, args=(600.0,))
    waiting.start()
    drain.start(0.0, 0.0)
    waiting.join(10)
    assert not waiting.is_alive()


def test_the_wish_to_stop_only_comes_nearer(drain: Drain) -> None:
    drain.start(10.0, 100.0)
    drain.start(20.0, 50.0)
    assert (drain.idle_until, drain.busy_until) == (10.0, 50.0)
    drain.start(5.0, 60.0)
    assert (drain.idle_until, drain.busy_until) == (5.0, 50.0)
