"""A worker process: what the supervisor hands to it, what it must be able to do, and the loop that ties both together.

The worker's first thread runs `work` here: it waits on the channel to the supervisor and does nothing else. The sessions run
in threads that the Service starts. The channel is also the life pipe: its end of file means that the supervisor is dead.

Lines from the supervisor: `drain IDLE BUSY` (seconds), `kick ID`, `reopen`, `level WORD`, `forget ADDRESS`.
Lines to it: `ready`, `kicked ID`, `failed REASON` (before an exit with 78).

Diagnostics: `work` returns the exit status and raises only what the Service raises by mistake.
"""

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


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listening socket and what its connections speak.

    The socket is non-blocking and shared with every other worker: several may be woken for one connection, and `accept` then
    raises BlockingIOError for all but one. It has TCP_NODELAY, which accepted connections inherit (Linux).
    """

    socket: socket.socket
    config: ListenerConfig


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Everything that a worker is given when it starts; the process has dropped its privileges already.

    `slot` is unique among all living processes of this data_dir (1 to counts.SLOTS - 1): queue IDs are made from it. `number` is
    1 to `workers` within the generation. `tls` is None without [tls].
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
    """What a kind of process does (serve/smtpd.py makes the one for SMTP). Methods are called from the worker's first thread."""

    def start(self, listeners: list[BoundListener]) -> None:
        """Begin to accept, in threads; returns at once. Raises ConfigError when it cannot work (the server then stops)."""
        ...

    def stop_accepting(self) -> None:
        """Accept nothing more. When it returns, no thread uses the listening sockets (the worker closes them); called once."""
        ...

    def drain(self, idle_seconds: float, busy_seconds: float) -> None:
        """After stop_accepting: end idle sessions (421 4.3.2) within `idle_seconds`, those with a transaction in progress after it
        or within `busy_seconds`. Returns at once; may be called again with shorter times."""
        ...

    def sessions_left(self) -> int:
        """How many sessions live; the worker exits after a drain when it is 0."""
        ...

    def kick(self, session_id: str) -> bool:
        """End this session soon, with 421; False when it is not one of this process."""
        ...


Build = Callable[[WorkerContext], Service]
