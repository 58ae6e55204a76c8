"""Open files: read at any place, locked against others, gone names."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.openfile import OpenFile


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    os.utime(tmp_path / "file", (77.5, 77.5))
    return str(tmp_path / "file")


@pytest.mark.parametrize("open_it", [Disk().open_file, Disk().open_locked])
def test_reading(path, open_it):
    with open_it(path) as file:
        assert (file.path, file.size, file.changed, file.inode) == (path, 10, 77.5, os.stat(path).st_ino)
        assert file.read_at(3, 4) == b"3456"
        assert file.read_at(8, 100) == b"89" and file.read_at(10, 1) == b""
        assert os.pread(file.fileno(), 2, 0) == b"01"


def test_short_reads(path, monkeypatch):
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, offset: real(fd, min(count, 3), offset))
    with Disk().open_file(path) as file:
        assert file.read_at(0, 8) == b"01234567"
        assert file.read_at(5, 100) == b"56789"


def test_the_lock_is_one_for_all_names(path, tmp_path):
    disk = Disk()
    disk.link(path, str(tmp_path / "other"))
    first = disk.open_locked(path)
    assert disk.open_locked(path) is None and disk.open_locked(str(tmp_path / "other")) is None
    with disk.open_file(path):  # who only reads asks nobody
        pass
    assert disk.open_locked(path) is None
    first.close()
    first.close()
    with disk.open_locked(path) as again:
        assert again is not None


@pytest.mark.parametrize("open_it", [Disk().open_file, Disk().open_locked])
def test_names_that_cannot_be_opened(tmp_path, open_it):
    with pytest.raises(Missing):
        open_it(str(tmp_path / "nothing"))
    os.symlink("file", tmp_path / "symlink")
    with pytest.raises(StorageError):
        open_it(str(tmp_path / "symlink"))
    with open_it(str(tmp_path)) as file, pytest.raises(StorageError):
        file.read_at(0, 1)


@pytest.mark.parametrize("act", [os.unlink, lambda path: os.replace(f"{path}.new", path)])
def test_a_name_that_changes_while_the_lock_is_taken(path, monkeypatch, act):
    with open(f"{path}.new", "w"):
        pass
    before = len(os.listdir("/proc/self/fd"))
    real = os.fstat

    def late(fd):
        monkeypatch.undo()
        act(path)
        return real(fd)

    monkeypatch.setattr(os, "fstat", late)
    with pytest.raises(Missing):
        OpenFile.open_locked(path)
    assert len(os.listdir("/proc/self/fd")) == before
