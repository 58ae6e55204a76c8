"""The queue's states, cut off at every operation: nothing is lost, forgotten, or reported twice (mailsrv-spool(5))."""

import copy
import itertools
import sys
from functools import partial

import pytest

from mailsrv.spool.journal import Journal

from tests.crash.queue import LAYOUT, Mode, World, after_power_cut, find_faults, new_disk, survives, work
from tests.fakes.disk import FakeDisk

CASES = [("good",), ("bad",), ("slow",), ("hopeless",), ("good", "bad", "slow"), ("bad", "hopeless")]


def measure(recipients, step):
    """How many operations it takes, and the paths of its syncs."""
    disk = new_disk(recipients)
    assert survives(disk, World(), step)
    return len(disk.operations), [path for operation, path in disk.operations if operation == "sync"]


def cut_anywhere(recipients, step, skip_sync=None, refusing=False):
    """All faults after a power cut at any operation."""
    faults = []
    for crash_at in itertools.count():
        disk, world = new_disk(recipients), World(refusing=refusing)
        disk.crash_at, disk.skip_sync = crash_at, skip_sync
        done = survives(disk, world, step)
        for found, after in after_power_cut(disk, world):
            work(found, after)
            faults += [f"cut at {crash_at}: {fault}" for fault in find_faults(found, after, recipients)]
        if done:
            return faults
    raise AssertionError("there is no end")


def kill_then_cut(recipients, step, refusing=False):
    """All faults after a process was killed at any operation, and the machine stopped at any one of the next."""
    faults = []
    operations = measure(recipients, step)[0]
    for killed_at in range(operations):
        disk, world = new_disk(recipients), World(refusing=refusing)
        disk.crash_at = killed_at
        survives(disk, world, step)
        disk.crash_at = None
        disk.die()
        first, last = len(disk.operations), None
        while last is None or first <= last:
            next_disk, next_world = copy.deepcopy((disk, world))
            next_disk.crash_at = first
            if survives(next_disk, next_world, step):
                last = first
            for found, after in after_power_cut(next_disk, next_world):
                work(found, after)
                where = f"killed at {killed_at}, cut at {first}"
                faults += [f"{where}: {fault}" for fault in find_faults(found, after, recipients)]
            first += 1
    return faults


@pytest.mark.parametrize("mode", Mode, ids=str)
@pytest.mark.parametrize("recipients", CASES, ids=" ".join)
def test_nothing_is_lost_forgotten_or_reported_twice(recipients, mode):
    step = partial(work, mode=mode)
    disk, world = new_disk(recipients), World()
    step(disk, world)
    assert find_faults(disk, world, recipients) == []
    assert cut_anywhere(recipients, step) == []


@pytest.mark.parametrize("mode", Mode, ids=str)
def test_a_report_that_nobody_takes_is_held_once(mode):
    step = partial(work, mode=mode)
    assert cut_anywhere(("bad", "good"), step, refusing=True) == []
    assert kill_then_cut(("bad",), step, refusing=True) == []


@pytest.mark.parametrize("mode", Mode, ids=str)
@pytest.mark.parametrize("recipients", [("slow",), ("bad",)], ids=" ".join)
def test_a_killed_process_and_a_power_cut_thereafter(recipients, mode):
    assert kill_then_cut(recipients, partial(work, mode=mode)) == []


@pytest.mark.parametrize("recipients", CASES[:4], ids=" ".join)
def test_each_sync_is_needed(recipients):
    step = partial(work, mode=Mode.EAGER)
    written, previous = set(), ""
    for number, path in enumerate(measure(recipients, step)[1]):
        # Two kinds are of use only after a kill, see below: the directories that collecting syncs, and that of a
        # journal which another process made.
        again = path == LAYOUT.journal and previous in written
        if not cut_anywhere(recipients, step, number):
            assert path in (LAYOUT.queue, LAYOUT.hold) or again, f"sync {number} of {path}: nobody misses it"
        written.add(previous)
        previous = path


def test_what_a_killed_process_wrote_is_settled_before_it_is_acted_on(monkeypatch):
    load = Journal.load

    def trusting(journal, recipients):
        history = load(journal, recipients)
        journal.settled = journal.exists
        return history

    monkeypatch.setattr(Journal, "load", trusting)
    assert cut_anywhere(("bad",), work) == []
    assert kill_then_cut(("bad",), work)


def test_a_queue_file_that_comes_back_finds_its_journal(monkeypatch):
    """Its name was taken away and not synced when the process was killed; the journal is collected next."""
    sync = FakeDisk.sync_directory

    def skip(disk, path):
        if sys._getframe(1).f_code.co_name != "_unlink":
            sync(disk, path)

    monkeypatch.setattr(FakeDisk, "sync_directory", skip)
    assert kill_then_cut(("bad",), work)
