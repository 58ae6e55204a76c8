"""After an attempt: outcomes into the journal and the log, reports that are due, then the next attempt or the end.

The order is that of mailsrv-spool(5): what is final is durable before a report about it is named, a report is named
before it is queued, and the message leaves the queue last. Whatever crashes in between, nothing is tried again that
was final, and no report is made twice.

Diagnostics: `settle` raises StorageError when the disk refuses a step (GrammarError when a signature cannot be made for
a report); it may be called again for the same delivery, and goes on where it stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mailsrv.config.schema import QueueConfig
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.due import ReportSettings, find_due, next_delay_report, restore_report
from mailsrv.deliver.job import Delivery
from mailsrv.deliver.local import RELAY
from mailsrv.deliver.schedule import is_expired, next_attempt
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.log import Log

_NOT_RETURNABLE = "a report, or another message without a sender, that cannot be delivered"


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles deliveries, for all threads of a process. `new_id` makes the ID of a report; `below(n)` a random
    number.
    """

    queue: QueueConfig
    settings: ReportSettings
    bouncer: Bouncer
    new_id: Callable[[], str]
    below: Callable[[int], int]
    clock: Clock
    log: Log

    def settle(self, delivery: Delivery) -> float | None:
        """Write everything down. Gives when the message is to be looked at again; None when it has left the queue (or
        waits for the operator)."""
        claim, envelope = delivery.claim, delivery.envelope
        now = self.clock.now()
        if delivery.outcomes:
            outcomes = [self._expire(delivery, outcome, now) for outcome in delivery.outcomes]
            delivery.outcomes = []
            self._tell(delivery, outcomes, now)
            claim.learn(outcomes)
        self._report(delivery, now)
        failed = any(outcome.status is Status.FAILED for outcome in claim.outcomes.values())
        if not claim.waiting:
            if failed and envelope.reverse_path is None:
                claim.hold(_NOT_RETURNABLE)
            else:
                claim.finish()
            return None
        moment = next_attempt(claim.attempts + 1, envelope.received, now, self.queue, self.below)
        delay_report = next_delay_report(envelope, self.settings)
        if now < delay_report < moment:
            moment = delay_report
        claim.defer(moment)
        return moment

    def restore(self, delivery: Delivery) -> None:
        """Before an attempt: make the reports that were named before a crash and may not have been queued."""
        claim = delivery.claim
        for named in claim.pending_reports():
            report = restore_report(delivery.envelope, claim.outcomes, named)
            if report is not None:
                self.bouncer.send(named.id, report, delivery.envelope, claim.head)
            claim.reported(named.id)

    def _report(self, delivery: Delivery, now: float) -> None:
        """Make every report that is due."""
        claim, envelope = delivery.claim, delivery.envelope
        self.restore(delivery)
        while True:
            report = find_due(envelope, claim.outcomes, claim.reports, now, self.settings, delivery.passed_on)
            if report is None:
                return
            named = claim.journal_report(report.kind, self.new_id(), report.recipients)
            self.bouncer.send(named.id, report, envelope, claim.head)
            claim.reported(named.id)

    def _expire(self, delivery: Delivery, outcome: Outcome, now: float) -> Outcome:
        """What still waits when a message is too old has failed, for the reason that it waited for."""
        if outcome.status is Status.DELAYED and is_expired(delivery.envelope.received, now, self.queue):
            return replace(outcome, status=Status.FAILED)
        return outcome

    def _tell(self, delivery: Delivery, outcomes: list[Outcome], now: float) -> None:
        """One line per recipient; those delivered here have theirs from deliver/local."""
        envelope = delivery.envelope
        waited = max(delivery.began - envelope.received, 0.0)
        took = max(now - delivery.began, 0.0)
        transmit = min(delivery.transmit_seconds, took)
        delays = events.delays(0.0, waited, took - transmit, transmit)
        for outcome in outcomes:
            recipient = envelope.recipients[outcome.recipient]
            if outcome.status is Status.DELIVERED and not outcome.host:
                continue
            events.attempt(
                self.log, id=envelope.id, to=str(recipient.address), account=recipient.account,
                status=outcome.status.value, relay=outcome.host or (RELAY if recipient.account else ""),
                delays=delays, dsn=outcome.dsn, reason=outcome.reply,
            )  # fmt: skip
