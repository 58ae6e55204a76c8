"""The wire of IMAP over a socket pair: files and octets in order, compression, rings, and clients that break off."""

import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.imap.answers import Segment
from mailsrv.serve.imap_wire import BLOCK_OCTETS, SENDFILE_OCTETS, ImapWire
from mailsrv.serve.wire import Drain, Expired, Gone, Wait
from mailsrv.system.clock import SystemClock
from mailsrv.system.openfile import OpenFile

CLOCK = SystemClock()
SOON = 20.0


class Pair:
    def __init__(self, seconds: float = SOON) -> None:
        ours, self.client = socket.socketpair()
        self.client.settimeout(SOON)
        self.wire = ImapWire(ours, Drain(), CLOCK, seconds)

    def receive(self, size: int = 4096, rings: bool = True, seconds: float = SOON) -> bytes | Wait:
        return self.wire.receive(size, CLOCK.monotonic() + seconds, rings)

    def hear(self, count: int) -> bytes:
        heard = b""
        while len(heard) < count and (octets := self.client.recv(65536)):
            heard += octets
        return heard

    def close(self) -> None:
        self.wire.close()
        self.client.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[OpenFile]:
    path = tmp_path / "message"
    path.write_bytes(bytes(range(256)) * 4000)
    made = OpenFile.open(str(path))
    yield made
    made.close()


def send(pair: Pair, pieces: list[object], count: int) -> bytes:
    """Send in a thread what is heard here."""
    heard: list[bytes] = []
    listening = threading.Thread(target=lambda: heard.append(pair.hear(count)))
    listening.start()
    pair.wire.send_all(pieces)
    listening.join(SOON)
    return heard[0]


@pytest.mark.parametrize("length", [0, 10, SENDFILE_OCTETS - 1, SENDFILE_OCTETS, 3 * BLOCK_OCTETS + 5])
@pytest.mark.parametrize("compressed", [False, True])
def test_octets_and_files_in_order(pair: Pair, file: OpenFile, length: int, compressed: bool) -> None:
    if compressed:
        pair.wire.start_deflate(b"")
    pieces = [b"before ", Segment(file, 3, length), b" between ", Segment(file, 0, 5), b" behind"]
    wanted = b"before " + file.read_at(3, length) + b" between " + file.read_at(0, 5) + b" behind"
    if not compressed:
        assert send(pair, pieces, len(wanted)) == wanted
        return
    inflater, heard = zlib.decompressobj(-15), b""
    sending = threading.Thread(target=lambda: pair.wire.send_all(pieces))
    sending.start()
    while len(heard) < len(wanted):
        heard += inflater.decompress(pair.client.recv(65536))
    sending.join(SOON)
    assert heard == wanted


@pytest.mark.parametrize("length", [100, SENDFILE_OCTETS])
def test_a_file_that_is_shorter_than_promised_ends_the_connection(pair: Pair, tmp_path: Path, length: int) -> None:
    (tmp_path / "short").write_bytes(b"x")
    with OpenFile.open(str(tmp_path / "short")) as file, pytest.raises(Gone, match="shorter"):
        pair.wire.send_all([Segment(file, 0, length)])


def test_a_client_that_does_not_read_is_not_waited_for(file: OpenFile) -> None:
    pair = Pair(seconds=1)
    with pytest.raises(Expired):
        pair.wire.send_all([Segment(file, 0, file.size)] * 20)
    with pytest.raises(Expired):
        pair.wire.send_all([b"x" * 10_000_000])
    pair.client.close()
    with pytest.raises(Gone):
        pair.wire.send_all([Segment(file, 0, file.size)])
    pair.close()


def test_rings_are_given_once_and_not_lost(pair: Pair) -> None:
    pair.wire.ring()
    assert pair.receive() is Wait.RUNG
    pair.wire.ring()
    pair.wire.ring()
    assert pair.receive() is Wait.RUNG
    assert pair.receive(seconds=0.01) is Wait.EXPIRED
    pair.client.sendall(b"octets")
    pair.wire.ring()
    assert pair.receive() == b"octets"
    assert pair.receive() is Wait.RUNG


def test_a_ring_wakes_who_waits(pair: Pair) -> None:
    timer = threading.Timer(0.05, pair.wire.ring)
    timer.start()
    assert pair.receive() is Wait.RUNG
    timer.join()


def test_without_rings_nobody_is_disturbed(pair: Pair) -> None:
    pair.wire.ring()
    pair.client.sendall(b"octets")
    assert pair.receive(rings=False) == b"octets"


@pytest.mark.parametrize("end", ["kick", "nudge"])
def test_the_end_from_outside_wakes_who_waits_for_rings(pair: Pair, end: str) -> None:
    timer = threading.Timer(0.05, getattr(pair.wire, end))
    timer.start()
    with pytest.raises(Gone):
        pair.receive()
    timer.join()


def test_rings_for_a_closed_connection_do_nothing(pair: Pair) -> None:
    pair.receive(seconds=0.01)
    pair.wire.close()
    pair.wire.ring()


@pytest.mark.parametrize("rings", [False, True])
def test_what_is_inflated_is_bounded(pair: Pair, rings: bool) -> None:
    deflater = zlib.compressobj(9, wbits=-15)
    octets = b"a" * 5_000_000
    bomb = deflater.compress(octets) + deflater.flush(zlib.Z_SYNC_FLUSH)
    # A part came before the server had begun to inflate.
    pair.wire.start_deflate(bomb[:10])
    pair.client.sendall(bomb[10:])
    got = 0
    while got < len(octets):
        piece = pair.receive(4096, rings)
        assert isinstance(piece, bytes)
        assert len(piece) <= 4096
        got += len(piece)
    assert got == len(octets)
    assert pair.receive(rings=rings, seconds=0.01) is Wait.EXPIRED


@pytest.mark.parametrize("octets", [b"\xff" * 100, zlib.compressobj(wbits=-15).flush()])
def test_what_is_not_deflate_ends_the_connection(pair: Pair, octets: bytes) -> None:
    pair.wire.start_deflate(octets)
    with pytest.raises(Gone):
        pair.receive()
