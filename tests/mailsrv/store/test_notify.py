"""Announcements between processes."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.notify import WATCH, Announcer, Watcher
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / WATCH)


def new_announcer(directory, clock=None):
    return Announcer(directory, Disk(), clock or SystemClock())


def test_every_watcher_hears_it(directory):
    with Watcher(directory, Disk()) as one, Watcher(directory, Disk()) as two:
        announcer = new_announcer(directory)
        announcer.announce("alice")
        announcer.announce("bob")
        announcer.announce("alice")
        assert one.changed() == two.changed() == {"alice", "bob"}
        assert one.changed() == set()
    assert os.listdir(directory) == []


def test_the_own_watcher_is_called(directory):
    heard = []
    with Watcher(directory, Disk()) as own, Watcher(directory, Disk()) as other:
        announcer = new_announcer(directory)
        announcer.own = (own.path, heard.append)
        announcer.announce("alice", "bob")
        assert heard == [{"alice", "bob"}] == [other.changed()]
        assert own.changed() == set()


def test_another_process_hears_it(directory):
    ready_read, ready_write = os.pipe()
    heard_read, heard_write = os.pipe()
    child = os.fork()
    if not child:
        with Watcher(directory, Disk()) as watcher:
            os.write(ready_write, b"x")
            os.write(heard_write, ",".join(watcher.changed(20)).encode())
        os._exit(0)
    os.read(ready_read, 1)
    new_announcer(directory).announce("alice")
    assert os.read(heard_read, 100) == b"alice"
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (ready_read, ready_write, heard_read, heard_write):
        os.close(descriptor)


def test_nobody_watches(directory, monkeypatch):
    announcer = new_announcer(directory)
    announcer.announce("alice")  # the directory does not even exist
    os.makedirs(directory)
    os.utime(directory, (1, 1))
    announcer.announce("alice")
    monkeypatch.setattr(os, "listdir", lambda _: pytest.fail("read again"))
    announcer.announce("alice")
    assert announcer._watchers == []


def test_a_watcher_that_comes_later_is_found(directory):
    clock = FakeClock()
    announcer = new_announcer(directory, clock)
    os.makedirs(directory)
    announcer.announce("alice")
    with Watcher(directory, Disk()) as watcher:
        announcer.announce("bob")
        assert watcher.changed() == {"bob"}


def test_a_directory_changed_just_now_is_not_trusted(directory):
    """Two changes may have the same time; the second one must not be missed."""
    clock = FakeClock()
    announcer = new_announcer(directory, clock)
    os.makedirs(directory)
    os.utime(directory, (clock.now(), clock.now()))
    announcer.announce("alice")
    with Watcher(directory, Disk()) as watcher:
        os.utime(directory, (clock.now(), clock.now()))
        announcer.announce("bob")
        assert watcher.changed() == {"bob"}


def test_the_socket_of_a_dead_process_is_removed(directory):
    with Watcher(directory, Disk()) as alive:
        dead = Watcher(directory, Disk())
        dead._bell._socket.close()
        assert len(os.listdir(directory)) == 2
        new_announcer(directory).announce("alice")
        assert len(os.listdir(directory)) == 1
        assert alive.changed() == {"alice"}


def test_an_announcement_never_fails(directory, monkeypatch):
    with Watcher(directory, Disk()):
        announcer = new_announcer(directory)

        def fail(path):
            raise StorageError("no")

        monkeypatch.setattr(announcer._disk, "names", fail)
        announcer.announce("alice")
        assert announcer._seen is None, "the directory is read again at the next announcement"
