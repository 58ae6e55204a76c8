"""The lock door: flock(2) on files, between processes and between threads; gone with the process that held it.

Nothing is ever written into a lock file and none is ever removed (who waits for a removed file waits for another one).

Diagnostics: a lock file that cannot be opened is StorageError; Busy when a lock or slot was not free within its time.
"""

import errno
import fcntl
import os
import threading
from collections import deque

from mailsrv.errors import Busy, StorageError
from mailsrv.system.clock import Clock, SystemClock

_PAUSE_SECONDS = 0.01  # between two looks at what another process holds


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageError(f"{path}: cannot be opened for locking: {os.strerror(error.errno or 0)}") from error


def _take_lock(fd: int, how: int) -> bool:
    """Whether the lock is ours now; with LOCK_NB in `how` it may not be."""
    try:
        fcntl.flock(fd, how)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise StorageError(f"a lock cannot be taken: {os.strerror(error.errno or 0)}") from error
        return False
    return True


def try_lock(fd: int) -> bool:
    """Take the exclusive lock on an open file without waiting; False when somebody else has it.

    The lock belongs to the open file, also between threads: two who opened it are two.
    """
    return _take_lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def locked_inodes(path: str = "/proc/locks") -> frozenset[int]:
    """The inode numbers of all files that somebody has locked right now, without locking anything.

    Numbers of several file systems together: good enough to be shown, not to be relied on. Empty where the kernel does
    not say.
    """
    try:
        with open(path, encoding="ascii") as file:
            lines = file.readlines()
    except OSError:
        return frozenset()
    # `1: FLOCK  ADVISORY  WRITE 4711 08:01:131072 0 EOF`; a waiting one has `->` behind its number.
    words = (line.split() for line in lines)
    return frozenset(int(word[5].rpartition(":")[2]) for word in words if len(word) > 5 and word[1] == "FLOCK")


class Lock:
    """A lock on one file, made if missing: exclusive, or shared with others that share.

    `with Lock(path):` waits as long as it takes, `wait=False` raises Busy at once. One object is for one holder.
    """

    def __init__(self, path: str, *, shared: bool = False, wait: bool = True) -> None:
        self._path = path
        self._how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._wait = wait
        self._fd = -1

    def __enter__(self) -> "Lock":
        fd = _open(self._path)
        try:
            if not _take_lock(fd, self._how if self._wait else self._how | fcntl.LOCK_NB):
                raise Busy(f"{self._path} is locked by another process")
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self

    def __exit__(self, *_: object) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


class Slots:
    """At most `count` holders at a time over all threads of all processes that name the same directory.

    `with slots:` waits up to `timeout` seconds, then raises Busy; any number of threads may use one object, each thread
    once at a time. The files `0` to `count - 1` are made in `directory`, which must exist. A forked child opens the
    files anew.
    """

    def __init__(self, directory: str, count: int, timeout: float, clock: Clock | None = None) -> None:
        self._directory = directory
        self._count = count
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._held = threading.local()
        self._never = threading.Event()
        self._mutex = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._turn = threading.Semaphore(self._count)
        self._free: deque[int] = deque(range(self._count))
        self._fds: dict[int, int] = {}

    def __enter__(self) -> None:
        with self._mutex:
            if self._pid != os.getpid():
                # flock belongs to the open file, which parent and child would share.
                self._start()
        deadline = self._clock.monotonic() + self._timeout
        if not self._turn.acquire(timeout=self._timeout):
            raise Busy(f"no slot in {self._directory} was free in time")
        try:
            while (number := self._take()) is None:
                if self._clock.monotonic() >= deadline:
                    raise Busy(f"no slot in {self._directory} was free in time")
                self._never.wait(_PAUSE_SECONDS)
        except BaseException:
            self._turn.release()
            raise
        self._held.number = number

    def __exit__(self, *_: object) -> None:
        number: int = self._held.number
        fcntl.flock(self._fds[number], fcntl.LOCK_UN)
        self._free.append(number)
        self._turn.release()

    def _take(self) -> int | None:
        """Look at each slot that no thread of this process holds, once; give the one taken."""
        for _ in range(self._count):
            try:
                number = self._free.popleft()
            except IndexError:
                return None
            taken = False
            try:
                if number not in self._fds:
                    self._fds[number] = _open(f"{self._directory}/{number}")
                taken = _take_lock(self._fds[number], fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                if not taken:
                    self._free.append(number)
            if taken:
                return number
        return None


def slots(directory: str, count: int, timeout: float) -> Slots:
    """`with slots(...)`: see Slots. Make one object and keep it: two objects of one process count as two processes."""
    return Slots(directory, count, timeout)
