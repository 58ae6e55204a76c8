"""After an attempt: outcomes into the journal and the log, reports that are due, then the next attempt or the end.

The order is that of mailsrv-spool(5): what is final is durable before a report about it is named, a report is named
before it is queued, and the message leaves the queue last. Whatever crashes in between, nothing is tried again that
was final, and no report is made twice.

Diagnostics: `learn` and `settle` raise StorageError when the disk refuses a step, `settle` also GrammarError when a
signature cannot be made for a report. Both keep what they know; `settle` may be called again for the same delivery, and
goes on where it stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mailsrv.config.schema import QueueConfig
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.due import ReportSettings, find_due, next_delay_report, restore_report
from mailsrv.deliver.job import Delivery
from mailsrv.deliver.local import RELAY
from mailsrv.deliver.schedule import is_expired, next_attempt
from mailsrv.mail.dsn import Kind
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

    def learn(self, delivery: Delivery, outcomes: list[Outcome]) -> None:
        """Take the outcomes of a job that has ended. While other jobs run, which may take long, what is final is
        written down at once: a crash meanwhile must not have it delivered again."""
        now = self.clock.now()
        known = [self._expire(delivery, outcome, now) for outcome in outcomes]
        delivery.claim.learn(known)
        self._tell(delivery, known, now)
        if delivery.has_more and any(outcome.status.is_final for outcome in known):
            delivery.claim.record()

    def settle(self, delivery: Delivery) -> float | None:
        """Write everything down after the last job. Gives when the message is to be looked at again; None when it has
        left the queue (or waits for the operator)."""
        claim, envelope = delivery.claim, delivery.envelope
        now = self.clock.now()
        self._report(delivery, now)
        if not claim.waiting:
            failed = any(outcome.status is Status.FAILED for outcome in claim.outcomes.values())
            if failed and envelope.reverse_path is None:
                claim.hold(_NOT_RETURNABLE)
            else:
                claim.finish()
            return None
        if delivery.cut_short:
            # No attempt of its own: whoever comes next tries it at once.
            claim.record()
            return now
        moment = next_attempt(claim.attempts + 1, envelope.received, now, self.queue, self.below)
        for sooner in (next_delay_report(envelope, self.settings), delivery.look_again):
            if now < sooner < moment:
                moment = sooner
        claim.defer(moment)
        return moment

    def is_owed(self, delivery: Delivery) -> bool:
        """Whether the message is so old that its sender must hear of it, whether or not it can be tried now."""
        claim, envelope = delivery.claim, delivery.envelope
        now = self.clock.now()
        if is_expired(envelope.received, now, self.queue):
            return True
        told = any(report.kind is Kind.DELAYED for report in claim.reports)
        return not told and 0 < next_delay_report(envelope, self.settings) <= now

    def owed_at(self, delivery: Delivery) -> float:
        """When `is_owed` becomes true, in seconds since the epoch; not in the past."""
        envelope = delivery.envelope
        end = envelope.received + self.queue.give_up_seconds
        delay_report = next_delay_report(envelope, self.settings)
        return delay_report if self.clock.now() < delay_report < end else end

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
                mailbox=envelope.mailbox if recipient.account else "",
                status=outcome.status.value, relay=outcome.host or (RELAY if recipient.account else ""),
                delays=delays, dsn=outcome.dsn, reason=outcome.reply,
            )  # fmt: skip
