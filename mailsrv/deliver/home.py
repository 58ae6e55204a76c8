"""Delivery from the queue into accounts here: those that failed before the 250, and reports and forwarded mail for our
own addresses.

The octets come from the queue file. A name that exists in new/ or cur/ means that the message was delivered before a
crash.

Diagnostics: raises nothing; what the disk refuses is a DELAYED outcome, what the directory does not know a FAILED one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mailsrv.deliver.job import Job
from mailsrv.deliver.local import Again, LocalDelivery
from mailsrv.directory.accounts import Directory
from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.mail.trace import return_path_field
from mailsrv.spool.claim import Claim
from mailsrv.spool.enqueue import Spool
from mailsrv.system.clock import Clock
from mailsrv.system.disk import UnnamedFile
from mailsrv.system.scratch import Octets

_UNKNOWN = "550 5.1.1 no such user here"
_FULL = "452 4.2.2 the mailbox is full"


class QueuedSource:
    """The octets of a queue file, as LocalDelivery and the spool take them."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self.size = claim.size

    def write_to(self, file: UnnamedFile, skip: int = 0, before: Sequence[bytes] = ()) -> None:
        """Append `before` and then the message from octet `skip` on."""
        if before:
            file.write(before)
        for block in self._claim.blocks(skip):
            file.write([block])


class Home:
    """Delivers jobs to accounts. `room` tells whether an account has room for so many octets more; `further` makes the
    ID under which the rest of an expanded address is queued, always the same for the same message."""

    def __init__(
        self, delivery: LocalDelivery, directory: Directory, spool: Spool, clock: Clock,
        room: Callable[[str, int, int], bool],
    ) -> None:  # fmt: skip
        self._delivery = delivery
        self._directory = directory
        self._spool = spool
        self._clock = clock
        self._room = room

    def deliver(self, job: Job) -> list[Outcome]:
        """One outcome for each recipient of the job."""
        return [self._deliver_one(job, index) for index in job.indexes]

    def _deliver_one(self, job: Job, index: int) -> Outcome:
        envelope = job.delivery.envelope
        recipient = envelope.recipients[index]
        now = self._clock.now()
        if recipient.account:
            accounts: tuple[str, ...] = (recipient.account,)
            rest: tuple[Recipient, ...] = ()
        else:
            expansion = self._directory.expand(recipient.address)
            if not expansion.found:
                return Outcome(index, Status.FAILED, "5.1.1", _UNKNOWN, at=now)
            accounts = tuple(expansion.accounts)
            rest = tuple(Recipient(one, recipient.dsn, recipient.address) for one in expansion.remote)
        for account in accounts:
            known = self._directory.account(account)
            if known is None:
                return Outcome(index, Status.FAILED, "5.1.1", _UNKNOWN, at=now)
            if known.quota_bytes and not self._room(account, known.quota_bytes, envelope.size):
                return Outcome(index, Status.DELAYED, "4.2.2", _FULL, at=now)
        try:
            return self._commit(job, index, accounts, rest)
        except StorageError as error:
            return Outcome(index, Status.DELAYED, "4.3.0", f"451 4.3.0 {error}", at=now)

    def _commit(self, job: Job, index: int, accounts: tuple[str, ...], rest: tuple[Recipient, ...]) -> Outcome:
        envelope = job.delivery.envelope
        recipient = envelope.recipients[index]
        octets = Octets(b"", QueuedSource(job.delivery.claim))
        now = self._clock.now()
        if rest:
            self._queue_rest(envelope, index, rest, octets)
        if accounts:
            local = tuple(Recipient(recipient.address, recipient.dsn, recipient.original, one) for one in accounts)
            own = replace(envelope, recipients=local)
            results = self._delivery.commit_each(own, octets, return_path_field(envelope.reverse_path), Again.YES)
            failed = [error for error in results.values() if error is not None]
            if failed:
                return Outcome(index, Status.DELAYED, "4.3.0", f"451 4.3.0 {failed[0]}", at=now)
        status = Status.EXPANDED if rest else Status.DELIVERED
        return Outcome(index, status, "2.0.0", "", at=now)

    def _queue_rest(self, envelope: Envelope, index: int, rest: tuple[Recipient, ...], octets: Octets) -> None:
        """Queue what an address stands for elsewhere, once: the ID follows from the message's."""
        own = replace(envelope, id=f"{envelope.id}X{index}", recipients=rest)
        try:
            self._spool.enqueue_once(own, octets)
        except AlreadyThere:
            return
