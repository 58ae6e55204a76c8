"""Taking messages from the drop directory into the queue, and leaving there how many wait, for whoever asks.

To be called by one process from time to time, and once before the first message of the queue is delivered: a message
that was queued just before a crash is known by its ID only as long as it is queued or has left a journal. What cannot
be read stays where it is, its owner can remove it; it is told once.

Diagnostics: `Drops.look` raises StorageError when the directory is not as it must be, or our own disk refuses; what was
not taken is there the next time. `read_counts` raises nothing.
"""

import pwd
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailsrv.config.schema import Config
from mailsrv.errors import AlreadyThere, GrammarError, StorageError
from mailsrv.receive.handover import Handover, User
from mailsrv.spool.drop import Dropped, check_directory, find_inode, is_drop
from mailsrv.spool.enqueue import Spool
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Stamp
from mailsrv.system.log import Log
from mailsrv.system.scratch import Scratch
from mailsrv.text.record import Records, read_json, write_json

if TYPE_CHECKING:
    from mailsrv.receive.house import Directory

COUNTS = "status"
_BATCH = 1000  # messages of one look, so that the caller is not kept from its other work
_RECORDS = Records()
_QUIET_SECONDS = 2.0  # a directory whose time is younger may have changed since without showing it


@dataclass(frozen=True, slots=True)
class Counts:
    """What everybody may know of the queue: messages that wait, and that are held; at, seconds since the epoch."""

    queued: int
    held: int
    at: float


@dataclass(frozen=True, slots=True)
class Services:
    """What is needed; `scratch` makes a place for one message."""

    disk: Disk
    spool: Spool
    directory: "Directory"
    scratch: Callable[[], Scratch]
    log: Log
    clock: Clock


class Drops:
    """The drop directory of a configuration; used by one thread."""

    def __init__(self, config: Config, services: Services) -> None:
        self._path = config.drop_dir
        self._limit = config.limits.message_size
        self._services = services
        self._handover = Handover(config, services.directory)
        self._seen: Stamp | None = None
        self._bad: set[tuple[str, int]] = set()
        self._told: tuple[int, int] = (-1, -1)

    def look(self) -> int:
        """Take what is there; how many messages. One look at the directory's time when nothing has changed."""
        if not self._path:
            return 0
        disk, clock = self._services.disk, self._services.clock
        stamp = disk.stamp(self._path)
        if stamp is not None and stamp == self._seen:
            return 0
        check_directory(self._path)
        names = sorted(name for name in disk.names(self._path) if is_drop(name, clock.now()))
        self._bad = {one for one in self._bad if one[0] in names}
        taken = sum(self._take(name) for name in names[:_BATCH])
        is_done = len(names) <= _BATCH and not taken
        is_quiet = stamp is not None and stamp.changed < (clock.now() - _QUIET_SECONDS) * 1e9
        self._seen = stamp if is_done and is_quiet else None
        return taken

    def tell(self, queued: int, held: int) -> None:
        """Leave the numbers for users who may not look into the queue; nothing is written when they are the same."""
        if not self._path or (queued, held) == self._told:
            return
        counts = Counts(queued, held, self._services.clock.now())
        self._services.disk.replace(f"{self._path}/{COUNTS}", write_json(_RECORDS.dump(counts)) + b"\n", 0o644)
        self._told = (queued, held)

    def _take(self, name: str) -> bool:
        disk, clock = self._services.disk, self._services.clock
        path = f"{self._path}/{name}"
        inode = find_inode(path)
        if not inode or (name, inode) in self._bad:
            return False
        began = clock.monotonic()
        try:
            with Dropped.open(path, self._limit) as dropped, self._services.scratch() as scratch:
                self._queue(name, dropped, scratch, began)
        except GrammarError as error:
            self._bad.add((name, inode))
            events.corrupt(self._services.log, id=name, path=path, reason=str(error))
            return False
        disk.unlink(path, missing_ok=True)
        return True

    def _queue(self, name: str, dropped: Dropped, scratch: Scratch, began: float) -> None:
        services = self._services
        request, offset = dropped.request()
        for block in dropped.blocks(offset):
            scratch.write(block)
        if scratch.size > self._limit:
            raise GrammarError(f"the message has {scratch.size} octets, and limits.message_size is {self._limit}")
        envelope, octets = self._handover.make(name, request, find_user(dropped.uid), scratch)
        with suppress(AlreadyThere):
            services.spool.enqueue_once(envelope, octets)
            events.received(
                services.log, id=name, client="local", helo="", protocol="local", tls="", account="",
                from_=str(envelope.reverse_path or "<>"), size=envelope.size, recipients=len(envelope.recipients),
                seconds=round(services.clock.monotonic() - began, 3),
            )  # fmt: skip
            events.queued(services.log, id=name, recipients=len(envelope.recipients), reason="")


def find_user(uid: int) -> User:
    """Who has this number; the number itself where nobody does."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return User(uid, str(uid))
    return User(uid, entry.pw_name, entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize()))


def read_counts(disk: Disk, directory: str) -> Counts | None:
    """The numbers that the runner left; None when there are none."""
    try:
        return _RECORDS.load(Counts, read_json(disk.read(f"{directory}/{COUNTS}", 4096)))
    except (GrammarError, StorageError):
        return None
