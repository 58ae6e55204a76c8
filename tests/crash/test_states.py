"""The table of states in mailsrv-spool(5), read from the page and replayed: every step, cut off at every operation.

What the steps are for together is tests/crash/test_queue.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool import layout
from mailsrv.spool.claim import Claims
from mailsrv.spool.collect import collect
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.hold import Holding, hold, release
from mailsrv.spool.layout import prepare

from tests.crash.recovery import BODY, DATA, IDENTIFIER, PREFIX, message
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk, PowerCut
from tests.fakes.log import FakeLog
from tests.house.source import TOP

LAYOUT = layout.Layout(DATA)
SENDER = Address("carol", "example.org")
DONE = Outcome(0, Status.RELAYED, "2.0.0", "so it is")
WAITS = Outcome(0, Status.DELAYED, "4.0.0", "so it is")


@dataclass(frozen=True)
class Row:
    letter: str
    queue: str
    hold: str
    journal: str
    meaning: str

    def fits(self, queue, hold, journal):
        """Whether these files, and no others, are those of this state."""
        wanted = (self.queue, self.hold, self.journal)
        found = (queue, hold, journal)
        return all(mark in ("any", "+" if there else "-") for mark, there in zip(wanted, found, strict=True))


def read_table():
    page = (TOP / "man/mailsrv-spool.5").read_text(encoding="utf-8")
    rows = re.findall(r"^\.It ([A-Z]) \w+ Ta (\S+) Ta (\S+) Ta (\S+) Ta (.+)$", page, re.MULTILINE)
    return {row[0]: Row(*row) for row in rows}


def state_of(image):
    """The letter of the one row that a tree is in."""
    there = [f"{DATA}/{directory}/{IDENTIFIER}" in image for directory in (layout.QUEUE, layout.HOLD, layout.JOURNAL)]
    letters = [row.letter for row in read_table().values() if row.fits(*there)]
    assert len(letters) == 1, f"{there} is in the states {letters}"
    return letters[0]


def new_disk():
    disk = FakeDisk()
    prepare(disk, DATA)
    disk.settle()
    return disk


def enqueue(disk):
    recipients = (Recipient(Address("erin", "remote.example")),)
    envelope = Envelope(IDENTIFIER, 1.0, SENDER, recipients, size=len(PREFIX + BODY))
    Spool(disk, DATA).enqueue(envelope, message())


def claimed(act, held=False):
    """A step by who holds the claim."""

    def step(disk):
        with Claims(disk, LAYOUT, FakeClock(), FakeLog()).try_claim(IDENTIFIER, held) as claim:
            act(claim)

    return step


@dataclass(frozen=True)
class Step:
    """One arrow of the page: from a state, by an act, to a state. `passing`: what else a power cut may leave."""

    before: str
    after: str
    act: Callable
    passing: str = ""


STEPS = {
    "enqueue": Step("A", "B", enqueue),
    "record": Step("B", "C", claimed(lambda claim: claim.record([DONE]))),
    "defer": Step("B", "C", claimed(lambda claim: claim.defer(300.0, [WAITS]))),
    "defer again": Step("C", "C", claimed(lambda claim: claim.defer(600.0, [WAITS]))),
    "name a report": Step("C", "C", claimed(lambda claim: claim.journal_report(Kind.FAILED, "dZJjly8m63W1", [0]))),
    "finish at once": Step("B", "A", claimed(lambda claim: claim.finish([DONE]))),
    "record and finish": Step("B", "E", claimed(lambda claim: (claim.record([DONE]), claim.finish())), "C"),
    "finish later": Step("C", "E", claimed(lambda claim: claim.finish([DONE]))),
    "delete": Step("D", "A", claimed(lambda claim: claim.finish(), held=True)),
    "hold": Step("B", "D", lambda disk: hold(disk, LAYOUT, IDENTIFIER, FakeLog(), "wish")),
    "hold what was tried": Step("C", "D", lambda disk: hold(disk, LAYOUT, IDENTIFIER, FakeLog(), "wish")),
    "hold what is claimed": Step("C", "D", claimed(lambda claim: claim.hold("wish"))),
    "release": Step("D", "B", lambda disk: release(disk, LAYOUT, IDENTIFIER, 9.0)),
    # Finishing what the journal settles is not synced, so that the name may come back until the collector synced it.
    "collect": Step("E", "A", lambda disk: collect(disk, LAYOUT, FakeClock()), "C"),
}
WAYS = {
    "A": (),
    "B": ("enqueue",),
    "C": ("enqueue", "defer"),
    "D": ("enqueue", "hold"),
    "E": ("enqueue", "record and finish"),
}
# What may come back afterwards: a message whose journal settles everything, which is finished again, and garbage.
COME_BACK = {"record and finish": "C", "collect": "E"}
# What each directory is synced for in these steps, though its names would do without: see tests/crash/test_queue.py.
UNNAMED = {
    ("defer again", LAYOUT.journal),
    ("name a report", LAYOUT.journal),
    ("hold what is claimed", LAYOUT.journal),
    ("collect", LAYOUT.hold),
}


def disk_in(letter, settled=False):
    """A disk on which the message is in this state; `settled`: for a while, so that everything is durable."""
    disk = new_disk()
    for name in WAYS[letter]:
        STEPS[name].act(disk)
    assert state_of(disk.tree()) == letter
    if settled:
        disk.settle()
    disk.operations.clear()
    disk.syncs = 0
    return disk


def find_strays(name, settled, skip_sync=None):
    """The states that a power cut during or after a step can leave and must not."""
    step = STEPS[name]
    disk = disk_in(step.before, settled)
    step.act(disk)
    operations = len(disk.operations)
    strays = set()
    for crash_at in range(operations + 1):
        disk = disk_in(step.before, settled)
        disk.crash_at, disk.skip_sync = crash_at, skip_sync
        try:
            step.act(disk)
        except PowerCut:
            assert crash_at < operations
        wanted = {step.before, step.after, *step.passing} if crash_at < operations else {step.after}
        strays |= {state_of(image) for image in disk.images()} - wanted - {COME_BACK.get(name)}
    return strays


def test_the_page_has_every_state():
    table = read_table()
    assert set(table) == {step.before for step in STEPS.values()} | {step.after for step in STEPS.values()}
    assert [letter for letter, row in table.items() if row.meaning == "250 may be sent"] == ["B"]


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_with_a_power_cut_at_each_operation(name, settled):
    assert find_strays(name, settled) == set()


@pytest.mark.parametrize("name", STEPS)
def test_each_directory_of_a_step_must_be_synced(name):
    disk = disk_in(STEPS[name].before)
    STEPS[name].act(disk)
    syncs = [path for operation, path in disk.operations if operation == "sync"]
    if name == "enqueue":
        syncs[0] = "the octets, see below"
    for number, path in enumerate(syncs):
        if disk.tree().get(path, b"") is None:
            missed = find_strays(name, False, number) | find_strays(name, True, number)
            assert bool(missed) != ((name, path) in UNNAMED), f"sync {number}, {path}: {missed}"


def test_a_hold_that_its_message_outlived():
    """Held while it was delivered; the process was killed between the two names. Nobody may deliver it again."""
    disk = disk_in("B")
    claim = Claims(disk, LAYOUT, FakeClock(), FakeLog()).try_claim(IDENTIFIER)
    assert hold(disk, LAYOUT, IDENTIFIER, FakeLog(), "wish") is Holding.LATER
    disk.refuse = lambda operation, path: StorageError("killed") if (operation, path) == ("sync", LAYOUT.hold) else None
    with pytest.raises(StorageError):
        claim.finish([DONE])
    disk.refuse = None
    disk.die()
    assert collect(disk, LAYOUT, FakeClock()).journals == 1
    for image in disk.images():
        assert state_of(image) in "AE"


@pytest.mark.parametrize("skip_sync", [0, 1])
def test_without_either_sync_the_250_would_lie(skip_sync):
    disk = new_disk()
    disk.skip_sync = skip_sync
    enqueue(disk)
    images = list(disk.images())
    path = f"{DATA}/{layout.QUEUE}/{IDENTIFIER}"
    assert any(not (image.get(path) or b"").endswith(PREFIX + BODY) for image in images)


@pytest.mark.parametrize(
    ("files", "letter"),
    [
        ((), "A"),
        (("queue",), "B"),
        (("queue", "journal"), "C"),
        (("hold",), "D"),
        (("hold", "journal"), "D"),
        (("queue", "hold"), "D"),
        (("queue", "hold", "journal"), "D"),
        (("journal",), "E"),
    ],
    ids=str,
)
def test_each_row_is_told_by_its_files(files, letter):
    assert state_of({f"{DATA}/spool/{directory}/{IDENTIFIER}": b"" for directory in files}) == letter
