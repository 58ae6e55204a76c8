import json
import os
import subprocess
import sys
import threading

import pytest

from mailsrv.errors import StorageFull
from mailsrv.system.disk import Disk
from mailsrv.system.lock import Lock
from mailsrv.system.rotation import CURRENT, LOCK, Decisions
from tests.fakes.clock import FakeClock


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "decisions"


def make(directory, max_bytes=1000, keep=2, disk=None, clock=None):
    return Decisions(disk or Disk(), str(directory), max_bytes, keep, clock or FakeClock())


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(path):
    return [record["n"] for record in records(path)]


def names(directory):
    return sorted(path.name for path in directory.iterdir() if path.name != LOCK)


def fill(decisions, n):
    """One record that fills a file; the next one looks at its size and starts another file."""
    decisions.write({"n": n, "pad": "x" * 1000})


def test_a_record_is_a_line_with_its_version_first(directory):
    make(directory).write({"id": "3kTx", "to": ["bücher@example.org"], "odd": {1}, "text": "a\nb\udcff"})
    text = (directory / CURRENT).read_text()
    assert text.startswith('{"version":1,"id":"3kTx","to":["b\\u00fccher@example.org"],"odd":"{1}","text":"a\\nb')
    assert text.count("\n") == 1 and text.isascii()
    assert (directory / CURRENT).stat().st_mode & 0o777 == 0o600


def test_no_size_means_no_record(directory):
    make(directory, max_bytes=0).write({"n": 1})
    assert not directory.exists()


def test_full_files_get_the_next_name_and_the_oldest_goes(directory):
    decisions = make(directory)
    for n in range(5):
        fill(decisions, n)
    assert [numbers(directory / name) for name in names(directory)] == [[4], [3], [2]]
    assert names(directory) == [CURRENT, f"{CURRENT}.1", f"{CURRENT}.2"]


def test_a_file_does_not_grow_far_beyond_its_size_within_a_second(directory):
    decisions = make(directory, max_bytes=10_000)
    for n in range(1000):
        decisions.write({"n": n, "pad": "x" * 20})
    assert max(path.stat().st_size for path in directory.iterdir()) < 11_000


def test_with_nothing_to_keep_the_full_file_goes(directory):
    decisions = make(directory, keep=0)
    fill(decisions, 0)
    decisions.write({"n": 1})
    assert names(directory) == [CURRENT]
    assert numbers(directory / CURRENT) == [1]


def test_fewer_kept_files_than_before_are_cleared_away(directory):
    directory.mkdir()
    for at in range(1, 6):
        (directory / f"{CURRENT}.{at}").write_text('{"n":0}\n')
    (directory / "notes").write_text("mine")
    (directory / CURRENT).write_text("x" * 999 + "\n")
    make(directory, keep=2)
    assert names(directory) == [CURRENT, f"{CURRENT}.1", f"{CURRENT}.2", "notes"]


@pytest.mark.parametrize("at", [0, 1])
def test_a_crash_between_link_and_unlink_is_made_good(directory, at):
    """At every place of the shift: one file under two names, the higher one is right."""
    directory.mkdir()
    path = [directory / CURRENT, directory / f"{CURRENT}.1", directory / f"{CURRENT}.2", directory / f"{CURRENT}.3"]
    path[0].write_text("c" * 1000)
    if at == 1:
        path[1].write_text("b")
    os.link(path[at], path[at + 1])
    make(directory, keep=3)
    left = [file.read_text()[0] for file in path[1:] if file.exists()]
    assert left == ["c", "b"][: at + 1]
    assert path[0].read_text() == ""


def test_another_writer_follows_a_rotation_within_a_second(directory):
    clock = FakeClock()
    first, second = make(directory, clock=clock), make(directory, clock=clock)
    fill(first, 0)
    first.write({"n": 1})
    second.write({"n": "late"})
    clock.advance(1)
    second.write({"n": "followed"})
    assert numbers(directory / f"{CURRENT}.1") == [0, "late"]
    assert numbers(directory / CURRENT) == [1, "followed"]


def test_a_file_that_was_removed_is_made_again(directory):
    clock = FakeClock()
    decisions = make(directory, clock=clock)
    decisions.write({"n": 1})
    (directory / CURRENT).unlink()
    clock.advance(1)
    decisions.write({"n": 2})
    assert numbers(directory / CURRENT) == [2]


def test_a_lock_that_is_taken_is_not_waited_for(directory):
    clock = FakeClock()
    decisions = make(directory, clock=clock)
    fill(decisions, 0)
    with Lock(str(directory / LOCK)):
        decisions.write({"n": 1})
    assert numbers(directory / CURRENT) == [0, 1]
    clock.advance(1)
    decisions.write({"n": 2})
    assert numbers(directory / CURRENT) == [2]


class FullDisk(Disk):
    """A disk without room for a directory."""

    full = True

    def make_directories(self, path, mode=0o700):
        if self.full:
            raise StorageFull(path)
        super().make_directories(path, mode)


def test_lost_records_raise_nothing_and_are_told(directory):
    clock, disk = FakeClock(), FullDisk()
    decisions = make(directory, disk=disk, clock=clock)
    decisions.write({"n": 1})
    decisions.write({"n": 2})
    disk.full = False
    clock.advance(1)
    decisions.write({"n": 3})
    decisions.write({"n": 4})
    assert records(directory / CURRENT) == [{"version": 1, "lost": 2, "n": 3}, {"version": 1, "n": 4}]


def test_processes_and_threads_lose_and_mix_nothing(directory):
    program = (
        "import sys, threading\n"
        "sys.setswitchinterval(0.0001)\n"
        "from mailsrv.system.clock import SystemClock\n"
        "from mailsrv.system.disk import Disk\n"
        "from mailsrv.system.rotation import Decisions\n"
        "decisions = Decisions(Disk(), sys.argv[1], 20_000, 1000, SystemClock())\n"
        "def work(mark):\n"
        "    for n in range(200): decisions.write({'n': mark + str(n), 'pad': mark * 200})\n"
        "threads = [threading.Thread(target=work, args=(mark,)) for mark in sys.argv[2]]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(directory), marks]) for marks in ("abc", "def")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(names(directory)) > 2
    written = [n for name in names(directory) for n in numbers(directory / name)]
    assert sorted(written) == sorted(f"{mark}{n}" for mark in "abcdef" for n in range(200))


def test_a_thread_that_looks_does_not_stop_the_others(directory):
    decisions = make(directory)
    inside, leave = threading.Event(), threading.Event()

    class SlowDisk(Disk):
        def stamp(self, path):
            inside.set()
            leave.wait(10)
            return super().stamp(path)

    decisions._disk = SlowDisk()
    decisions._next_look = 0.0
    looker = threading.Thread(target=decisions.write, args=({"n": "looked"},))
    looker.start()
    assert inside.wait(10)
    decisions.write({"n": "meanwhile"})
    assert numbers(directory / CURRENT) == ["meanwhile"]
    leave.set()
    looker.join()
    assert numbers(directory / CURRENT) == ["meanwhile", "looked"]
