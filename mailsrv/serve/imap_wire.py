"""An IMAP client's connection: a Wire that also sends octets of files, compresses, and can be rung while it waits.

Files go by sendfile where the connection is in clear and the piece is large, else by blocks, so that a message of any
size needs no memory of its size. Small pieces are put together: one write for many messages. A ring is another thread's
wish that the session look for news while its client is silent (IDLE); it costs an eventfd, and only those that were
ever idle have one. DEFLATE is that of RFC 4978: raw, flushed at each write. It knows nothing of IMAP's grammar.

Diagnostics: as Wire; Gone also when a file is shorter than what was promised of it, for nothing could be said then.
"""

import os
import select
import socket
import struct
import zlib
from collections.abc import Sequence

from mailsrv.system.clock import Clock
from mailsrv.system.openfile import OpenFile
from mailsrv.system.tls import ServerTls, TlsInfo
from mailsrv.imap.answers import Output, Segment
from mailsrv.serve.wire import Drain, Expired, Gone, Wait, Wire

BLOCK_OCTETS = 1 << 17
SENDFILE_OCTETS = 1 << 16  # a piece of a file that is smaller is read and put together with what stands around it
_TIMEVAL = struct.Struct("@ll")
# A client may compress with the full window; ours is small, for a thousand sessions have one each.
_INFLATE_WINDOW = -15
_DEFLATE_WINDOW, _DEFLATE_MEMORY = -12, 5


class ImapWire(Wire):
    """See Wire. `seconds` is what a client may take to read a block."""

    def __init__(self, connection: socket.socket, drain: Drain, clock: Clock, seconds: float) -> None:
        super().__init__(connection, drain, clock)
        self._seconds = seconds
        self._bounded = False  # whether the kernel knows how long a sendfile may wait
        self._ring = -1
        self._rung = False
        self._ring_poll: select.poll | None = None
        self._inflater: zlib._Decompress | None = None
        self._deflater: zlib._Compress | None = None
        self._compressed = b""  # received, and not yet inflated
        self._is_full = False  # whether the inflater may have more of what it was given

    # Receiving

    def receive(self, size: int, until: float, rings: bool = False) -> bytes | Wait:
        """As Wire.receive; with `rings` also RUNG, when somebody has rung."""
        inflater = self._inflater
        if inflater is None:
            return self._receive_or_ring(size, until) if rings else super().receive(size, until)
        while True:
            if self._compressed or self._is_full:
                try:
                    octets = inflater.decompress(self._compressed, size)
                except zlib.error:
                    raise Gone("what the client sends is not compressed as it should be") from None
                self._compressed = inflater.unconsumed_tail
                self._is_full = len(octets) == size
                if octets:
                    return octets
                if inflater.eof:
                    raise Gone("the client has ended the compressed stream")
                continue
            received = self._receive_or_ring(size, until) if rings else super().receive(size, until)
            if isinstance(received, Wait):
                return received
            self._compressed = received

    def _receive_or_ring(self, size: int, until: float) -> bytes | Wait:
        poll = self._ring_poll or self._make_ring_poll()
        while (octets := self.try_read(size)) is None:
            left = until - self._clock.monotonic()
            if left <= 0:
                return Wait.EXPIRED
            ready = {descriptor for descriptor, _event in poll.poll(left * 1000 + 1)}
            if self._descriptor in ready:
                continue
            if self._bell in ready:
                raise Gone("the session is ended from outside")
            if self._ring in ready:
                os.eventfd_read(self._ring)
                return Wait.RUNG
        return octets

    def _make_ring_poll(self) -> select.poll:
        with self._closing:
            if self._ring < 0:
                self._ring = os.eventfd(int(self._rung), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        poll = self._ring_poll = select.poll()
        for descriptor in (self._descriptor, self._ring, self._bell):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        return poll

    def ring(self) -> None:
        """Wake the session's thread while it waits with `rings`, now or the next time; for other threads."""
        with self._closing:
            self._rung = True
            if self._ring >= 0:
                os.eventfd_write(self._ring, 1)

    def start_tls(self, server: ServerTls, seconds: float) -> TlsInfo:
        """As Wire.start_tls; what is waited for changes with it."""
        self._ring_poll = None
        return super().start_tls(server, seconds)

    # Sending

    def send(self, octets: bytes, seconds: float) -> None:
        """As Wire.send, compressed where that is on."""
        deflater = self._deflater
        if deflater is not None:
            octets = deflater.compress(octets) + deflater.flush(zlib.Z_SYNC_FLUSH)
        super().send(octets, seconds)

    def send_all(self, pieces: Sequence[Output]) -> None:
        """Send octets and segments of open files in order. Raises Gone, Expired."""
        block: list[bytes] = []
        size = 0
        for piece in pieces:
            if isinstance(piece, bytes):
                block.append(piece)
                size += len(piece)
            elif piece.length >= SENDFILE_OCTETS and self.tls is None and self._deflater is None:
                if block:
                    self._send_more(b"".join(block))
                    block, size = [], 0
                self._send_file(piece)
            else:
                at, end = piece.offset, piece.offset + piece.length
                while at < end:
                    octets = _read(piece, at, min(BLOCK_OCTETS, end - at))
                    at += len(octets)
                    block.append(octets)
                    size += len(octets)
                    if size >= BLOCK_OCTETS:
                        self.send(b"".join(block), self._seconds)
                        block, size = [], 0
        if block:
            self.send(b"".join(block), self._seconds)

    def _send_more(self, octets: bytes) -> None:
        """Send what a file follows: it may leave in one packet with that."""
        flags = self._flags
        self._flags = flags | socket.MSG_MORE
        try:
            super().send(octets, self._seconds)
        finally:
            self._flags = flags

    def _send_file(self, segment: Segment) -> None:
        assert isinstance(segment.source, OpenFile)  # what floor 4 gives
        source, at, left = segment.source.fileno(), segment.offset, segment.length
        try:
            if not self._bounded:
                whole = int(self._seconds)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(max(whole, 1), 0))
                self._bounded = True
            while left:
                sent = os.sendfile(self._descriptor, source, at, left)
                if not sent:
                    raise Gone("a message's file is shorter than it was")
                at += sent
                left -= sent
        except BlockingIOError:
            raise Expired("the client does not read what it asked for") from None
        except OSError as error:
            raise Gone(f"the connection broke: {error.strerror or error}") from None

    def start_deflate(self, octets: bytes) -> None:
        """From now on both directions are compressed; `octets` were received already."""
        self._inflater = zlib.decompressobj(_INFLATE_WINDOW)
        self._deflater = zlib.compressobj(wbits=_DEFLATE_WINDOW, memLevel=_DEFLATE_MEMORY)
        self._compressed = octets

    def close(self) -> None:
        """As Wire.close."""
        with self._closing:
            ring, self._ring = self._ring, -1
            if ring >= 0:
                os.close(ring)
        super().close()


def _read(segment: Segment, at: int, count: int) -> bytes:
    assert isinstance(segment.source, OpenFile)  # what floor 4 gives
    octets = segment.source.read_at(at, count)
    if not octets:
        raise Gone("a message's file is shorter than it was")
    return octets
