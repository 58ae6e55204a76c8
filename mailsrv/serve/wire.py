"""One client's connection: octets in and out with deadlines, TLS, and the end that the worker or the postmaster wants.

In clear the session's thread blocks in the read itself, with the kernel's own timeout: one system call a command, on
which the speed of small messages depends. Inside TLS it waits by poll, since the library reads by itself. Who wants a
session to end from outside (a drain, a kick) shuts the connection's reading side down, and the thread wakes up. It
knows nothing of SMTP.

Diagnostics: `Gone` when the client has closed or the connection broke; `Expired` when a deadline passed. No OSError
leaves.
"""

import os
import select
import socket
import ssl
import struct
import threading
from enum import Enum

from mailsrv.errors import MailsrvError
from mailsrv.system.clock import Clock
from mailsrv.system.tls import ServerTls, TlsInfo

_LINGER_SECONDS = 5.0
_LINGER_OCTETS = 1 << 20
_TICK = 300.0  # seconds: longer waits are several reads
_TIMEVAL = struct.Struct("@ll")
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Gone(MailsrvError):
    """The client closed the connection, or it broke."""


class Expired(MailsrvError):
    """A deadline passed."""


class Wait(Enum):
    """What ended a wait."""

    READY = "octets can be read"
    DRAIN = "the worker wants to stop"
    RUNG = "somebody rang"
    EXPIRED = "the deadline passed"


class Drain:
    """The worker's wish to stop, seen by every session at once: a descriptor becomes readable and stays so.

    `idle_until` and `busy_until` (monotonic seconds) bound sessions without and with a transaction; None until the
    wish.
    """

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.idle_until: float | None = None
        self.busy_until: float | None = None
        self.moved = threading.Event()  # set by each start, for the thread that wakes sessions

    def start(self, idle_until: float, busy_until: float) -> None:
        """Tell every session. Called again, it can only bring the deadlines nearer, as with the process's own: it would
        end before its sessions have said so."""
        if self.idle_until is not None and self.busy_until is not None:
            idle_until, busy_until = min(idle_until, self.idle_until), min(busy_until, self.busy_until)
        self.idle_until, self.busy_until = idle_until, busy_until
        os.eventfd_write(self.descriptor, 1)
        self.moved.set()

    def wait(self, seconds: float) -> None:
        """Let the calling session wait, but not beyond the wish to stop."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        poll.poll(seconds * 1000)

    def close(self) -> None:
        """Give the descriptor back; only when no session is left."""
        os.close(self.descriptor)


class Wire:
    """A connected, accepted socket, in blocking mode until TLS starts.

    `tls` holds the facts once TLS is on. `idle_since`: the monotonic time since when the session waits for a command
    without a transaction, 0.0 while it does not. `kicked` and `nudged` tell why the client seems to be gone.
    """

    def __init__(self, connection: socket.socket, drain: Drain, clock: Clock) -> None:
        self._socket: socket.socket = connection
        self._clock = clock
        self._descriptor = connection.fileno()
        self._drain = drain.descriptor
        self._flags: int = socket.MSG_DONTWAIT  # for calls that must not block; inside TLS no call does
        self._timeout = 0.0  # what the kernel was told, 0.0 for nothing yet
        self._poll: select.poll | None = None
        self._bell = -1  # wakes a session that waits inside TLS
        self._closing = threading.Lock()  # between close and who ends the session from outside
        self.tls: TlsInfo | None = None
        self.idle_since = 0.0
        self.kicked = False
        self.nudged = False

    def receive(self, size: int, until: float) -> bytes | Wait:
        """Wait for octets, at most until the monotonic time `until`, and give at most `size` of them. Raises Gone.

        EXPIRED when the time is over. DRAIN (once, and only inside TLS) when the worker wants to stop.
        """
        if self.tls is None:
            return self._receive_blocking(size, until)
        # TLS may hold octets that the poll cannot see.
        while (octets := self.try_read(size)) is None:
            wait = self.wait(until)
            if wait is not Wait.READY:
                return wait
        return octets

    def _receive_blocking(self, size: int, until: float) -> bytes | Wait:
        while (left := until - self._clock.monotonic()) > 0:
            wanted = left if left < _TICK else _TICK
            # Told only when it must be (a late end, or many early ones): for most commands it stays as it is.
            if not wanted / 2 <= self._timeout <= wanted * 1.01:
                self._tell_timeout(wanted)
            try:
                octets = self._socket.recv(size)
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(f"the connection broke: {error.strerror or error}") from None
            if not octets:
                raise Gone("the client closed the connection")
            return octets
        return Wait.EXPIRED

    def _tell_timeout(self, seconds: float) -> None:
        whole = int(seconds)
        microseconds = max(int((seconds - whole) * 1e6), 1000)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(whole, microseconds))
        except OSError as error:
            raise Gone(f"the connection broke: {error.strerror or error}") from None
        self._timeout = seconds

    def try_read(self, size: int) -> bytes | None:
        """What can be read now, at most `size` octets; None when nothing can. Raises Gone."""
        try:
            octets = self._socket.recv(size, self._flags)
        except _WOULD_BLOCK:
            return None
        except OSError as error:
            raise Gone(f"the connection broke: {error.strerror or error}") from None
        if not octets:
            raise Gone("the client closed the connection")
        return octets

    def peek(self, size: int, least: int, until: float) -> bytes:
        """Wait for at least `least` octets and give them (at most `size`); they stay to be read again. Only before TLS.

        Raises Gone when the client closes before that, Expired at the monotonic time `until`.
        """
        set_option = self._socket.setsockopt
        try:
            set_option(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)  # so that the poll waits for more than was seen
            while (wait := self.wait(until)) is not Wait.READY:
                if wait is Wait.EXPIRED:
                    raise Expired("what must come before the first command did not come in time")
            octets = self._socket.recv(size, socket.MSG_PEEK | self._flags)
            set_option(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        except OSError as error:
            raise Gone(f"the connection broke: {error.strerror or error}") from None
        if len(octets) < least:
            raise Gone("the client closed the connection")
        return octets

    def wait(self, until: float) -> Wait:
        """Wait for the client's octets, at most until the monotonic time `until`; DRAIN is given once."""
        left = until - self._clock.monotonic()
        if left <= 0:
            return Wait.EXPIRED
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            poll.register(self._drain, select.POLLIN)
            if self._bell >= 0:
                poll.register(self._bell, select.POLLIN)
        ready = poll.poll(left * 1000 + 1)
        if not ready:
            return Wait.EXPIRED
        for descriptor, _event in ready:
            if descriptor == self._descriptor:
                return Wait.READY
        if any(descriptor == self._bell for descriptor, _event in ready):
            poll.unregister(self._bell)
            raise Gone("the session is ended from outside")
        poll.unregister(self._drain)
        return Wait.DRAIN

    def send(self, octets: bytes, seconds: float) -> None:
        """Send all of `octets`; raises Gone, or Expired when the client does not take them within `seconds`."""
        until = 0.0
        while True:
            try:
                sent = self._socket.send(octets, self._flags)
                if sent == len(octets):
                    return
                octets = octets[sent:]
            except _WOULD_BLOCK as error:
                sent = 0
                # Only what is missing: a client that sends and never reads is always readable, and would keep us busy.
                missing = select.POLLIN if isinstance(error, ssl.SSLWantReadError) else select.POLLOUT
            except OSError as error:
                raise Gone(f"the connection broke: {error.strerror or error}") from None
            now = self._clock.monotonic()
            until = until or now + seconds
            if sent == 0 and not self._wait_for(missing, until - now):
                raise Expired("the client does not read its replies")

    def _wait_for(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, event)
        return seconds > 0 and bool(poll.poll(seconds * 1000))

    def start_tls(self, server: ServerTls, seconds: float) -> TlsInfo:
        """Shake hands within `seconds`. Raises Gone with the reason when it fails; the connection is closed then."""
        try:
            connection, self.tls = server.accept(self._socket, seconds)
        except TimeoutError:
            raise Gone("the TLS handshake took too long") from None
        except ssl.SSLError as error:
            raise Gone(f"the TLS handshake failed: {error.reason or error}") from None
        except OSError as error:
            raise Gone(f"the TLS handshake failed: {error.strerror or error}") from None
        connection.setblocking(False)
        with self._closing:
            self._socket = connection
            self._bell = os.eventfd(int(self.kicked or self.nudged), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = None
        self._flags = 0
        return self.tls

    def linger(self, octets: bytes) -> None:
        """Send last words, then discard what still comes (at most 5 s or 1 MiB), so that they are not lost to a
        reset.
        """
        try:
            if octets:
                self.send(octets, _LINGER_SECONDS)
            self._shut_down()
            until = self._clock.monotonic() + _LINGER_SECONDS
            left = _LINGER_OCTETS
            while left > 0:
                discarded = self.try_read(65536)
                if discarded is not None:
                    left -= len(discarded)
                elif self.wait(until) is Wait.EXPIRED:
                    return
        except (Gone, Expired):
            return

    def _shut_down(self) -> None:
        """Tell the client that nothing more will come. What it still sends is read below TLS: it is only discarded."""
        self._socket = _leave_tls(self._socket)
        self._flags = socket.MSG_DONTWAIT
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Gone(f"the connection broke: {error.strerror or error}") from None

    def kick(self) -> None:
        """End the session from another thread: its own thread sees the client gone, and `kicked`."""
        self.kicked = True
        self._stop_reading()

    def nudge(self) -> None:
        """Wake a session that waits for its client, because the worker wants to stop."""
        self.nudged = True
        self._stop_reading()

    def _stop_reading(self) -> None:
        with self._closing:
            if self._bell >= 0:
                # Inside TLS nothing more could be said once the reading side has seen an end without close_notify.
                os.eventfd_write(self._bell, 1)
                return
            try:
                self._socket.shutdown(socket.SHUT_RD)
            except OSError:
                return

    def close(self) -> None:
        """Close the connection; TLS is told so where that does not block."""
        with self._closing:
            bell, self._bell = self._bell, -1
            if bell >= 0:
                os.close(bell)
            _leave_tls(self._socket).close()


def _leave_tls(connection: socket.socket) -> socket.socket:
    """Send the close_notify of a TLS connection without waiting for the client's, and give the bare connection."""
    if not isinstance(connection, ssl.SSLSocket):
        return connection
    try:
        connection.unwrap()
    except (OSError, ValueError):
        pass  # the client's own close_notify has not come, or the connection is broken
    return socket.socket(fileno=connection.detach())
