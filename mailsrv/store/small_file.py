"""Small text files that are read often and written anew as a whole: kept in memory while nobody changes them.

Reading costs one stat while a file stays as it is. A change holds a lock between processes, reads the file again, and
is durable when it ends. What the octets mean is the business of whoever makes one of these.

Diagnostics: `read` and `change` raise StorageError for a file that cannot be read, with file, line and what to do, and
when the disk refuses; a damaged file is never written over.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from mailsrv.errors import StorageError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing, Stamp

YOUNG_SECONDS = 2.0  # what changed more recently may have changed again without another time

T = TypeVar("T")

_KEPT = 1000  # files in memory
_LIMIT = 16 << 20


class SmallFiles(Generic[T]):
    """Files of one kind, by path; threads may share it. `parse` raises ValueError with `line: what is wrong`; what it
    gives must not be changed but within `change`. A file that is not there is what `empty` makes."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        parse: Callable[[bytes], T],
        format_: Callable[[T], bytes],
        empty: Callable[[], T],
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._parse = parse
        self._format = format_
        self._empty = empty
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Stamp, T]] = {}

    def read(self, path: str) -> T:
        """What a file says now."""
        stamp = self._disk.stamp(path)
        if stamp is None:
            return self._empty()
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        value = self._load(path)
        if is_old(self._clock, stamp):
            with self._lock:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[path] = (stamp, value)
        return value

    @contextmanager
    def change(self, path: str, lock: str) -> Iterator[T]:
        """What a file says, alone under the lock file: what the block changes in it is durable when the block ends.
        Nothing is written when it raises."""
        with self._disk.lock(lock):
            value = self._load(path)
            before = self._format(value)
            yield value
            after = self._format(value)
            if after != before:
                self._disk.replace(path, after)
            with self._lock:
                self._known.pop(path, None)

    def _load(self, path: str) -> T:
        try:
            return self._parse(self._disk.read(path, _LIMIT))
        except Missing:
            return self._empty()
        except ValueError as error:
            raise StorageError(f"{path}:{error}; correct or remove it") from error


def is_old(clock: Clock, stamp: Stamp) -> bool:
    """Whether a stamp is old enough to be trusted: the next change will have another one."""
    return clock.now() - stamp.changed / 1e9 > YOUNG_SECONDS
