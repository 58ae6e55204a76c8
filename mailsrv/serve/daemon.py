"""A daemon: the Service that accepts from listeners and serves each connection in a thread, whatever is spoken there.

Threads take turns: one leads, which means that it waits on all listeners; when it has a connection it hands the lead
to the next idle thread (or a new one) and serves the connection itself. So no connection waits for a thread to be
made, none is handed from thread to thread, and everything slow (TLS handshakes, PROXY headers) happens outside the
lead. When the process is full, a connection is told so and closed. What a session is, its kind of daemon says
(serve/smtpd.py, serve/imapd.py).

Diagnostics: no client can make it raise.
"""

import _thread
import errno
import os
import select
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mailsrv.system import memory
from mailsrv.system.clock import Clock
from mailsrv.serve.pump import GRACE
from mailsrv.serve.wire import Drain, Wire
from mailsrv.serve.worker import BoundListener, WorkerContext

_STACK_OCTETS = 256 << 10
_NUDGE_SECONDS = 0.2  # between two looks at the sessions while the worker drains
_NUDGED_AT_ONCE = 50  # idle sessions at least
_IDLE_THREADS = 16  # that wait for the lead; more end when they have served their connection
_REST_SECONDS = 0.1  # while there are no descriptors, or no memory, for another connection
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Session(Protocol):
    """One connection. Its wire may be used by other threads, to end it."""

    @property
    def id(self) -> str: ...
    @property
    def wire(self) -> Wire: ...
    def run(self, peer_name: Any, bound: BoundListener) -> None:
        """Serve the connection to its end; raises nothing."""
        ...


class Listener(socketserver.BaseServer):
    """One inherited listening socket as a socketserver; a request is served by the thread that accepted it."""

    def __init__(self, bound: BoundListener, serve: Callable[[socket.socket, Any, BoundListener], None]) -> None:
        super().__init__(bound.socket.getsockname(), socketserver.BaseRequestHandler)
        self.bound = bound
        self._serve = serve

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self.bound.socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; BlockingIOError when another worker was faster."""
        return self.bound.socket.accept()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection to its end."""
        self._serve(request, client_address, self.bound)


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes a daemon of one kind: the most sessions of a process, how one is made of a connection, and what is
    said when there are too many."""

    most: int
    open_session: Callable[[socket.socket], Session]
    full: bytes


class Daemon:
    """The Service (serve/worker.py) of a process that serves clients. `drain` is what its sessions look at."""

    def __init__(self, context: WorkerContext, drain: Drain, kind: Kind) -> None:
        self._clock: Clock = context.clock
        self._drain = drain
        self._kind = kind
        self._sessions: dict[str, Session] = {}
        self._servers: dict[int, Listener] = {}
        self._lead = threading.Lock()
        self._idle = 0  # threads that wait for the lead; changed only by the one that has it, or under _counting
        self._counting = threading.Lock()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._poll = select.poll()

    def start(self, listeners: list[BoundListener]) -> None:
        """Begin to accept."""
        memory.settle()
        threading.stack_size(_STACK_OCTETS)
        self._servers = {bound.socket.fileno(): Listener(bound, self._serve) for bound in listeners}
        for descriptor in (*self._servers, self._stop):
            self._poll.register(descriptor, select.POLLIN)
        self._start_thread()

    def stop_accepting(self) -> None:
        """Accept nothing more; no thread uses the listening sockets afterwards."""
        self._stopping = True
        os.eventfd_write(self._stop, 1)
        with self._lead:
            self._servers = {}

    def drain(self, idle_seconds: float, busy_seconds: float) -> None:
        """Tell every session to end."""
        now = self._clock.monotonic()
        is_first = self._drain.idle_until is None
        self._drain.start(now + idle_seconds, now + busy_seconds)
        if is_first:
            threading.Thread(target=self._nudge, name="drain", daemon=True).start()

    def _nudge(self) -> None:
        """Wake the sessions whose time has come: they sit in a read, and only their connection can wake them.

        Many are woken a part at a time, over half of the time there is: thousands of clients that all come back in the
        same moment would wait for each other's logins.
        """
        drain = self._drain
        while self._sessions and drain.idle_until is not None and drain.busy_until is not None:
            now = self._clock.monotonic()
            ticks = max((drain.idle_until - now) / 2 / _NUDGE_SECONDS, 1)
            left = max(int(len(self._sessions) / ticks), _NUDGED_AT_ONCE)
            for session in list(self._sessions.values()):
                wire = session.wire
                if wire.nudged:
                    continue
                idle_since = wire.idle_since
                is_late = now >= drain.busy_until or idle_since and now >= drain.idle_until
                if is_late or left and idle_since and now - idle_since >= GRACE:
                    wire.nudge()
                    left -= not is_late
            drain.moved.wait(_NUDGE_SECONDS)
            drain.moved.clear()

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

    def _start_thread(self) -> None:
        self._count_idle(1)
        try:
            # Not threading.Thread: its start waits for the new thread, with the lead in hand.
            _thread.start_new_thread(self._take_turns, ())
        except RuntimeError:  # no thread can be started: whoever has served a connection comes back for the lead
            self._count_idle(-1)

    def _count_idle(self, change: int) -> int:
        with self._counting:
            self._idle += change
            return self._idle

    def _take_turns(self) -> None:
        """A thread's life: lead, serve, and again, while few enough are idle."""
        while True:
            with self._lead:
                accepted = self._await_connection()
                if accepted is None:
                    return
                if self._count_idle(-1) == 0:
                    self._start_thread()
            server, request, address = accepted
            server.process_request(request, address)
            if self._count_idle(1) > _IDLE_THREADS:
                self._count_idle(-1)
                return

    def _await_connection(self) -> tuple[Listener, socket.socket, Any] | None:
        """Wait until a connection is there that can be served; None when nothing more is to be accepted."""
        while not self._stopping:
            for descriptor, _event in self._poll.poll():
                server = self._servers.get(descriptor)
                if server is None:
                    continue
                try:
                    request, address = server.get_request()
                except OSError as error:
                    # Another worker was faster, the client has gone already, or the connection stays in the queue.
                    if error.errno in _SHORT:
                        self._rest()
                    continue
                if len(self._sessions) < self._kind.most:
                    return server, request, address
                _turn_away(request, self._kind.full)
        return None

    def _rest(self) -> None:
        """Let sessions end before the next try: what waits in the queue would wake the poll again at once."""
        poll = select.poll()
        poll.register(self._stop, select.POLLIN)
        poll.poll(_REST_SECONDS * 1000)

    def _serve(self, connection: socket.socket, address: Any, bound: BoundListener) -> None:
        """One connection, from its first octet to its last."""
        session = self._kind.open_session(connection)
        self._sessions[session.id] = session
        try:
            session.run(address, bound)
        finally:
            del self._sessions[session.id]


def _turn_away(connection: socket.socket, full: bytes) -> None:
    """Say that the process is full, if that can be said at once."""
    with connection:
        connection.setblocking(False)
        try:
            connection.send(full)
        except OSError:
            return
