"""Locks and slots, between objects (flock sees each open file as another holder) and between processes."""

import os
import threading

import pytest

from mailsrv.errors import Busy, StorageError
from mailsrv.system.lock import Lock, Slots, slots, locked_inodes, try_lock

from tests.fakes.clock import FakeClock


def test_one_holder_at_a_time(tmp_path):
    path = str(tmp_path / "lock")
    with Lock(path):
        with pytest.raises(Busy), Lock(path, wait=False):
            pass
        with pytest.raises(Busy), Lock(path, shared=True, wait=False):
            pass
    with Lock(path, wait=False):
        assert os.listdir(tmp_path) == ["lock"]


def test_several_share(tmp_path):
    path = str(tmp_path / "lock")
    with Lock(path, shared=True), Lock(path, shared=True, wait=False):
        with pytest.raises(Busy), Lock(path, wait=False):
            pass


def test_who_waits_gets_it_afterwards(tmp_path):
    path = str(tmp_path / "lock")
    order = []

    def wait():
        with Lock(path):
            order.append("second")

    with Lock(path):
        thread = threading.Thread(target=wait)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_dead_process_holds_nothing(tmp_path):
    path = str(tmp_path / "lock")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        Lock(path).__enter__()
        os.write(writer, b"x")
        os.kill(os.getpid(), 9)
    assert os.read(reader, 1) == b"x"
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    os.close(reader)
    os.close(writer)
    with Lock(path, wait=False):
        pass


def test_a_lock_that_cannot_be_opened(tmp_path):
    with pytest.raises(StorageError, match="cannot be opened"), Lock(str(tmp_path / "no/lock")):
        pass


def test_at_most_so_many_threads(tmp_path):
    held = slots(str(tmp_path), 2, 20.0)
    at_once, most, guard = 0, 0, threading.Lock()

    def work():
        nonlocal at_once, most
        for _ in range(20):
            with held:
                with guard:
                    at_once += 1
                    most = max(most, at_once)
                with guard:
                    at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == 0
    assert 1 <= most <= 2
    assert sorted(os.listdir(tmp_path)) in (["0"], ["0", "1"])


def test_two_processes_share_the_slots(tmp_path):
    """Two objects count as two processes."""
    mine, theirs = Slots(str(tmp_path), 2, 0.0), Slots(str(tmp_path), 2, 0.0)
    with mine:
        with theirs:
            third = Slots(str(tmp_path), 2, 0.0)
            with pytest.raises(Busy), third:
                pass
        with third, pytest.raises(Busy), theirs:
            pass


def test_waits_for_another_process_until_the_time_is_over(tmp_path):
    clock = FakeClock()
    mine, theirs = Slots(str(tmp_path), 1, 0.0), Slots(str(tmp_path), 1, 5.0, clock)
    looks = []

    class Pause:
        def wait(self, seconds):
            looks.append(seconds)
            clock.advance(1)

    theirs._never = Pause()
    with mine, pytest.raises(Busy), theirs:
        pass
    assert len(looks) == 5
    with theirs:
        pass


def test_a_child_does_not_share_what_its_parent_holds(tmp_path):
    held = Slots(str(tmp_path), 1, 0.0)
    with held:
        child = os.fork()
        if not child:
            try:
                held.__enter__()
            except Busy:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_missing_directory_takes_no_slot(tmp_path):
    held = Slots(str(tmp_path / "later"), 1, 0.0)
    with pytest.raises(StorageError), held:
        pass
    (tmp_path / "later").mkdir()
    with held:
        pass


def test_an_open_file_is_locked_for_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    inode = path.stat().st_ino
    with open(path, "rb") as first, open(path, "rb") as second:
        assert inode not in locked_inodes()
        assert try_lock(first.fileno())
        assert not try_lock(second.fileno())
        assert inode in locked_inodes()
    assert inode not in locked_inodes()


def test_locks_as_the_kernel_lists_them(tmp_path):
    (tmp_path / "locks").write_text(
        "1: FLOCK  ADVISORY  WRITE 4711 08:01:131072 0 EOF\n"
        "2: POSIX  ADVISORY  WRITE 4711 08:01:5 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 4712 08:01:6 0 EOF\n"
        "3: FLOCK  ADVISORY  READ 1 00:2f:77 0 EOF\n"
        "\n"
    )
    assert locked_inodes(str(tmp_path / "locks")) == {131072, 77}
    assert locked_inodes(str(tmp_path / "nothing")) == frozenset()
