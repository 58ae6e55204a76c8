"""The queue as an operator's command finds it: the configuration, data_dir, and who may look into it.

Root becomes the service user for good before anything is touched: what root made there the server could not use.

Diagnostics: `open_place` raises NotPermitted for a user who may not read the queue, ConfigError, and Refused where
there is no spool.
"""

import os
import threading
from dataclasses import dataclass

from mailsrv.cli.program import NotPermitted
from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.errors import ConfigError, Refused
from mailsrv.serve.privileges import choose
from mailsrv.spool.claim import Claims
from mailsrv.spool.layout import Layout, check_format
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.system.clock import Clock, SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log, open_log
from mailsrv.system.process import drop_privileges
from mailsrv.system.wake import Waker, Woken

DROP_DIRECTORY = "/var/spool/mailsrv-drop"  # for users who may not read the configuration
DROP_VARIABLE = "MAILSRV_DROP"

SLOT = 0  # of queue IDs; workers have others

_LOOKS = 50
_LOOK_SECONDS = 0.02


class Silent:
    """A log for commands where the server's goes to standard error, which is the server's own: what they do stands in
    the journals."""

    stamps = True

    def write(self, priority: int, line: bytes) -> None:
        """Nothing."""

    def reopen(self) -> None:
        """Nothing."""

    def own(self, uid: int, gid: int) -> None:
        """Nothing."""


class Bell:
    """Tells the runner where to look. Its socket takes few hints at a time: a command that has many waits for it, once
    for a second at most, and then goes on, since the runner looks by itself too.
    """

    def __init__(self, waker: Waker, path: str) -> None:
        self._waker = waker
        self._path = path
        self._looks = _LOOKS
        self._never = threading.Event()

    def ring(self, hint: str) -> None:
        """Give a hint: an ID, `!ID` (at once), `*` (everything), `-` (what is paused)."""
        while self._waker.wake(self._path, hint.encode("ascii")) is Woken.FULL and self._looks:
            self._looks -= 1
            self._never.wait(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Place:
    """The doors of one data_dir."""

    config: Config
    disk: Disk
    layout: Layout
    clock: Clock
    log: Log
    waker: Waker
    ids: QueueIds
    bell: Bell

    @property
    def claims(self) -> Claims:
        """Makes claims."""
        return Claims(self.disk, self.layout, self.clock, self.log)

    def new_id(self) -> str:
        """An ID for a message that a command makes."""
        return child(self.ids.new(), 0)

    def wake(self, hint: str) -> None:
        """Tell the runner; see Bell.ring."""
        self.bell.ring(hint)


def open_place(config_path: str) -> Place:
    """The queue of the server with this configuration."""
    config = read_config(config_path)
    become_service_user(config)
    disk, layout, clock = Disk(), Layout(config.data_dir), SystemClock()
    if not os.access(layout.queue, os.R_OK | os.X_OK):
        if os.path.isdir(layout.data_dir) and not os.access(layout.data_dir, os.X_OK):
            raise NotPermitted("only root and the service user may look into the queue")
        raise Refused(f"{layout.queue}: there is no queue; `mailsrv serve` makes it")
    check_format(disk, layout)
    log_config = config.log
    if log_config.destination == "stderr":
        log = Log(Silent(), log_config.format, log_config.level, clock)
    else:
        log = open_log(log_config.destination, log_config.format, log_config.level, clock)
    waker = Waker()
    return Place(config, disk, layout, clock, log, waker, QueueIds(clock, SLOT), Bell(waker, layout.wake))


def read_config(path: str) -> Config:
    """The configuration; NotPermitted when this user may not read it."""
    if os.path.exists(path) and not os.access(path, os.R_OK):
        raise NotPermitted(f"{path} may be read by root and the service user only, and so may the queue")
    return load(path, os.environ)


def become_service_user(config: Config) -> None:
    """Root becomes the service user, for good; NotPermitted for anybody else who is not that user."""
    try:
        identity = choose(config)
    except ConfigError:
        if os.geteuid() != 0:
            raise NotPermitted("only root and the service user may look into the queue") from None
        raise
    if identity.drops:
        drop_privileges(identity.uid, identity.gid)


def find_drop_dir(config_path: str) -> str:
    """Where a user may leave messages who may not touch the queue; "" when there is no such place."""
    named = os.environ.get(DROP_VARIABLE, "")
    if not named:
        try:
            named = load(config_path, os.environ).drop_dir
        except ConfigError:
            named = DROP_DIRECTORY
    return named if os.path.isdir(named) else ""
