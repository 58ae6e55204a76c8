"""A small runner over the real spool, and a world outside that remembers what reached it.

The runner does what the real one does with a claim: deliver, learn, report, defer or finish. The world is what no crash
undoes: who got the message, which reports came. Power cuts and kills happen in between; afterwards the runner works on
until nothing is left to do, and the world is asked what went wrong.
"""

import copy
from dataclasses import dataclass, field
from enum import Enum

from mailsrv.errors import AlreadyThere
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.claim import Claims
from mailsrv.spool.collect import collect
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout, prepare
from mailsrv.spool.queueid import child

from tests.crash.recovery import DATA, IDENTIFIER, message
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk, PowerCut
from tests.fakes.log import FakeLog

LAYOUT = Layout(DATA)
SPOOL = (LAYOUT.queue, LAYOUT.hold, LAYOUT.journal, LAYOUT.corrupt)
SENDER = Address("carol", "example.org")
DAY = 86400.0
# What becomes of a recipient of this name in its first, second ... attempt; the last word stays.
FATES = {
    "good": (Status.RELAYED,),
    "bad": (Status.FAILED,),
    "slow": (Status.DELAYED, Status.RELAYED),
    "hopeless": (Status.DELAYED, Status.FAILED),
}


@dataclass
class World:
    """`given`: how often each (message, recipient) was delivered; `settled`: those that the spool has promised never
    to try again; `reports`: (report, message, recipients) as they reached the sender."""

    clock: FakeClock = field(default_factory=FakeClock)
    given: dict = field(default_factory=dict)
    settled: set = field(default_factory=set)
    deferred: dict = field(default_factory=dict)
    reports: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    made: int = 0
    refusing: bool = False  # the sender takes no reports

    def new_report_id(self):
        self.made += 1
        return child(IDENTIFIER, self.made)

    def deliver(self, claim, index):
        key = (claim.id, index)
        if key in self.settled:
            self.faults.append(f"{key} was settled and is tried again")
        if claim.attempts < self.deferred.get(claim.id, 0):
            self.faults.append(f"{claim.id} has forgotten an attempt")
        recipient = claim.envelope.recipients[index].address
        fates = FATES.get(recipient.local_part, FATES["good"])
        status = fates[min(claim.attempts, len(fates) - 1)]
        if self.refusing and claim.envelope.reverse_path is None:
            status = Status.FAILED
            self.reports.append(self.read_report(claim))
        elif status is Status.RELAYED:
            self.given[key] = self.given.get(key, 0) + 1
            if claim.envelope.reverse_path is None:
                self.reports.append(self.read_report(claim))
        return Outcome(index, status, {"relayed": "2.0.0", "failed": "5.1.1"}.get(status.value, "4.0.0"), "so it is")

    @staticmethod
    def read_report(claim):
        return claim.id, *claim.read(0, 1000).decode().split()

    def settle(self, claim):
        """A step has returned: what the claim knows is promised."""
        self.settled |= {(claim.id, index) for index, outcome in claim.outcomes.items() if outcome.status.is_final}
        self.deferred[claim.id] = claim.attempts


def new_disk(recipients):
    """A disk with one message in the queue, durably."""
    disk = FakeDisk()
    prepare(disk, DATA)
    enqueue(disk, recipients)
    disk.settle()
    return disk


def enqueue(disk, recipients, identifier=IDENTIFIER):
    parts = tuple(Recipient(Address(name, "remote.example")) for name in recipients)
    octets = message()
    Spool(disk, DATA).enqueue(Envelope(identifier, 1.0, SENDER, parts, size=octets.size), octets)


class Mode(Enum):
    """How the runner goes about it."""

    TOGETHER = "outcomes are journalled with the step that follows them"
    EACH = "final outcomes are journalled one by one"
    EAGER = "a report is delivered, by another thread, before its queueing is noted"

    def __str__(self):
        return self.name.lower()


def work(disk, world, mode=Mode.TOGETHER):
    """Deliver until the queue is empty."""
    claims = Claims(disk, LAYOUT, world.clock, FakeLog())
    # Days pass between all that happens, so that whatever may be collected is.
    collect(disk, LAYOUT, world.clock)
    for _ in range(20):
        held = set(disk.names(LAYOUT.hold))
        names = sorted(name for name in disk.names(LAYOUT.queue) if name not in held)
        if not names:
            break
        for name in names:
            world.clock.advance(3 * DAY)
            claim = claims.try_claim(name)
            if claim is not None:
                with claim:
                    attempt(disk, world, claim, mode)
            collect(disk, LAYOUT, world.clock)
    else:
        world.faults.append("there is no end")
    world.clock.advance(3 * DAY)
    collect(disk, LAYOUT, world.clock)


def attempt(disk, world, claim, mode):
    for index in claim.waiting:
        outcome = world.deliver(claim, index)
        claim.learn([outcome])
        if mode is not Mode.TOGETHER and outcome.status.is_final:
            claim.record()
            world.settle(claim)
    for report in claim.pending_reports():
        queue_report(disk, world, claim, report, mode)
    told = {index for report in claim.reports for index in report.recipients}
    failed = [i for i, outcome in claim.outcomes.items() if outcome.status is Status.FAILED and i not in told]
    if failed and claim.envelope.reverse_path is not None:
        report = claim.journal_report(Kind.FAILED, world.new_report_id(), failed)
        world.settle(claim)
        queue_report(disk, world, claim, report, mode)
    if claim.envelope.reverse_path is None and world.refusing:
        claim.hold("nobody wants it")
    elif claim.waiting:
        claim.defer(world.clock.now() + 300)
    else:
        claim.finish()
    world.settle(claim)


def queue_report(disk, world, claim, report, mode):
    octets = message(f"{claim.id} {','.join(map(str, report.recipients))}".encode())
    envelope = Envelope(report.id, 1.0, None, (Recipient(SENDER),), size=octets.size)
    try:
        Spool(disk, DATA).enqueue_once(envelope, octets)
    except AlreadyThere:
        pass
    own = Claims(disk, LAYOUT, world.clock, FakeLog()).try_claim(report.id) if mode is Mode.EAGER else None
    if own is not None:
        with own:
            attempt(disk, world, own, mode)
        world.clock.advance(3 * DAY)
        collect(disk, LAYOUT, world.clock)
    claim.reported(report.id)


def find_faults(disk, world, recipients, identifier=IDENTIFIER):
    """What went wrong, once all work is done."""
    faults = list(world.faults)
    for index, name in enumerate(recipients):
        if FATES[name][-1] is Status.RELAYED and not world.given.get((identifier, index)):
            faults.append(f"recipient {index} never got the message")
        reports = {report for report, original, told in world.reports if str(index) in told.split(",")}
        wanted = 1 if FATES[name][-1] is Status.FAILED else 0
        if len(reports) != wanted:
            faults.append(f"recipient {index} was reported {len(reports)} times")
    left = {directory: disk.names(directory) for directory in SPOOL}
    if world.refusing:
        # The one report waits for the operator, with its journal.
        wanted = sorted({report for report, _, _ in world.reports})
        if not sorted(left[LAYOUT.hold]) == sorted(left[LAYOUT.journal]) == wanted:
            faults.append(f"{left} is left, wanted is {wanted} in hold")
        left[LAYOUT.hold] = left[LAYOUT.journal] = []
    return faults + [f"{directory}/{name} is left" for directory in SPOOL for name in left[directory]]


def survives(disk, world, step):
    """Whether the machine was still running after a step."""
    try:
        step(disk, world)
    except PowerCut:
        return False
    return True


def after_power_cut(disk, world):
    """Each disk that can be found, with a world of its own."""
    for image in disk.images():
        yield FakeDisk.from_image(image), copy.deepcopy(world)
