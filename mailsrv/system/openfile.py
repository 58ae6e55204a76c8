"""A file of ours that lies under a name, open for reading, and locked when somebody is to work on it alone.

The lock (flock, exclusive) belongs to the file, whatever names it has; it is gone when the file is closed, and with the
process. Nothing is ever written here.

Diagnostics: an OSError never leaves this module: Missing for a name that does not exist, else StorageError.
"""

import os

from mailsrv.errors import StorageError
from mailsrv.system.failures import Missing, failure
from mailsrv.system.lock import try_lock


class OpenFile:
    """Close it (`with`). `path` is the name that it was opened by, `size` its octets, `changed` its time in seconds
    since the epoch when it was opened; threads may read at once."""

    __slots__ = ("_fd", "changed", "inode", "path", "size")

    def __init__(self, fd: int, path: str, status: os.stat_result) -> None:
        self._fd = fd
        self.path = path
        self.inode = status.st_ino
        self.size = status.st_size
        self.changed = status.st_mtime

    @classmethod
    def open(cls, path: str) -> "OpenFile":
        """See Disk.open_file."""
        fd = _open(path)
        try:
            return cls(fd, path, os.fstat(fd))
        except OSError as error:
            os.close(fd)
            raise failure(error, path) from error

    @classmethod
    def open_locked(cls, path: str) -> "OpenFile | None":
        """See Disk.open_locked."""
        fd = _open(path)
        try:
            if not try_lock(fd):
                os.close(fd)
                return None
            # Who had the lock before may have taken the name away, or given it to another file.
            status = os.fstat(fd)
            if not os.path.samestat(status, os.stat(path)):
                raise Missing(f"{path}: is another file by now")
            return cls(fd, path, status)
        except OSError as error:
            os.close(fd)
            raise failure(error, path) from error
        except StorageError:
            os.close(fd)
            raise

    def fileno(self) -> int:
        """The descriptor, for reading at a position of one's own (pread, sendfile)."""
        return self._fd

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` octets from `offset` on; fewer only at the end that the file had when it was opened."""
        count = min(count, self.size - offset)
        if count <= 0:
            return b""
        try:
            octets = os.pread(self._fd, count, offset)
            while len(octets) < count:
                # The kernel gives at most 2 GiB at once, and some file systems less.
                more = os.pread(self._fd, count - len(octets), offset + len(octets))
                if not more:
                    break
                octets += more
        except OSError as error:
            raise failure(error, self.path) from error
        return octets

    def close(self) -> None:
        """Let go of the lock and the file. Raises nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise failure(error, path) from error
