"""A generation: one configuration with its certificates and sockets, and the workers that serve by it.

At most two live at once: the one that serves, and one that comes up or drains.

Diagnostics: raises nothing.
"""

import os
from dataclasses import dataclass, field
from enum import Enum

from mailsrv.config.schema import Config, ListenerConfig
from mailsrv.serve.worker import BoundListener, Channel
from mailsrv.system.log import Log
from mailsrv.system.tls import Pair, ServerTls, fingerprint


RUNNER = 0  # the number of the process that runs the queue
IMAPD = 100  # before the numbers of those that serve IMAP: 101 is the first


def kind_of(number: int) -> str:
    """What a process does, by its number, as the log and `mailsrv status` name it."""
    return "runner" if number == RUNNER else "imapd" if number > IMAPD else "smtpd"


def listens(number: int, listener: ListenerConfig) -> bool:
    """Whether a process accepts from a listener."""
    return number != RUNNER and listener.is_imap == (number > IMAPD)


class State(Enum):
    """What a worker is doing; the values are shown by `mailsrv status` and in the log."""

    STARTING = "started"
    READY = "ready"
    DRAINING = "draining"


@dataclass(slots=True)
class Child:
    """A worker as the supervisor knows it. `since` is monotonic; `reason` what it said before it failed."""

    pid: int
    number: int
    slot: int
    channel: Channel
    since: float
    state: State = State.STARTING
    reason: str = ""


def pairs_of(config: Config) -> list[Pair]:
    """The certificates of a configuration, the default first."""
    tls = config.tls
    first = [Pair(tls.cert_file, tls.key_file)] if tls.cert_file or tls.key_file else []
    return [*first, *(Pair(more.cert_file, more.key_file) for more in tls.certificates)]


@dataclass(slots=True)
class Generation:
    """Processes by their number: smtpd 1 to `workers`, imapd behind IMAPD, and RUNNER where there is one; a number may
    be missing while its back-off runs.
    """

    number: int
    config: Config
    tls: ServerTls | None
    log: Log
    listeners: list[BoundListener]
    files: tuple[tuple[str, int, int], ...] = ()  # the certificates' files as they were when they were read
    children: dict[int, Child] = field(default_factory=dict)
    has_runner: bool = False

    @property
    def workers(self) -> int:
        """How many smtpd it should have. Two per core: while one interpreter's threads wait for their turn, the other
        uses the core (measured: 7 to 14 % more messages over 10 connections, for 9 MiB of memory each)."""
        return self.config.limits.workers or 2 * len(os.sched_getaffinity(0))

    @property
    def imapd_workers(self) -> int:
        """How many imapd it should have: one per core, since most sessions wait, and the memory of a process is that of
        many sessions."""
        if not any(listener.config.is_imap for listener in self.listeners):
            return 0
        return self.config.limits.imapd_workers or len(os.sched_getaffinity(0))

    @property
    def numbers(self) -> list[int]:
        """The processes that it should have."""
        imapd = range(IMAPD + 1, IMAPD + self.imapd_workers + 1)
        return [*range(1, self.workers + 1), *imapd, *([RUNNER] if self.has_runner else [])]

    def is_ready(self) -> bool:
        """Whether every process serves."""
        return len(self.children) == len(self.numbers) and all(
            child.state is State.READY for child in self.children.values()
        )

    def has_new_files(self) -> bool:
        """Whether a certificate or key file changed since it was read."""
        return fingerprint(pairs_of(self.config)) != self.files
