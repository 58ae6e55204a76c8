"""smtpd: the Service behind smtp, submission, submissions and lmtp listeners; accepts, and gives each connection a
thread.

One thread accepts for all listeners of the process; TLS handshakes, PROXY headers and everything that can be slow
happen in the connection's own thread. When the process is full, a connection gets a 421 and no thread.

Diagnostics: `start` raises StorageError when data_dir cannot be used; afterwards no client can make it raise.
"""

import _thread
import os
import select
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from mailsrv.serve.handler import Session
from mailsrv.serve.house import build_house
from mailsrv.serve.wire import Drain
from mailsrv.serve.worker import BoundListener, WorkerContext
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.clock import Clock

_STACK_OCTETS = 256 << 10
_FULL = b"421 4.3.2 too many connections, please try again later\r\n"


class Listener(socketserver.BaseServer):
    """One inherited listening socket as a socketserver whose requests run in threads of their own."""

    def __init__(self, bound: BoundListener, handle: Callable[[socket.socket, Any, BoundListener], None]) -> None:
        super().__init__(bound.socket.getsockname(), socketserver.BaseRequestHandler)
        self.bound = bound
        self._handle = handle

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self.bound.socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; BlockingIOError when another worker was faster."""
        return self.bound.socket.accept()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the connection to a thread. Not threading.Thread: its start waits for the new thread, which costs a
        switch of threads per connection."""
        _thread.start_new_thread(self._handle, (request, client_address, self.bound))


class Smtpd:
    """The Service (serve/worker.py) of an SMTP worker."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._clock: Clock = context.clock
        self._drain = Drain()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ids = QueueIds(context.clock, context.slot)
        self._sessions: dict[str, Session] = {}
        self._accepting: threading.Thread | None = None
        self._house = build_house(context, self._drain.wait)
        self._most = context.config.limits.connections

    def start(self, listeners: list[BoundListener]) -> None:
        """Begin to accept."""
        threading.stack_size(_STACK_OCTETS)
        servers = {listener.fileno(): listener for listener in (Listener(bound, self._serve) for bound in listeners)}
        self._accepting = threading.Thread(target=self._accept, args=(servers,), name="accept", daemon=True)
        self._accepting.start()

    def stop_accepting(self) -> None:
        """Accept nothing more; no thread uses the listening sockets afterwards."""
        if self._accepting is not None:
            os.eventfd_write(self._stop, 1)
            self._accepting.join()
            self._accepting = None

    def drain(self, idle_seconds: float, busy_seconds: float) -> None:
        """Tell every session to end."""
        now = self._clock.monotonic()
        self._drain.start(now + idle_seconds, now + busy_seconds)

    def sessions_left(self) -> int:
        """How many sessions live."""
        return len(self._sessions)

    def kick(self, session_id: str) -> bool:
        """End one session."""
        session = self._sessions.get(session_id)
        if session is None:
            return False
        session.wire.kick()
        return True

    def _accept(self, servers: dict[int, Listener]) -> None:
        poll = select.poll()
        for descriptor in (*servers, self._stop):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _event in poll.poll():
                if descriptor == self._stop:
                    return
                self._accept_one(servers[descriptor])

    def _accept_one(self, server: Listener) -> None:
        try:
            request, address = server.get_request()
        except OSError:
            # Another worker was faster, the client has gone already, or descriptors are short: the next poll tells.
            return
        if len(self._sessions) >= self._most:
            with request:
                request.setblocking(False)
                try:
                    request.send(_FULL)
                except OSError:
                    pass
            return
        try:
            server.process_request(request, address)
        except RuntimeError:  # no thread can be started
            request.close()

    def _serve(self, connection: socket.socket, address: Any, bound: BoundListener) -> None:
        """One connection, from its first octet to its last; runs in its own thread."""
        session = Session(self._context, self._house, self._ids.new(), self._drain)
        self._sessions[session.id] = session
        try:
            session.run(connection, address, bound)
        finally:
            del self._sessions[session.id]


def build(context: WorkerContext) -> Smtpd:
    """The Service of an SMTP worker (see serve/worker.py)."""
    return Smtpd(context)
