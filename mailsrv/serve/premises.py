"""The data_dir before anybody works in it: directories, owner, format, and that only one server uses it.

Two locks, both gone with the processes that hold them. `run/lock` belongs to the supervisor alone: who finds it taken
is a second server, and is told who the first one is. `run/set` is held by the supervisor and all its workers together
(they inherit it): a new supervisor waits there until the last worker of a dead one is gone, so that two sets never
share a spool. `run/pid` is written in between, and tells those workers that somebody waits.

As root, only data_dir itself is made and given to the service user; everything in it is made by a process that has
become that user. Whoever took over the service may have put symbolic links there, and root would follow them.

Diagnostics: Refused when another server runs, when the old set does not end, or for a format that this version does
not know; StorageError when the directory cannot be made.
"""

import os
import threading
from collections.abc import Callable

from mailsrv.errors import Busy, Refused
from mailsrv.spool import layout
from mailsrv.serve.privileges import Identity
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.lock import Lock
from mailsrv.system.process import call_as

DIRECTORIES = (
    "accounts",
    "decisions",
    "run",
    "run/argon2",
    "run/watch",
    "spool",
)
# By these a data_dir is known, and this may lie in one that is a file system of its own.
_MARKS = frozenset({"FORMAT", "dkim"})
_OF_FILE_SYSTEM = frozenset({"lost+found"})
BANS = "bans"
BANS_LOCK = "run/bans.lock"
CONTROL = "run/control"
PID = "run/pid"

SET_SECONDS = 20.0  # far more than orphans take to end
LOCK_SECONDS = 1.0
_LOOK_SECONDS = 0.05


class Premises:
    """One data_dir, and this process's hold on it."""

    def __init__(self, data_dir: str, identity: Identity, disk: Disk, clock: Clock) -> None:
        self.data_dir = data_dir
        self._identity = identity
        self._disk = disk
        self._clock = clock
        self._lock = Lock(self.path("run/lock"), wait=False)
        self._set = Lock(self.path("run/set"), wait=False)

    def path(self, name: str) -> str:
        """A name of data_dir as an absolute path."""
        return f"{self.data_dir}/{name}"

    def prepare(self) -> None:
        """Make what is missing. Raises StorageError, Refused."""
        if not self._identity.drops:
            self._furnish()
            return
        self._disk.make_directories(self.data_dir)
        if os.lstat(self.data_dir).st_uid == 0:
            self._check_is_ours()
            os.chown(self.data_dir, self._identity.uid, self._identity.gid, follow_symlinks=False)
        call_as(self._identity.uid, self._identity.gid, self._furnish)

    def _check_is_ours(self) -> None:
        """A directory of root's that holds something else (/var, by mistake) is not given away."""
        names = set(self._disk.names(self.data_dir))
        if names & _MARKS:
            return
        other = min(names - _OF_FILE_SYSTEM, default="")
        if other:
            give = f"chown {self._identity.uid}:{self._identity.gid} {self.data_dir}"
            raise Refused(
                f"{self.data_dir} belongs to root and holds {other}, which is not of mailsrv: "
                f"give data_dir a directory of its own; if this is the right one, `{give}`"
            )

    def _furnish(self) -> None:
        layout.prepare(self._disk, self.data_dir)
        for name in DIRECTORIES:
            self._disk.make_directories(self.path(name))
        if not self._disk.exists(self.path(BANS_LOCK)):
            self._disk.replace(self.path(BANS_LOCK), b"", 0o600)

    def take(self, say: Callable[[str], None]) -> None:
        """Become the only server here, waiting for what is left of a dead one; `say` is told of the wait. Raises
        Refused.
        """
        # A worker that was forked just before its supervisor died lets go of the lock within a moment.
        if not self._wait_for(self._lock, 0.0 if self._holder_lives() else LOCK_SECONDS, lambda: None):
            holder = self.holder() or "unknown"
            raise Refused(f"{self.data_dir} is already served by process {holder}; `mailsrv stop` ends it")
        self._disk.replace(self.path(PID), f"{os.getpid()}\n".encode(), 0o644)
        wait = "waiting for the workers of an earlier server to end"
        if not self._wait_for(self._set, SET_SECONDS, lambda: say(wait)):
            text = "workers of an earlier server do not end; `ps -ef | grep 'mailsrv: '` finds them"
            raise Refused(f"{self.data_dir}: {text}")

    def _wait_for(self, lock: Lock, seconds: float, tell: Callable[[], None]) -> bool:
        deadline = self._clock.monotonic() + seconds
        never, told = threading.Event(), False
        while True:
            try:
                lock.__enter__()
                return True
            except Busy:
                if self._clock.monotonic() >= deadline:
                    return False
            if not told:
                told = True
                tell()
            never.wait(_LOOK_SECONDS)

    def _holder_lives(self) -> bool:
        holder = self.holder()
        try:
            os.kill(int(holder), 0)
        except (ValueError, ProcessLookupError):
            return False
        except PermissionError:
            return True
        return True

    def holder(self) -> str:
        """The process number in run/pid, "" without one."""
        try:
            return self._disk.read(self.path(PID), 32).decode("ascii", "replace").strip()
        except Missing:
            return ""

    def leave_to_set(self) -> None:
        """In a worker: let go of the supervisor's own lock, which must not outlive it; the set's lock stays."""
        self._lock.__exit__()

    def release(self) -> None:
        """The supervisor ends in order."""
        if self.holder() == str(os.getpid()):
            self._disk.unlink(self.path(PID), missing_ok=True)
        self._set.__exit__()
        self._lock.__exit__()
