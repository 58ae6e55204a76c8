"""The system's refusals in the words of the house."""

import errno

import pytest

from mailsrv.errors import AlreadyThere, StorageError, StorageFull
from mailsrv.system.failures import CrossDevice, Missing, failure, speaking_of


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, StorageFull, "/d/f: No space left on device; make room on its file system"),
        (errno.EDQUOT, StorageFull, "/d/f: Disk quota exceeded; raise the quota of the service user"),
        (errno.EEXIST, AlreadyThere, "/d/f: File exists"),
        (errno.ENOENT, Missing, "/d/f: No such file or directory"),
        (errno.EXDEV, CrossDevice, "/d/f: Invalid cross-device link"),
        (errno.EIO, StorageError, "/d/f: Input/output error; the disk is at fault: see the kernel log"),
        (errno.ELOOP, StorageError, "/d/f: Too many levels of symbolic links"),
    ],
)
def test_each_kind(number, kind, text):
    error = failure(OSError(number, "x"), "/d/f")
    assert type(error) is kind and str(error) == text
    with pytest.raises(kind), speaking_of("/d/f"):
        raise OSError(number, "x")


def test_other_errors_pass():
    with pytest.raises(ValueError, match="mine"), speaking_of("/d/f"):
        raise ValueError("mine")
