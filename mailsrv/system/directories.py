"""The directories that the disk door keeps open: a bounded set of descriptors, shared by all threads of a process.

A directory that was moved away or replaced behind our back is noticed within a second; one that was removed is found
out by the call that fails, and `forget` makes the next call open it anew. Nothing is written here.

Diagnostics: `find` raises the OSError of open(2); the disk door turns it into an error of the house.
"""

import os
import threading

from mailsrv.system.clock import SystemClock

_TRUST_SECONDS = 1.0  # how long an open directory is taken for the one that its path names


class OpenDirectory:
    """An open directory. It is closed when nobody holds it any more: dropping it from the set hurts no caller."""

    __slots__ = ("checked", "fd", "identity")

    def __init__(self, path: str, now: float) -> None:
        self.fd = -1
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        status = os.fstat(self.fd)
        self.identity = (status.st_dev, status.st_ino)
        self.checked = now

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)

    def is_at(self, path: str) -> bool:
        """Whether `path` still names this directory."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity


class OpenDirectories:
    """Up to `bound` open directories by path; the one used longest ago makes room."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._lock = threading.Lock()  # around the dictionary only, never around a system call
        self._entries: dict[str, OpenDirectory] = {}
        self._monotonic = SystemClock.monotonic

    def find(self, path: str) -> OpenDirectory:
        """The open directory of this path. Hold it while its descriptor is used."""
        now = self._monotonic()
        with self._lock:
            entry = self._entries.pop(path, None)
            if entry is not None:
                self._entries[path] = entry  # the last one is the one used last
        if entry is not None:
            if now - entry.checked < _TRUST_SECONDS:
                return entry
            if entry.is_at(path):
                entry.checked = now
                return entry
        entry = OpenDirectory(path, now)
        dropped = self.forget(path)
        with self._lock:
            self._entries[path] = entry
            if len(self._entries) > self._bound:
                dropped = self._entries.pop(next(iter(self._entries)))
        del dropped  # closed here, outside the lock
        return entry

    def forget(self, path: str) -> OpenDirectory | None:
        """Let the next `find` open this path anew; gives what was open."""
        with self._lock:
            return self._entries.pop(path, None)
