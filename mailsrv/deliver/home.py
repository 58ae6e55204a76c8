"""Delivery from the queue into accounts here: those that failed before the 250, and reports and forwarded mail for our
own addresses.

The octets come from the queue file. A name that exists in new/ or cur/ means that the message was delivered before a
crash.

Diagnostics: raises nothing; what the disk refuses is a DELAYED outcome and an event, what the directory does not know
a FAILED one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from mailsrv.deliver.job import Job
from mailsrv.deliver.local import Again, LocalDelivery
from mailsrv.directory.accounts import Directory
from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.mail.envelope import Recipient
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.mail.trace import return_path_field
from mailsrv.spool.claim import Claim
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.queueid import child
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import UnnamedFile
from mailsrv.system.log import Log
from mailsrv.system.scratch import Octets

_UNKNOWN = Outcome(0, Status.FAILED, "5.1.1", "550 5.1.1 no such user here")
_DELIVERED = Outcome(0, Status.DELIVERED, "2.0.0", "")
_EXPANDED = Outcome(0, Status.EXPANDED, "2.0.0", "")
_FULL = Outcome(0, Status.DELAYED, "4.2.2", "452 4.2.2 the mailbox is full")
# Not in the disk's words, which name our files: a sender reads this.
_REFUSED = Outcome(0, Status.DELAYED, "4.3.0", "451 4.3.0 the mailbox cannot be written to now")
# Behind a message's ID the IDs of what its recipients were expanded to: no session has so many messages that one of
# these could be another's.
_BEHIND = "000"


class QueuedSource:
    """The octets of a queue file, as LocalDelivery and the spool take them."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self.size = claim.size

    def write_to(self, file: UnnamedFile, skip: int = 0, before: Sequence[bytes] = ()) -> None:
        """Append `before` and then the message from octet `skip` on."""
        if before:
            file.write(before)
        for block in self.blocks(skip):
            file.write([block])

    def blocks(self, start: int = 0, /) -> Iterator[bytes]:
        """The message from octet `start` on."""
        return self._claim.blocks(start)


class Home:
    """Delivers jobs to accounts. `room` tells whether an account has room for so many octets more."""

    def __init__(
        self, delivery: LocalDelivery, directory: Directory, spool: Spool, clock: Clock, log: Log,
        room: Callable[[str, int, int], bool],
    ) -> None:  # fmt: skip
        self._delivery = delivery
        self._directory = directory
        self._spool = spool
        self._clock = clock
        self._log = log
        self._room = room

    def deliver(self, job: Job) -> list[Outcome]:
        """One outcome for each recipient of the job."""
        outcomes = []
        for index in job.indexes:
            try:
                outcome = self._deliver_one(job, index)
            except StorageError as error:
                events.storage(self._log, path=job.delivery.envelope.id, reason=str(error))
                outcome = _REFUSED
            outcomes.append(replace(outcome, recipient=index, at=self._clock.now()))
        return outcomes

    def _deliver_one(self, job: Job, index: int) -> Outcome:
        """The outcome, without its recipient and time."""
        recipient = job.delivery.envelope.recipients[index]
        if recipient.account:
            accounts: tuple[str, ...] = (recipient.account,)
            rest: list[Recipient] = []
        else:
            expansion = self._directory.expand(recipient.address)
            if not expansion.found:
                return _UNKNOWN
            accounts = tuple(expansion.accounts)
            rest = [Recipient(one, recipient.dsn, recipient.address) for one in expansion.remote]
        if not all(map(self._directory.account, accounts)):
            return _UNKNOWN
        failed = self._commit(job, index, accounts)
        if failed and not rest and len(failed) == len(accounts):
            return next(iter(failed.values()))
        # Who cannot be reached waits alone: the others have it and must not get it again, nor does a sender hear that
        # they have not.
        rest += [Recipient(recipient.address, recipient.dsn, recipient.original, account) for account in failed]
        if rest:
            self._queue_rest(job, index, tuple(rest))
        return _EXPANDED if rest else _DELIVERED

    def _commit(self, job: Job, index: int, accounts: tuple[str, ...]) -> dict[str, Outcome]:
        """Deliver to accounts; gives those that did not get it, each with its outcome."""
        envelope = job.delivery.envelope
        recipient = envelope.recipients[index]
        failed = {account: _FULL for account in accounts if not self._has_room(account, envelope.size)}
        local = tuple(
            Recipient(recipient.address, recipient.dsn, recipient.original, account)
            for account in accounts
            if account not in failed
        )
        if local:
            octets = Octets(b"", QueuedSource(job.delivery.claim))
            own = replace(envelope, recipients=local)
            results = self._delivery.commit_each(own, octets, return_path_field(envelope.reverse_path), Again.YES)
            failed |= {account: _REFUSED for account, error in results.items() if error is not None}
        return failed

    def _has_room(self, account: str, size: int) -> bool:
        known = self._directory.account(account)
        return known is None or self._room(account, known.quota_bytes, size)

    def _queue_rest(self, job: Job, index: int, rest: tuple[Recipient, ...]) -> None:
        """Queue what an address stands for and was not delivered here, once: the ID follows from the message's."""
        envelope = job.delivery.envelope
        own = replace(envelope, id=child(f"{envelope.id}{_BEHIND}", index), recipients=rest)
        with suppress(AlreadyThere):
            self._spool.enqueue_once(own, Octets(b"", QueuedSource(job.delivery.claim)))
            events.queued(self._log, id=own.id, recipients=len(rest), reason=f"from {envelope.id}")
