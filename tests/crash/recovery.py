"""What must be true of a disk on which a delivery was cut off, or cut off right after its 250."""

from dataclasses import dataclass, replace

from mailsrv.errors import StorageError
from mailsrv.deliver.local import Again, LocalDelivery
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode
from mailsrv.spool.layout import prepare
from mailsrv.store.account import LEAVES, MARK, Store
from mailsrv.store.quota import Quota
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk
from tests.fakes.log import FakeLog

DATA = "/srv/mail"
RETURN_PATH = b"Return-Path: <carol@remote.example>\r\n"
PREFIX = b"Received: from remote.example\r\n"
BODY = b"Subject: lunch\r\n\r\n" + b"At noon?\r\n" * 40
HOSTNAME = "mx.example.org"
IDENTIFIER = "dZJjly8m63W0"


class Silent:
    """An announcer that nobody listens to."""

    def announce(self, *accounts):
        pass


@dataclass(frozen=True)
class Scenario:
    """A message and the world it meets. `made`: accounts that exist; `broken`: (operation, account or a directory in
    it) that fails; `mailbox`: where the message goes, "" for INBOX; `mailboxes`: accounts that have this mailbox."""

    name: str
    accounts: tuple = ()
    remote: tuple = ()
    made: tuple = ()
    broken: tuple = ()
    mailbox: str = ""
    mailboxes: tuple = ()

    def __str__(self):
        return self.name

    @property
    def envelope(self):
        local = [Recipient(Address(account, "example.org"), account=account) for account in self.accounts]
        remote = [Recipient(Address(name, "remote.example")) for name in self.remote]
        sender = Address("carol", "remote.example")
        return Envelope(IDENTIFIER, 1.0, sender, (*local, *remote), size=len(PREFIX + BODY), mailbox=self.mailbox)

    @property
    def is_steady(self):
        """Whether every directory is there."""
        there = set(self.accounts)
        return set(self.made) == there and (not self.mailbox or set(self.mailboxes) == there)

    def prepare(self, store):
        """Make what is there before the message comes."""
        for account in self.made:
            store.prepare(account)
        for account in self.mailboxes:
            store.prepare(account, mailbox=self.mailbox)

    def refuse(self, operation, path):
        for broken, account in self.broken:
            if operation == broken and f"/accounts/{account}" in path:
                return StorageError(f"{path}: refused by the test")
        return None


def new_disk(scenario):
    """The disk as the message meets it, everything on it durable."""
    disk = FakeDisk()
    prepare(disk, DATA)
    disk.make_directories(f"{DATA}/accounts")
    scenario.prepare(Store(disk, DATA))
    disk.settle()
    disk.refuse = scenario.refuse if scenario.broken else None
    return disk


def new_delivery(disk, scenario=None):
    store = Store(disk, DATA)
    clock = FakeClock()
    delivery = LocalDelivery(
        disk, store, Spool(disk, DATA), Quota(disk, store, clock), Silent(), FakeLog(), clock, HOSTNAME
    )
    if scenario:
        # A process that has delivered there before: the message's own operations are all that happens.
        other = FakeDisk()
        known = Store(other, DATA)
        other.make_directories(f"{DATA}/accounts")
        scenario.prepare(known)
        store._prepared.update(known._prepared)
    return delivery


def message(octets=PREFIX + BODY):
    scratch = Scratch(None, "", len(octets), MemoryBudget(len(octets)))
    scratch.write(octets)
    return Octets(b"", scratch)


def find_faults(scenario, image, acknowledged):
    """What is wrong with a tree found after a power cut; `acknowledged`: the client has seen the 250."""
    faults = []
    for path, octets in image.items():
        if octets is not None and "/new/" in path and octets != RETURN_PATH + PREFIX + BODY:
            faults.append(f"{path} is torn")
        if octets is not None and "/queue/" in path:
            faults += _check_queued(path, octets)
        if octets is None and path.endswith("/.Junk/cur") and f"{path[: -len('cur')]}{MARK}" not in image:
            faults.append(f"{path} has no mark beside it")
    if faults or not acknowledged:
        return faults
    return _replay(scenario, image)


def _check_queued(path, octets):
    line, _, rest = octets.partition(b"\n")
    try:
        decode(line)
    except Exception as error:
        return [f"{path}: {error}"]
    return [] if rest == PREFIX + BODY else [f"{path}: the message is torn"]


def _replay(scenario, image):
    """Do what the runner does after a restart, then look for each recipient's copies."""
    disk = FakeDisk.from_image(image)
    queued = f"{DATA}/spool/queue/{IDENTIFIER}"
    remote = []
    if disk.exists(queued):
        envelope = decode(disk.read(queued).partition(b"\n")[0]).envelope
        remote = [r.address.local_part for r in envelope.recipients if not r.account]
        local = tuple(r for r in envelope.recipients if r.account)
        if local:
            new_delivery(disk).commit(replace(envelope, recipients=local), message(), RETURN_PATH, Again.YES)
    faults = [] if sorted(remote) == sorted(scenario.remote) else [f"queued for {remote}, not for {scenario.remote}"]
    for account in scenario.accounts:
        faults += _check_account(disk, scenario, account)
    return faults


def _check_account(disk, scenario, account):
    """One copy, in the right mailbox, which is whole."""
    store = Store(disk, DATA)
    faults = []
    for mailbox in {"", "Junk"}:
        new = f"{store.directory(account, mailbox)}/new"
        copies = disk.names(new) if disk.exists(new) else []
        if len(copies) != (mailbox == scenario.mailbox):
            faults.append(f"{account} has {len(copies)} copies in {mailbox or 'INBOX'}")
    wanted = (*LEAVES, MARK) if scenario.mailbox else LEAVES
    home = store.directory(account, scenario.mailbox)
    return faults + [f"{home}/{name} is missing" for name in wanted if not disk.exists(f"{home}/{name}")]
