"""The disk door, on a real file system; what survives a power cut is tests/crash."""

import errno
import inspect
import os
import threading

import pytest

from mailsrv.errors import AlreadyThere, StorageError, StorageFull
from mailsrv.system import disk as door
from mailsrv.system.disk import CrossDevice, Disk, Missing, UnnamedFile
from mailsrv.system.openfile import OpenFile

from tests.fakes.disk import FakeDisk, FakeOpenFile, FakeUnnamedFile


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def box(tmp_path):
    """A directory with the neighbours of a Maildir's new/."""
    for name in ("tmp", "new", "cur"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture(params=["unnamed", "named"])
def either(request, disk):
    """A disk with unnamed files, and one that has to do without."""
    if request.param == "named":
        disk._unnamed = False
    return disk


class Calls:
    """Counts system calls by replacing functions of `os` in the door."""

    def __init__(self, monkeypatch, *names):
        self.made = []
        for name in names:
            monkeypatch.setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name, real):
        def call(*arguments, **named):
            self.made.append(name)
            return real(*arguments, **named)

        return call


def test_a_message_is_invisible_until_it_is_linked(either, box):
    new = str(box / "new")
    with either.open_unnamed(new) as file:
        file.write([b"one ", b"", b"two"])
        file.sync()
        assert file.size == 7
        assert os.listdir(new) == []
        file.link(new, "m")
        either.sync_directory(new)
    assert (box / "new/m").read_bytes() == b"one two"
    assert (box / "new/m").stat().st_mode & 0o777 == 0o400
    assert os.listdir(box / "tmp") == []


def test_a_file_that_is_never_linked_leaves_nothing(either, box):
    with either.open_unnamed(str(box / "new")) as file:
        file.write([b"x"])
    assert [os.listdir(box / name) for name in ("tmp", "new")] == [[], []]


def test_a_message_takes_six_system_calls(disk, box, monkeypatch):
    new = str(box / "new")
    disk.sync_directory(new)
    calls = Calls(monkeypatch, "open", "stat", "fstat", "writev", "write", "fdatasync", "fsync", "link", "close")
    with disk.open_unnamed(new) as file:
        file.write([b"head", b"body"])
        file.sync()
        file.link(new, "m")
        disk.sync_directory(new)
    assert calls.made == ["open", "writev", "fdatasync", "link", "fsync", "close"]


def test_the_same_file_in_several_directories(either, tmp_path):
    for name in ("a", "b", "tmp"):
        (tmp_path / name).mkdir()
    with either.open_unnamed(str(tmp_path / "a")) as file:
        file.write([b"x"])
        file.link(str(tmp_path / "a"), "m")
        file.link(str(tmp_path / "b"), "m")
        with pytest.raises(AlreadyThere):
            file.link(str(tmp_path / "b"), "m")
    assert (tmp_path / "a/m").stat().st_ino == (tmp_path / "b/m").stat().st_ino


def test_a_directory_that_was_removed_and_made_again(disk, box):
    new = str(box / "new")
    with disk.open_unnamed(new) as file:
        file.link(new, "first")
        disk.sync_directory(new)
    os.unlink(f"{new}/first")
    os.rmdir(new)
    with pytest.raises(Missing):
        disk.open_unnamed(new)
    os.mkdir(new)
    with disk.open_unnamed(new) as file:
        file.link(new, "second")
    assert os.listdir(new) == ["second"]


def test_a_directory_that_vanishes_before_the_link(disk, box):
    new = str(box / "new")
    with disk.open_unnamed(new) as file:
        os.rmdir(new)
        with pytest.raises(Missing):
            file.link(new, "m")
        os.mkdir(new)
        file.link(new, "m")
    assert os.listdir(new) == ["m"]


def test_many_buffers_and_short_writes(disk, box, monkeypatch):
    buffers = [bytes([n % 251]) * 3 for n in range(2500)]
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, parts: real(fd, [b"".join(parts)[:1000]]))
    with disk.open_unnamed(str(box / "new")) as file:
        file.write(buffers)
        assert file.size == 7500
        assert file.read_at(0, 10000) == b"".join(buffers)
        assert file.read_at(6, 3) == buffers[2]


@pytest.mark.parametrize("refused", [None, errno.EXDEV, errno.ENOSYS])
def test_copies_from_another_file(disk, box, monkeypatch, refused):
    if refused:

        def refuse(*_):
            raise OSError(refused, "no")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    octets = os.urandom(3_000_000)
    with disk.open_unnamed(str(box / "tmp")) as source, disk.open_unnamed(str(box / "new")) as target:
        source.write([octets])
        target.write([b"head"])
        target.copy_from(source, 5)
        assert target.size == len(octets) - 1
        assert target.read_at(0, len(octets)) == b"head" + octets[5:]


KINDS = [
    (errno.ENOSPC, StorageFull),
    (errno.EDQUOT, StorageFull),
    (errno.EXDEV, CrossDevice),
    (errno.EMLINK, CrossDevice),
    (errno.EEXIST, AlreadyThere),
    (errno.EIO, StorageError),
    (errno.EACCES, StorageError),
]


@pytest.mark.parametrize(("number", "kind"), KINDS)
def test_errors_are_those_of_the_house(disk, box, monkeypatch, number, kind):
    def fail(*_, **__):
        raise OSError(number, "no")

    new = str(box / "new")
    with disk.open_unnamed(new) as file:
        for name, act in [
            ("writev", lambda: file.write([b"x"])),
            ("fdatasync", file.sync),
            ("link", lambda: file.link(new, "m")),
            ("fsync", lambda: disk.sync_directory(new)),
        ]:
            with monkeypatch.context() as patch:
                patch.setattr(os, name, fail)
                with pytest.raises(kind) as caught:
                    act()
                assert type(caught.value) is kind
                assert new in str(caught.value)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR])
def test_a_file_system_without_unnamed_files(disk, box, monkeypatch, number):
    real = os.open

    def fail(path, flags, *rest, **named):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, "no")
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", fail)
    new = str(box / "new")
    with disk.open_unnamed(new) as file:
        assert len(os.listdir(box / "tmp")) == 1
        file.write([b"x"])
        file.link(new, "m")
    assert os.listdir(box / "tmp") == []
    with disk.open_unnamed(str(box / "tmp")):
        assert len(os.listdir(box / "tmp")) == 1


def test_directories_are_made_with_each_parent_synced(disk, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(disk, "sync_directory", synced.append)
    deep = tmp_path / "a/b/c"
    disk.make_directories(str(deep))
    assert deep.is_dir() and deep.stat().st_mode & 0o777 == 0o700
    assert synced == [str(tmp_path.parent), str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a/b")]
    synced.clear()
    disk.make_directories(str(deep))
    assert synced == [str(tmp_path / "a/b")]


def test_a_file_where_a_directory_should_be(disk, tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StorageError):
        disk.make_directories(str(tmp_path / "a/b"))
    with pytest.raises(StorageError):
        disk.make_directories(str(tmp_path / "a"))


def test_replace_append_read(disk, tmp_path):
    path = str(tmp_path / "f")
    disk.replace(path, b"old\n")
    disk.replace(path, b"new\n")
    disk.append(path, b"more\n", sync=True)
    assert disk.read(path) == b"new\nmore\n"
    assert disk.size(path) == 9
    assert disk.names(str(tmp_path)) == ["f"]
    with pytest.raises(StorageError, match="more than 3 octets"):
        disk.read(path, 3)
    assert disk.read(path, 9) == b"new\nmore\n"
    with pytest.raises(Missing):
        disk.append(str(tmp_path / "g"), b"x", create=False)
    disk.append(str(tmp_path / "g"), b"x")
    assert disk.read(str(tmp_path / "g")) == b"x"


def test_replace_that_fails_leaves_the_old_file_alone(disk, tmp_path, monkeypatch):
    path = str(tmp_path / "f")
    disk.replace(path, b"old")

    def fail(_):
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFull):
        disk.replace(path, b"new")
    assert disk.names(str(tmp_path)) == ["f"]
    assert disk.read(path) == b"old"


def test_names_links_and_stamps(disk, tmp_path):
    path, other = str(tmp_path / "f"), str(tmp_path / "g")
    assert disk.stamp(path) is None
    disk.replace(path, b"1")
    first = disk.stamp(path)
    disk.link(path, other)
    assert disk.stamp(other) == first
    with pytest.raises(AlreadyThere):
        disk.link(path, other)
    disk.unlink(path)
    with pytest.raises(Missing):
        disk.unlink(path)
    disk.unlink(path, missing_ok=True)
    assert not disk.exists(path) and disk.exists(other)
    octets, inodes = disk.free(str(tmp_path))
    assert octets > 0 and inodes > 0


def test_syncs_of_several_threads_overlap(disk, box, monkeypatch):
    """Each sync waits for the other one to have begun: with a lock around them this would never end."""
    together = threading.Barrier(4, timeout=20)
    monkeypatch.setattr(os, "fsync", lambda fd: together.wait())
    monkeypatch.setattr(os, "fdatasync", lambda fd: together.wait())
    failures = []

    def deliver(number):
        try:
            with disk.open_unnamed(str(box / "new")) as file:
                file.sync()
                file.link(str(box / "new"), str(number))
                disk.sync_directory(str(box / "new"))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(os.listdir(box / "new")) == 4


def test_threads_share_more_directories_than_stay_open(tmp_path):
    disk = Disk(open_directories=3)
    directories = [tmp_path / f"d{n}" for n in range(8)]
    for directory in directories:
        directory.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    failures = []

    def work(start):
        try:
            for number in range(120):
                directory = str(directories[(start + number * 3) % 8])
                with disk.open_unnamed(directory) as file:
                    file.link(directory, f"{start}.{number}")
                disk._directories.find(directory)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(len(os.listdir(directory)) for directory in directories) == 720
    assert len(os.listdir("/proc/self/fd")) - before <= 3


@pytest.mark.parametrize(("real", "fake"), [(Disk, FakeDisk), (UnnamedFile, FakeUnnamedFile), (OpenFile, FakeOpenFile)])
def test_the_fake_has_the_same_methods(real, fake):
    def methods(kind):
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in vars(kind).items()
            if inspect.isfunction(value) and not name.startswith("_")
        }

    ours, theirs = methods(real), methods(fake)
    assert ours == {name: theirs.get(name) for name in ours}


def test_a_name_changes_within_its_directory(disk, box):
    (box / "cur/a:2,").write_bytes(b"one")
    disk.rename(str(box / "cur/a:2,"), "a:2,S")
    assert os.listdir(box / "cur") == ["a:2,S"]
    with pytest.raises(Missing):
        disk.rename(str(box / "cur/a:2,"), "a:2,F")
    disk.rename(str(box / "cur"), "old")
    assert (box / "old/a:2,S").read_bytes() == b"one"


def test_a_directory_is_removed_when_it_is_empty(disk, box):
    (box / "cur/m").write_bytes(b"")
    with pytest.raises(StorageError):
        disk.remove_directory(str(box / "cur"))
    disk.remove_directory(str(box / "new"))
    assert sorted(os.listdir(box)) == ["cur", "tmp"]


def test_unnamed_files_are_reachable_here():
    assert os.path.isdir("/proc/self/fd") and door.Disk()._unnamed


def test_cut_times_and_locks(disk, tmp_path):
    path = str(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"0123456789")
    disk.cut(path, 10)
    disk.cut(path, 4)
    assert (tmp_path / "file").read_bytes() == b"0123"
    disk.set_time(path, 1234.5)
    assert list(disk.times(str(tmp_path))) == [("file", 1234.5)]
    with disk.lock(str(tmp_path / "lock")):
        assert (tmp_path / "lock").exists()
    with disk.lock(str(tmp_path / "lock"), shared=True), disk.lock(str(tmp_path / "lock"), shared=True):
        pass
    for call in (lambda: disk.cut(f"{path}x", 0), lambda: disk.set_time(f"{path}x", 0), lambda: [*disk.times(path)]):
        with pytest.raises(Missing):
            call()
