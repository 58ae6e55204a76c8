"""What the disk door says when the system refuses something: its exceptions, and the advice in their texts.

Diagnostics: no room (ENOSPC, EDQUOT) is StorageFull; a name that exists is AlreadyThere; a name or directory that does
not exist is Missing; a link that the file system cannot make (EXDEV, EMLINK) is CrossDevice; everything else is
StorageError.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mailsrv.errors import AlreadyThere, StorageError, StorageFull


class CrossDevice(StorageError):
    """The file system cannot link this file there (another file system, or too many links): a copy is needed."""


class Missing(StorageError):
    """The name, or the directory it should be in, does not exist."""


_KINDS: dict[int, type[StorageError]] = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EEXIST: AlreadyThere,
    errno.ENOENT: Missing,
    errno.ENOTDIR: Missing,
    errno.EXDEV: CrossDevice,
    errno.EMLINK: CrossDevice,
}
_ADVICE = {
    errno.ENOSPC: "make room on its file system",
    errno.EDQUOT: "raise the quota of the service user",
    errno.EACCES: "give it to the service user",
    errno.EPERM: "give it to the service user",
    errno.EROFS: "its file system is mounted read-only: see the kernel log",
    errno.EIO: "the disk is at fault: see the kernel log",
    errno.EMFILE: "raise the limit of open files",
    errno.ENFILE: "raise the system's limit of open files",
    errno.ENAMETOOLONG: "choose a shorter data_dir",
}


def failure(error: OSError, path: str) -> StorageError:
    """The exception of this house for one of the system's."""
    number = error.errno or 0
    advice = f"; {_ADVICE[number]}" if number in _ADVICE else ""
    return _KINDS.get(number, StorageError)(f"{path}: {os.strerror(number)}{advice}")


@contextmanager
def speaking_of(path: str) -> Iterator[None]:
    """Turn an OSError about `path` into a StorageError (for calls that no message passes through)."""
    try:
        yield
    except OSError as error:
        raise failure(error, path) from error
