"""Where a message waits while it arrives: in memory up to a bound, beyond that in an unnamed file that is never synced.

The octets are kept as they come and written out whole, once, when it is decided where they go. Nothing is parsed here.

Diagnostics: `write` raises StorageFull or StorageError when the unnamed file cannot take the octets; the message is
then to be refused and the scratch closed. `blocks` raises StorageError when they cannot be read back.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk, UnnamedFile

# A client may send its message in crumbs, and each piece that is kept costs 40 octets beside its own: small ones are
# joined.
_SMALL = 1024

BLOCK = 1 << 18  # octets that are read at once


class MemoryBudget:
    """Octets of messages that all threads of a process may hold in memory together."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take `count` octets; False, and nothing taken, when there are not so many."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give(self, count: int) -> None:
        """Give octets back."""
        with self._lock:
            self._left += count


class Scratch:
    """The octets of one arriving message; used by one thread. `size` counts them.

    Up to `memory_bound` octets stay in memory as long as `budget` has room; then all of them move to an unnamed file in
    the file system of `directory`. Close it, whatever happened (`with`).
    """

    __slots__ = ("_bound", "_budget", "_chunks", "_directory", "_disk", "_file", "size")

    def __init__(self, disk: Disk, directory: str, memory_bound: int, budget: MemoryBudget) -> None:
        self._disk = disk
        self._directory = directory
        self._bound = memory_bound
        self._budget = budget
        self._chunks: list[bytes] = []
        self._file: UnnamedFile | None = None
        self.size = 0

    def write(self, octets: bytes) -> None:
        """Append octets."""
        count = len(octets)
        if self._file is None:
            if self.size + count <= self._bound and self._budget.take(count):
                chunks = self._chunks
                if count < _SMALL and chunks and len(chunks[-1]) < _SMALL:
                    chunks[-1] += octets
                else:
                    chunks.append(octets)
                self.size += count
                return
            self._spill()
        if self._file is not None:
            self._file.write([octets])
            self.size += count

    def head(self, limit: int) -> bytes:
        """The first octets, at most `limit`."""
        if self._file is not None:
            return self._file.read_at(0, min(limit, self.size))
        if len(self._chunks) == 1:
            return self._chunks[0][:limit]
        return b"".join(_until(self._chunks, limit))[:limit]

    def write_to(self, file: UnnamedFile, skip: int = 0, before: Sequence[bytes] = ()) -> None:
        """Append `before` and then the octets from `skip` on to a file: one call while they are in memory."""
        if self._file is None:
            file.write([*before, *_beyond(self._chunks, skip)])
            return
        if before:
            file.write(before)
        file.copy_from(self._file, skip)

    def blocks(self, start: int = 0, size: int = BLOCK) -> Iterator[bytes]:
        """The octets from `start` on, in blocks of at most `size`; a second call begins again. While they are in memory
        the pieces come as they are. Raises StorageError when they cannot be read back."""
        if self._file is None:
            for chunk in _beyond(self._chunks, start):
                for at in range(0, len(chunk), size):
                    yield chunk[at : at + size]  # the chunk itself when it is small
            return
        while start < self.size:
            block = self._file.read_at(start, min(size, self.size - start))
            if not block:
                raise StorageError("the scratch file is shorter than what was written to it: see the kernel log")
            yield block
            start += len(block)

    def close(self) -> None:
        """Give memory or disk space back; the octets are gone."""
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self.size:
            self._budget.give(self.size)
        self._chunks = []
        self.size = 0

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spill(self) -> None:
        """Move everything from memory to an unnamed file."""
        file = self._disk.open_unnamed(self._directory, 0o600)
        try:
            file.write(self._chunks)
        except BaseException:
            file.close()
            raise
        self._file = file
        self._chunks = []
        self._budget.give(self.size)


class Source(Protocol):
    """Where the octets of a message come from: a Scratch, or a queue file."""

    @property
    def size(self) -> int:
        """How many octets."""
        ...

    def write_to(self, file: UnnamedFile, skip: int = 0, before: Sequence[bytes] = ()) -> None:
        """Append `before` and then the octets from `skip` on to a file."""
        ...

    def blocks(self, start: int = 0, /) -> Iterator[bytes]:
        """The octets from `start` on, in blocks."""
        ...


@dataclass(frozen=True, slots=True)
class Octets:
    """A message as it will be stored: `prefix` (fields added on top), then the source from octet `skip` on."""

    prefix: bytes
    scratch: Source
    skip: int = 0

    @property
    def size(self) -> int:
        """How many octets."""
        return len(self.prefix) + self.scratch.size - self.skip

    def write_to(self, file: UnnamedFile, before: bytes = b"") -> None:
        """Append `before` and the message to a file."""
        first = [octets for octets in (before, self.prefix) if octets]
        self.scratch.write_to(file, self.skip, first)

    def blocks(self) -> Iterator[bytes]:
        """The octets in blocks, from the beginning at each call. Raises StorageError."""
        if self.prefix:
            yield self.prefix
        yield from self.scratch.blocks(self.skip)


def _until(chunks: list[bytes], limit: int) -> list[bytes]:
    """As many of the first chunks as hold `limit` octets."""
    count = 0
    for number, chunk in enumerate(chunks):
        count += len(chunk)
        if count >= limit:
            return chunks[: number + 1]
    return chunks


def _beyond(chunks: list[bytes], skip: int) -> list[bytes]:
    """The chunks without their first `skip` octets."""
    if not skip:
        return chunks
    for number, chunk in enumerate(chunks):
        if skip < len(chunk):
            return [chunk[skip:], *chunks[number + 1 :]]
        skip -= len(chunk)
    return []
