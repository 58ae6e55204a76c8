"""The reports of a day, cut off at every operation: each reaches whoever wants it, and none does so twice
(mailsrv-store(5))."""

import itertools
from dataclasses import dataclass, field
from functools import lru_cache

import pytest

from mailsrv.errors import AlreadyThere
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.deliver.feedback_days import Days, Services
from mailsrv.spool.claim import Claims
from mailsrv.spool.collect import collect
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout
from mailsrv.spool.queueid import child
from mailsrv.store.feedback_lines import write_row

from tests.crash.queue import after_power_cut, survives
from tests.crash.recovery import DATA, IDENTIFIER
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.log import FakeLog
from tests.mailsrv.deliver import test_feedback_days
from tests.mailsrv.deliver.test_feedback_days import DAY, NEXT, OTHER, SETTINGS, ZONE, Scene, open_letter
from tests.mailsrv.store.test_feedback_lines import ROW

LAYOUT = Layout(DATA)
WANTED = {"a@example.org": 2, "b@reports.example": 1}  # messages that each is told of
LONG = 3 * 86_400.0  # longer than a journal is kept


@dataclass
class World:
    """What no crash undoes: the time, who got which report under which ID (and its messages), and the IDs that the
    spool has promised never to try again."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(NEXT + 20_000.0))
    given: set = field(default_factory=set)
    finished: set = field(default_factory=set)
    faults: list = field(default_factory=list)
    made: int = 0

    def new_id(self):
        self.made += 1
        return child(IDENTIFIER, self.made)


def test_both_look_at_the_same_data():
    assert test_feedback_days.DATA == DATA


def new_disk(durable=True):
    scene = Scene(ROW, ROW, OTHER)
    if not durable:
        scene.disk.unlink(scene.layout.rows_of(DAY))
        scene.disk.settle()
        rows = b"".join(write_row(row) + b"\n" for row in (ROW, ROW, OTHER))
        scene.disk.append(scene.layout.rows_of(DAY), rows)
        scene.disk.operations.clear()
    return scene.disk


@lru_cache(maxsize=1000)
def count_messages(letter):
    """What a report tells of; most points of a crash make the same letter."""
    return open_letter(letter)[1].messages


def deliver(disk, world):
    """The queue's runner: everybody takes everything."""
    claims = Claims(disk, LAYOUT, world.clock, FakeLog())
    for name in sorted(disk.names(LAYOUT.queue)):
        claim = claims.try_claim(name)
        if claim is not None:
            with claim:
                if claim.waiting:
                    recipient = str(claim.envelope.recipients[0].address)
                    world.given.add((recipient, name, count_messages(claim.read(0, 1 << 20))))
                    if name in world.finished:
                        world.faults.append(f"{name} was delivered and is delivered again")
                claim.finish([Outcome(index, Status.RELAYED, "2.0.0", "so it is") for index in claim.waiting])
                world.finished.add(name)


class EagerSpool(Spool):
    """Whose runner delivers in another thread, before anybody notes that a report is queued."""

    world: World

    def enqueue_once(self, envelope, octets):
        try:
            super().enqueue_once(envelope, octets)
        except AlreadyThere:
            pass
        deliver(self._disk, self.world)


def run(disk, world, eager):
    """A process from its start on, days after the last one: what was half made, the queue, then the day."""
    spool = (EagerSpool if eager else Spool)(disk, DATA)
    spool.world = world
    resolver = FakeResolver(ZONE)
    scene = Scene(disk=disk)
    days = Days(
        Services(disk, spool, scene.layout, world.clock, FakeLog(), lambda: resolver.query, world.new_id), SETTINGS
    )
    days.restore(DAY)
    deliver(disk, world)
    collect(disk, LAYOUT, world.clock)
    if disk.exists(scene.layout.rows_of(DAY)):
        days.report(DAY)
    deliver(disk, world)


def recover(disk, world, eager):
    for _ in range(2):
        world.clock.advance(LONG)
        run(disk, world, eager)
    world.clock.advance(LONG)
    collect(disk, LAYOUT, world.clock)


def find_faults(disk, world, durable=True):
    faults = list(world.faults)
    ledger = Scene(disk=disk).ledger()
    named = {one.to[0]: one for one in ledger.named.values()}
    for recipient, messages in WANTED.items():
        got = [told for whom, _name, told in world.given if whom == recipient]
        # Rows that no sync had made durable may be gone, but not once a report was promised.
        wanted = [messages] if durable else [named[recipient].messages] if recipient in named else []
        if got != wanted:
            faults.append(f"{recipient} got {len(got)} reports, of {got} messages")
    if ledger.pending or durable and (ledger.done is None or ledger.skipped):
        faults.append("the day is not done")
    for directory in (LAYOUT.queue, LAYOUT.hold, LAYOUT.journal, LAYOUT.corrupt):
        faults += [f"{directory}/{name} is left" for name in disk.names(directory)]
    return faults


def cut_anywhere(eager, durable=True, skip_sync=None):
    """All faults after a power cut at any operation."""
    faults = []
    for crash_at in itertools.count():
        disk, world = new_disk(durable), World()
        disk.crash_at, disk.skip_sync, disk.syncs = crash_at, skip_sync, 0
        done = survives(disk, world, lambda disk, world: run(disk, world, eager))
        for found, after in after_power_cut(disk, world):
            recover(found, after, eager)
            faults += [f"cut at {crash_at}: {fault}" for fault in find_faults(found, after, durable)]
        if done:
            return faults
    raise AssertionError("there is no end")


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("eager", [True, False])
def test_no_report_is_lost_or_made_twice(eager, durable):
    assert cut_anywhere(eager, durable) == []


def test_a_killed_process():
    """What it did is seen, synced or not; the next one goes on, and the machine stops at any operation of that."""
    disk = new_disk()
    run(disk, World(), True)
    for killed_at in range(len(disk.operations) + 1):
        for then in (1, 3, 6, 12):
            disk, world = new_disk(), World()
            disk.crash_at = killed_at
            survives(disk, world, lambda disk, world: run(disk, world, True))
            disk.die()
            disk.crash_at = killed_at + then
            world.clock.advance(60.0)
            survives(disk, world, lambda disk, world: run(disk, world, True))
            disk.crash_at = None
            for found, after in after_power_cut(disk, world):
                recover(found, after, True)
                assert find_faults(found, after) == [], f"killed at {killed_at}, cut {then} later"


def test_each_sync_is_needed():
    disk = new_disk(durable=False)
    disk.syncs = 0
    run(disk, World(), True)
    paths = [path for operation, path in disk.operations if operation == "sync"]
    feedback = [number for number, path in enumerate(paths) if "/feedback/" in path]
    idle = [paths[number].rpartition("/feedback/")[2] for number in feedback if not cut_anywhere(True, False, number)]
    # Notes that a report is queued, and that a day is done: without them it is only looked at once more.
    assert set(idle) <= {f"sent/{DAY}.jsonl"}
    assert len(idle) < len([number for number in feedback if paths[number].endswith(f"sent/{DAY}.jsonl")])
