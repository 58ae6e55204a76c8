"""The decision record: one JSON line per transaction, appended by all processes, in a set of files that stays bounded.

`current.jsonl` is written to; when it has reached its size it becomes `current.jsonl.1`, that one becomes
`current.jsonl.2` and so on, and the oldest one goes. Their form stands in mailsrv-log(5); what a record says is made in
receive/. A writer finds out that another process has rotated by looking at the name's inode once a second or after a
share of the size, never per record; what it writes until then lands in `current.jsonl.1`. Mail never waits or fails for
a record: a lock that is taken is left to who has it, and a record that cannot be written is lost, which the next one
says (`lost`).

Diagnostics: raises nothing, whatever the disk does.
"""

import json
import os
import threading
from collections.abc import Mapping
from itertools import pairwise, takewhile

from mailsrv.errors import Busy, StorageError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.lines import LineFile, open_for_lines
from mailsrv.system.lock import Lock

VERSION = 1
CURRENT = "current.jsonl"
LOCK = "lock"

_MODE = 0o600
_LOOK_SECONDS = 1.0
_LOOKS = 16  # a process looks at the file's size at least so many times while it fills it alone

# Only ASCII, so that no octet of a client reaches a terminal; what JSON does not know becomes text.
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Decisions:
    """The record of one process, for all its threads. Make it after the privileges are dropped and after the fork."""

    def __init__(self, disk: Disk, directory: str, max_bytes: int, keep: int, clock: Clock) -> None:
        """`directory` is made when it is missing; `max_bytes` 0 means no record; `keep` counts the old files."""
        self._disk = disk
        self._directory = directory
        self._path = f"{directory}/{CURRENT}"
        self._max_bytes = max_bytes
        self._keep = keep
        self._clock = clock
        self._file: LineFile | None = None
        self._looking = threading.Lock()
        self._next_look = 0.0
        self._unseen = 0  # octets that this process has written since it looked
        self._lost = 0
        if max_bytes:
            self._look()

    def write(self, record: Mapping[str, object]) -> None:
        """Append one record; `version` is put first, and `lost` when records before it were lost."""
        if not self._max_bytes:
            return
        if self._clock.monotonic() >= self._next_look or self._unseen > self._max_bytes // _LOOKS:
            self._look()
        lost = self._lost
        head = {"version": VERSION, "lost": lost} if lost else {"version": VERSION}
        line = _encode({**head, **record}).encode()
        try:
            if self._file is None:
                raise FileNotFoundError(self._path)
            self._file.write(line)
        except OSError:
            self._lost += 1
        else:
            self._unseen += len(line) + 1
            self._lost -= lost

    def _look(self) -> None:
        """Go on in the file that bears the name now, rotate it when it is full; one thread does, the others write."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            self._next_look = self._clock.monotonic() + _LOOK_SECONDS
            self._unseen = 0
            self._follow()
            if self._disk.size(self._path) >= self._max_bytes:
                self._rotate()
                self._follow()
        except (OSError, StorageError, Busy):
            return  # the next look comes soon; a file that grows a little beyond its size harms nobody
        finally:
            self._looking.release()

    def _follow(self) -> None:
        there = self._disk.stamp(self._path)
        if self._file and there and os.fstat(self._file.descriptor).st_ino == there.inode:
            return
        self._disk.make_directories(self._directory)
        fresh = open_for_lines(self._path, _MODE)
        if self._file:
            self._file.switch(fresh)
        else:
            self._file = LineFile(fresh)

    def _rotate(self) -> None:
        with Lock(f"{self._directory}/{LOCK}", wait=False):
            if self._disk.size(self._path) < self._max_bytes:
                return  # another process was faster
            names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._keep + 1))]
            there = {f"{self._directory}/{name}" for name in self._disk.names(self._directory)}
            for path in there.difference(names):
                if path.startswith(f"{self._path}."):
                    self._disk.unlink(path, missing_ok=True)  # a former, larger `keep` has left it
            chain = list(takewhile(there.__contains__, names))
            self._make_good(chain)
            if chain:
                self._shift(chain, names[len(chain) : len(chain) + 1])

    def _make_good(self, chain: list[str]) -> None:
        """A crash between link and unlink left one file under two names: take away the first, and it is shifted."""
        inodes = [self._disk.stamp(path) for path in chain]
        for at in range(1, len(chain)):
            before, after = inodes[at - 1], inodes[at]
            if before and after and before.inode == after.inode:
                self._disk.unlink(chain[at - 1])
                del chain[at - 1 :]  # here is room now, and nothing behind it has to move
                return

    def _shift(self, chain: list[str], free: list[str]) -> None:
        """Each file takes the next name; without a free one the last file goes."""
        names = chain + free
        if not free:
            self._disk.unlink(names[-1])
        for source, target in reversed(list(pairwise(names))):
            self._disk.link(source, target)
            self._disk.unlink(source)
