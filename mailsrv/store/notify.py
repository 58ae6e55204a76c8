"""How a delivery tells the readers of an account (IMAP sessions of other processes) that there is something new.

A watcher owns a socket in data_dir/run/watch; an announcement is a datagram with the account's name to each of them. It
is best effort and may be lost: readers look at directory times as well. While nobody watches, it costs one stat.

Diagnostics: `announce` raises nothing; a Watcher raises StorageError when its socket cannot be made.
"""

import os
from collections.abc import Callable

from mailsrv.errors import StorageError
from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Stamp
from mailsrv.system.wake import Doorbell, Waker, Woken

WATCH = "run/watch"

# A directory that was changed less than this before it was listed may have changed again without another time: the
# kernel's clock for files ticks every 10 ms at the slowest, and only our own processes on this machine write here.
_YOUNG_SECONDS = 0.1


class Announcer:
    """Announces deliveries, for all threads of a process. `directory` is data_dir/run/watch and need not exist."""

    #: The process's own watcher's socket and what does its work: it is called, and no thread needs to be woken for it.
    own: "tuple[str, Callable[[set[str]], None]]" = ("", lambda accounts: None)

    def __init__(self, directory: str, disk: Disk, clock: Clock, waker: Waker | None = None) -> None:
        self._directory = directory
        self._disk = disk
        self._clock = clock
        self._waker = waker or Waker()
        self._seen: Stamp | None = None
        self._watchers: list[str] = []

    def announce(self, *accounts: str) -> None:
        """Tell every watcher that the accounts' mailboxes have changed."""
        try:
            own, tell = self.own
            for path in self._current():
                if path == own:
                    tell(set(accounts))
                    continue
                for account in accounts:
                    if self._waker.wake(path, account.encode()) is Woken.NOBODY:
                        # Its process is dead; names are never used twice.
                        self._disk.unlink(path, missing_ok=True)
                        break
        except StorageError:
            self._seen = None

    def _current(self) -> list[str]:
        """The watchers' sockets; the directory is read only when it has changed."""
        stamp = self._disk.stamp(self._directory)
        if stamp is None:
            return []
        if stamp == self._seen:
            return self._watchers
        old = self._clock.now() - stamp.changed / 1e9 > _YOUNG_SECONDS
        watchers = [f"{self._directory}/{name}" for name in self._disk.names(self._directory)]
        self._watchers = watchers
        self._seen = stamp if old else None
        return watchers


class Watcher:
    """Receives announcements in one process; close it, or `with`."""

    def __init__(self, directory: str, disk: Disk) -> None:
        disk.make_directories(directory)
        self.path = f"{directory}/{os.getpid()}.{entropy.octets(6).hex()}"
        self._bell = Doorbell(self.path)

    def fileno(self) -> int:
        """For select and poll."""
        return self._bell.fileno()

    def changed(self, seconds: float | None = 0) -> set[str]:
        """The accounts announced since the last call; waits up to `seconds` for the first (None: without end)."""
        if not self._bell.wait(seconds):
            return set()
        return {hint.decode("utf-8", "replace") for hint in self._bell.take()}

    def close(self) -> None:
        self._bell.close()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
