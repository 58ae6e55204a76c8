"""The disk door: the only place that makes files, names and directories durable.

The one way to a durable message: an unnamed file (O_TMPFILE) in the target's file system, written, synced, linked into
place, and the directory synced. Before the link nobody sees it, and a crash leaves nothing behind. Where a file system
has no unnamed files the same object lies under a name in the neighbouring `tmp` until it is closed. No lock is ever
held around a sync, so that the syncs of many threads share one journal commit.

Diagnostics: an OSError never leaves this module. No room (ENOSPC, EDQUOT) is StorageFull; a name that exists is
AlreadyThere; a name or directory that does not exist is Missing; a link that the file system cannot make (EXDEV,
EMLINK) is CrossDevice; everything else is StorageError, and the text says what to do.
"""

import errno
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from mailsrv.errors import StorageError, StorageFull
from mailsrv.system import entropy
from mailsrv.system.directories import OpenDirectories
from mailsrv.system.failures import CrossDevice as CrossDevice
from mailsrv.system.failures import Missing as Missing
from mailsrv.system.failures import failure, speaking_of
from mailsrv.system.lock import Lock
from mailsrv.system.openfile import OpenFile


# What open says where unnamed files are not supported (EISDIR: a kernel that does not know the flag).
_NOT_UNNAMED = {errno.EOPNOTSUPP, errno.EISDIR}
_NO_RANGE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}
_MAX_BUFFERS = 1024  # IOV_MAX of Linux
_COPY = 1 << 20  # octets copied at once where the kernel does not do it

_names = itertools.count()


def _passing_name() -> str:
    """A file name that no other process and no other call uses."""
    return f"{os.getpid()}.{next(_names)}.{entropy.octets(4).hex()}"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file or directory from another; `changed` is its modification time in nanoseconds."""

    inode: int
    size: int
    changed: int


class UnnamedFile:
    """A file without a name until `link` gives it one, or several. Made by Disk.open_unnamed; close it (`with`).

    Used by one thread at a time. `size` counts the octets written.
    """

    __slots__ = ("_disk", "_fd", "_path", "_source", "size")

    def __init__(self, disk: "Disk", fd: int, path: str, named: str = "") -> None:
        self._disk = disk
        self._fd = fd
        self._path = named or path  # for error texts
        self._source = named or f"/proc/self/fd/{fd}"
        self.size = 0

    def write(self, buffers: Sequence[bytes]) -> None:
        """Append all octets of `buffers`, in order, with as few calls as possible."""
        start = 0
        try:
            while start < len(buffers):
                part = buffers[start : start + _MAX_BUFFERS]
                written = os.writev(self._fd, part)
                self.size += written
                start += len(part)
                left = sum(map(len, part)) - written
                while left:
                    # A short write: the rest of this part is at its end.
                    written = os.write(self._fd, b"".join(part)[-left:])
                    self.size += written
                    left -= written
        except OSError as error:
            raise failure(error, self._path) from error

    def copy_from(self, source: "UnnamedFile", start: int = 0) -> None:
        """Append the octets of another unnamed file from `start` on; the kernel copies where it can."""
        left = source.size - start
        try:
            while left > 0:
                copied = _copy(source._fd, self._fd, left, start)
                if not copied:
                    raise StorageError(f"{source._path}: shorter than what was written to it: see the kernel log")
                start += copied
                left -= copied
                self.size += copied
        except OSError as error:
            raise failure(error, self._path) from error

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` octets from `offset` on."""
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise failure(error, self._path) from error

    def sync(self) -> None:
        """Bring the octets to stable storage.

        A failed sync is never tried again: the kernel forgets what it could not write.
        """
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise failure(error, self._path) from error

    def link(self, directory: str, name: str) -> None:
        """Give the file a name. Durable once the directory is synced too; raises AlreadyThere, CrossDevice, Missing."""
        try:
            self._disk._link_into(self._source, directory, name)
        except OSError as error:
            raise failure(error, f"{directory}/{name}") from error

    def close(self) -> None:
        """Let go of the file; its names stay. Raises nothing: there is nothing left to lose."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        os.close(fd)
        if not self._source.startswith("/proc/self/fd/"):
            try:
                os.unlink(self._source)
            except OSError:
                return  # debris in tmp/, which mailsrv-store(5) allows anybody to remove

    def __enter__(self) -> "UnnamedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _copy(source: int, target: int, count: int, offset: int) -> int:
    """Copy up to `count` octets at `offset` of one file to the end of another; give how many."""
    try:
        return os.copy_file_range(source, target, count, offset)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
    octets = os.pread(source, min(count, _COPY), offset)
    return os.write(target, octets) if octets else 0


class Disk:
    """The disk, for all threads of one process. `open_directories` bounds the directories kept open."""

    def __init__(self, open_directories: int = 256) -> None:
        self._directories = OpenDirectories(open_directories)
        self._unnamed = os.path.isdir("/proc/self/fd")

    def open_unnamed(self, directory: str, mode: int = 0o400) -> UnnamedFile:
        """A new file for reading and writing in the file system of `directory`, which must exist (else Missing)."""
        try:
            if self._unnamed:
                try:
                    return UnnamedFile(self, self._open_in(directory, mode), directory)
                except OSError as error:
                    if error.errno not in _NOT_UNNAMED:
                        raise
            return self._open_passing(directory, mode)
        except OSError as error:
            raise failure(error, directory) from error

    def sync_directory(self, path: str) -> None:
        """Bring the names in a directory to stable storage."""
        try:
            entry = self._directories.find(path)  # held until the call is over
            os.fsync(entry.fd)
        except OSError as error:
            raise failure(error, path) from error

    def link(self, source: str, target: str) -> None:
        """Give an existing file a further name. Durable once the directory is synced."""
        try:
            os.link(source, target)
        except OSError as error:
            raise failure(error, target) from error

    def unlink(self, path: str, missing_ok: bool = False) -> None:
        """Take a name away. Durable once the directory is synced."""
        try:
            os.unlink(path)
        except OSError as error:
            if not (missing_ok and error.errno == errno.ENOENT):
                raise failure(error, path) from error

    def rename(self, path: str, name: str) -> None:
        """Give a file or directory another name in its own directory; a file of that name is replaced. Durable once
        the directory is synced."""
        with speaking_of(path):
            os.rename(path, f"{os.path.dirname(path)}/{name}")

    def remove_directory(self, path: str) -> None:
        """Take an empty directory away. Durable once the one above is synced."""
        with speaking_of(path):
            os.rmdir(path)

    def make_directories(self, path: str, mode: int = 0o700) -> None:
        """Make a directory and those above it that are missing; all are durable afterwards.

        Each parent is synced before anything is made in the new directory, and the parent of the deepest one that
        exists is synced too. So a directory whose maker crashed before syncing becomes durable by whoever comes next,
        and processes that do this at the same time need no lock.
        """
        path = os.path.abspath(path)
        missing = []
        while not os.path.isdir(path) and path != os.path.dirname(path):
            missing.append(path)
            path = os.path.dirname(path)
        if path != os.path.dirname(path) and os.access(os.path.dirname(path), os.R_OK):
            self.sync_directory(os.path.dirname(path))
        for path in reversed(missing):
            try:
                os.mkdir(path, mode)
            except OSError as error:
                # Another process may have been faster.
                if error.errno != errno.EEXIST or not os.path.isdir(path):
                    raise failure(error, path) from error
            self.sync_directory(os.path.dirname(path))

    def replace(self, path: str, octets: bytes, mode: int = 0o600) -> None:
        """Write a small file anew, durably: readers see the old octets or the new ones, also after a crash."""
        directory, name = os.path.split(path)
        passing = f"{directory}/.{name}.{_passing_name()}"
        with speaking_of(path):
            fd = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                with open(fd, "wb", buffering=0, closefd=False) as file:
                    left = memoryview(octets)
                    while left:
                        left = left[file.write(left) :]
                os.fsync(fd)
                os.rename(passing, path)
            except BaseException:
                os.unlink(passing)
                raise
            finally:
                os.close(fd)
        self.sync_directory(directory)

    def append(self, path: str, octets: bytes, sync: bool = False, create: bool = True) -> None:
        """Append to a file with one write, whole also when several processes do it at once.

        `sync` makes the octets durable (a name just created is not, before its directory is synced). Without `create`
        a file that does not exist is Missing.
        """
        with speaking_of(path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            fd = os.open(path, flags, 0o600)
            try:
                if os.write(fd, octets) != len(octets):
                    raise StorageFull(f"{path}: only a part could be written; make room on its file system")
                if sync:
                    os.fdatasync(fd)
            finally:
                os.close(fd)

    def cut(self, path: str, size: int) -> None:
        """Shorten a file to its first `size` octets; these, and that there are no more, are durable afterwards."""
        with speaking_of(path):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                if os.fstat(fd).st_size != size:
                    os.ftruncate(fd, size)
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def open_file(self, path: str) -> OpenFile:
        """Open a file for reading; Missing when there is no such name."""
        return OpenFile.open(path)

    def open_locked(self, path: str) -> OpenFile | None:
        """Open a file for reading and lock it against others who do; None when one of them has it.

        The name was still this file's after the lock was taken. Missing when there is no such name (any more).
        """
        return OpenFile.open_locked(path)

    def lock(self, path: str, shared: bool = False) -> AbstractContextManager[object]:
        """A lock between processes and threads, for `with`: waits as long as it takes; the file is made if missing."""
        return Lock(path, shared=shared)

    def set_time(self, path: str, moment: float) -> None:
        """Set a file's modification time, in seconds since the epoch. Never synced: it is to be a hint and no more."""
        with speaking_of(path):
            os.utime(path, (moment, moment))

    def read(self, path: str, limit: int = 16 << 20) -> bytes:
        """All octets of a file; StorageError when there are more than `limit`."""
        with speaking_of(path), open(path, "rb", buffering=0) as file:
            parts = []
            left = limit + 1
            step = os.fstat(file.fileno()).st_size + 1
            while left and (part := file.read(min(step, left))):
                parts.append(part)
                left -= len(part)
        if not left:
            raise StorageError(f"{path}: has more than {limit} octets; it is not what should be there")
        return b"".join(parts)

    def names(self, path: str) -> list[str]:
        """The names in a directory, in no order."""
        with speaking_of(path):
            return os.listdir(path)

    def times(self, path: str) -> Iterator[tuple[str, float]]:
        """Each name in a directory with its file's modification time; what vanishes meanwhile is left out."""
        with speaking_of(path), os.scandir(path) as entries:
            for entry in entries:
                try:
                    moment = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:
                    continue
                yield entry.name, moment

    def exists(self, path: str) -> bool:
        """Whether a name exists (a dangling symbolic link does)."""
        return os.path.lexists(path)

    def size(self, path: str) -> int:
        """Octets of a file."""
        with speaking_of(path):
            return os.stat(path).st_size

    def stamp(self, path: str) -> Stamp | None:
        """The state of a file or directory, to be compared with a later one; None when it does not exist."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(error, path) from error
        return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)

    def free(self, path: str) -> tuple[int, int]:
        """Octets and inodes that an ordinary user can still use on the file system of `path`.

        A file system that does not count inodes (it says that it has none at all) has plenty.
        """
        with speaking_of(path):
            status = os.statvfs(path)
        return status.f_bavail * status.f_frsize, status.f_favail if status.f_files else 1 << 62

    def _open_in(self, directory: str, mode: int) -> int:
        """Open an unnamed file; a directory that was removed and made again behind our back gets a second try."""
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        entry = self._directories.find(directory)
        try:
            return os.open(".", flags, mode, dir_fd=entry.fd)
        except OSError:
            # What the kernel says of a removed directory differs: ENOENT, or EPERM.
            if entry.is_at(directory):
                raise
        self._directories.forget(directory)
        entry = self._directories.find(directory)
        return os.open(".", flags, mode, dir_fd=entry.fd)

    def _open_passing(self, directory: str, mode: int) -> UnnamedFile:
        """The same under a name in the neighbouring tmp/, for file systems without unnamed files."""
        parent, last = os.path.split(directory)
        path = f"{directory if last == 'tmp' else parent + '/tmp'}/{_passing_name()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        return UnnamedFile(self, fd, directory, path)

    def _link_into(self, source: str, directory: str, name: str) -> None:
        """linkat(2), following the link in /proc (Python passes AT_SYMLINK_FOLLOW only together with a descriptor)."""
        entry = self._directories.find(directory)
        try:
            return os.link(source, name, dst_dir_fd=entry.fd, follow_symlinks=True)
        except OSError:
            if entry.is_at(directory):
                raise
        self._directories.forget(directory)
        entry = self._directories.find(directory)
        return os.link(source, name, dst_dir_fd=entry.fd, follow_symlinks=True)
