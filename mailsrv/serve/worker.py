"""A worker process: what the supervisor hands to it, what it must be able to do, and the loop that ties both
together.

The worker's first thread runs `Work`: it waits on the channel to the supervisor and does nothing else. The sessions
run in threads that the Service starts. The channel is also the life pipe: its end of file means that the supervisor
is dead. The worker then closes its listening sockets at once and drains; when a new supervisor waits for it, it
hurries.

Lines from the supervisor: `drain IDLE BUSY` (seconds), `kick ID`, `reopen`, `level WORD`, `forget ADDRESS`.
Lines to it: `ready`, `failed REASON` (before an exit with 78).

Diagnostics: raises only what the Service raises (ConfigError from `start`), or by mistake.
"""

import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mailsrv.config.schema import Config, ListenerConfig
from mailsrv.serve.bans import Bans
from mailsrv.serve.counts import WorkerCounts
from mailsrv.system.clock import Clock
from mailsrv.system.log import Log
from mailsrv.system.tls import ServerTls

BUSY_FACTOR = 10  # a transaction in progress may take this many times limits.drain_seconds
HURRY_SECONDS = 1.0  # what an orphan's transactions get once a new supervisor waits
_GRACE_SECONDS = 0.5  # after the last deadline of a drain, for the replies to leave
_DRAIN_LOOK_SECONDS = 0.05
_RECEIVE_OCTETS = 65536


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listening socket and what its connections speak.

    The socket is non-blocking and shared with every other worker: several may be woken for one connection, and
    `accept` then raises BlockingIOError for all but one. It has TCP_NODELAY, which accepted connections inherit
    (Linux).
    """

    socket: socket.socket
    config: ListenerConfig
    passed: bool = False  # opened by the service manager, which also keeps its name


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Everything that a worker is given when it starts; the process has dropped its privileges already.

    `slot` is unique among all living processes of this data_dir (1 to counts.SLOTS - 1): queue IDs are made from it.
    `number` is 1 to `workers` of its kind within the generation (imapd behind generation.IMAPD). `tls` is None without
    [tls].
    """

    config: Config
    tls: ServerTls | None
    log: Log
    clock: Clock
    counts: WorkerCounts
    bans: Bans
    slot: int
    number: int
    workers: int
    generation: int


class Service(Protocol):
    """What a kind of process does (serve/smtpd.py makes the one for SMTP). Methods are called from the worker's first
    thread.
    """

    def start(self, listeners: list[BoundListener]) -> None:
        """Begin to accept, in threads; returns at once. Raises ConfigError when it cannot work (the server then
        stops).
        """
        ...

    def stop_accepting(self) -> None:
        """Accept nothing more. When it returns, no thread uses the listening sockets (the worker closes them); called
        once.
        """
        ...

    def drain(self, idle_seconds: float, busy_seconds: float) -> None:
        """After stop_accepting: end idle sessions (421 4.3.2) within `idle_seconds`, those with a transaction in
        progress after it or within `busy_seconds`. Returns at once; may be called again with shorter times.
        """
        ...

    def sessions_left(self) -> int:
        """How many sessions live; the worker exits after a drain when it is 0."""
        ...

    def kick(self, session_id: str) -> bool:
        """End this session soon, with 421; False when it is not one of this process."""
        ...


Build = Callable[[WorkerContext], Service]


class Orphaned(Protocol):
    """Whether another supervisor waits for this process to end, asked only after its own has died."""

    def __call__(self) -> bool: ...


class Channel:
    """Lines over one end of a socketpair; the other end is another process."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._rest = b""

    def send(self, line: str) -> bool:
        """Send a line; False when the other side is gone or does not read."""
        try:
            self.end.sendall(line.replace("\n", " ").encode("utf-8", "replace") + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> list[str] | None:
        """The lines that are there; None at the end of file. Waits when nothing is there, if the socket blocks."""
        try:
            octets = self.end.recv(_RECEIVE_OCTETS)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not octets:
            return None
        *lines, self._rest = (self._rest + octets).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]


class Work:
    """The loop of a worker's first thread."""

    def __init__(self, context: WorkerContext, service: Service, channel: Channel, has_successor: Orphaned) -> None:
        self._context = context
        self._service = service
        self._channel = channel
        self._has_successor = has_successor
        self._listeners: list[BoundListener] = []
        self._accepting = False
        self._deadline: float | None = None  # monotonic; after it the process ends whatever is left
        self._orphaned = self._hurried = False
        self._looks_empty = 0

    def run(self, listeners: list[BoundListener], wakeup: socket.socket) -> None:
        """Serve until drained. `wakeup` becomes readable when the process gets SIGTERM."""
        self._listeners = listeners
        self._service.start(listeners)
        self._accepting = True
        self._channel.send("ready")
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel.end, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while not self._is_finished():
                draining = self._deadline is not None
                for key, _ in selector.select(_DRAIN_LOOK_SECONDS if draining else None):
                    if key.fileobj is wakeup:
                        wakeup.recv(_RECEIVE_OCTETS)
                        self._drain(self._idle_seconds(), self._busy_seconds())
                    elif (lines := self._channel.receive()) is not None:
                        for line in lines:
                            self._obey(line)
                    else:
                        selector.unregister(self._channel.end)
                        self._orphaned = True
                        self._drain(self._idle_seconds(), self._busy_seconds())

    def _is_finished(self) -> bool:
        if self._deadline is None:
            return False
        if self._orphaned and not self._hurried and self._has_successor():
            # Two sets of processes never work on one spool: the new one waits, so the sessions of this one end now.
            self._hurried = True
            self._drain(0, HURRY_SECONDS)
        # Empty twice: a connection that was accepted last may not have become a session yet.
        self._looks_empty = self._looks_empty + 1 if self._service.sessions_left() == 0 else 0
        return self._looks_empty >= 2 or self._context.clock.monotonic() >= self._deadline

    def _obey(self, line: str) -> None:
        verb, *words = line.split(" ")
        _COMMANDS[verb](self, *words)

    def _drain(self, idle_seconds: float, busy_seconds: float) -> None:
        if self._accepting:
            self._accepting = False
            self._service.stop_accepting()
            for listener in self._listeners:
                listener.socket.close()
        self._service.drain(idle_seconds, busy_seconds)
        deadline = self._context.clock.monotonic() + max(idle_seconds, busy_seconds) + _GRACE_SECONDS
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _idle_seconds(self) -> float:
        return self._context.config.limits.drain_seconds

    def _busy_seconds(self) -> float:
        return BUSY_FACTOR * self._idle_seconds()

    def _obey_drain(self, idle_seconds: str, busy_seconds: str) -> None:
        self._drain(float(idle_seconds), float(busy_seconds))

    def _obey_kick(self, session_id: str) -> None:
        self._service.kick(session_id)

    def _obey_reopen(self) -> None:
        self._context.log.reopen()

    def _obey_level(self, word: str) -> None:
        self._context.log.set_level(word)

    def _obey_forget(self, address: str) -> None:
        self._context.counts.forget(address)


_COMMANDS: dict[str, Callable[..., None]] = {
    "drain": Work._obey_drain,
    "kick": Work._obey_kick,
    "reopen": Work._obey_reopen,
    "level": Work._obey_level,
    "forget": Work._obey_forget,
}
