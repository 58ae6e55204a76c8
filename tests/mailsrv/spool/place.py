"""A spool on a real disk with a message in it, for the tests of everything that works on the queue."""

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.claim import Claims
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import prepare
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog

ID = "dZJjly8m63W0"
REPORT = "dZJjly8m63W1"
SENDER = Address("carol", "example.org")
MESSAGE = b"Subject: lunch\r\nTo: erin\r\n\r\n" + b"At noon?\r\n" * 40


class Place:
    """`disk`, `layout`, `log`, `clock` and `claims` of one data_dir."""

    def __init__(self, directory, disk=None):
        self.disk = disk or Disk()
        self.layout = prepare(self.disk, str(directory))
        self.log = FakeLog()
        self.clock = FakeClock()
        self.spool = Spool(self.disk, str(directory))
        self.claims = Claims(self.disk, self.layout, self.clock, self.log)

    def enqueue(self, names=("erin", "frank"), identifier=ID, sender=SENDER, octets=MESSAGE, once=False):
        recipients = tuple(Recipient(Address(name, "remote.example")) for name in names)
        envelope = Envelope(identifier, self.clock.now(), sender, recipients, size=len(octets))
        scratch = Scratch(None, "", len(octets), MemoryBudget(len(octets)))
        scratch.write(octets)
        (self.spool.enqueue_once if once else self.spool.enqueue)(envelope, Octets(b"", scratch))
        return envelope

    def claim(self, identifier=ID, held=False):
        return self.claims.try_claim(identifier, held)

    def tree(self):
        """The spool's files as `directory/name`."""
        found = []
        for directory in ("queue", "journal", "hold", "corrupt"):
            names = self.disk.names(f"{self.layout.data_dir}/spool/{directory}")
            found += [f"{directory}/{name}" for name in names]
        return sorted(found)


def relayed(index):
    return Outcome(index, Status.RELAYED, "2.0.0", "taken", "mx.remote.example [192.0.2.1]", 5.0)


def failed(index):
    return Outcome(index, Status.FAILED, "5.1.1", "no such user", "mx.remote.example [192.0.2.1]", 5.0)


def delayed(index):
    return Outcome(index, Status.DELAYED, "4.2.0", "come back", at=5.0)
