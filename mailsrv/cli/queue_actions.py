"""What mailrun does with one queued message: each action gives the words for what became of it.

An action looks at the message again before it does anything, and claims it where it changes more than its place or
its time: what has left the queue meanwhile, or is being delivered, is told and left alone.

Diagnostics: StorageError when the disk refuses; what was done by then is done.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mailsrv.cli.queue_place import Place
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.causes import CANCELLED
from mailsrv.deliver.due import Report, find_due, read_settings, restore_report
from mailsrv.deliver.reroute import REROUTE
from mailsrv.deliver.sign import make_signer
from mailsrv.errors import Busy
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.claim import Claim
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.hold import Holding, hold, release
from mailsrv.spool.summary import Summary
from mailsrv.system.disk import Missing

CANCEL = "cancel"  # actions of notes, beside REROUTE
DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one message. `code`: "" when it was done, "busy" when it is being delivered, "gone" when it is not
    there, "no" when it cannot be done to it."""

    words: str
    code: str = ""


GONE = Done("is not in the queue any more", "gone")
BUSY = Done("is being delivered just now, nothing was done; try again", "busy")


class Actions:
    """The actions, with what they need. `text` is why, or for reroute the next hop."""

    def __init__(self, place: Place, text: str = "") -> None:
        self._place = place
        self._text = text
        self._bouncer: Bouncer | None = None

    def retry(self, summary: Summary) -> Done:
        """Have it tried at once, whatever the back-off of its next hops."""
        if summary.held:
            return Done("is held; release it first", "no")
        place = self._place
        try:
            place.disk.set_time(f"{place.layout.queue}/{summary.id}", place.clock.now())
        except Missing:
            return GONE
        place.wake(f"!{summary.id}")
        return Done("is tried again now")

    def hold(self, summary: Summary) -> Done:
        """Set it aside."""
        if summary.held:
            return Done("is held already", "no")
        place = self._place
        reason = self._text or "by the operator"
        end = hold(place.disk, place.layout, summary.id, place.log, reason)
        if end is Holding.GONE:
            return GONE
        return Done("is held" if end is Holding.HELD else "is being delivered; it is held from the end of this attempt")

    def release(self, summary: Summary) -> Done:
        """Put it back into the queue, to be tried at once."""
        place = self._place
        if not summary.held:
            return Done("is not held", "no")
        if not release(place.disk, place.layout, summary.id, place.clock.now()):
            return GONE
        place.wake(summary.id)
        return Done("is back in the queue")

    def cancel(self, summary: Summary) -> Done:
        """Give it up: its sender gets a report, as if it had failed."""
        return self._with_claim(summary, self._cancel)

    def delete(self, summary: Summary) -> Done:
        """Take it out of the queue, and tell nobody."""
        return self._with_claim(summary, self._delete)

    def reroute(self, summary: Summary) -> Done:
        """Note another next hop, and have it tried at once unless it is held."""
        done = self._with_claim(summary, self._reroute)
        if not done.code and not summary.held:
            self.retry(summary)
        return done

    def _with_claim(self, summary: Summary, act: Callable[[Claim], Done]) -> Done:
        try:
            claim = self._place.claims.try_claim(summary.id, held=summary.held)
        except Busy:
            return BUSY
        if claim is None:
            return GONE
        with claim:
            return act(claim)

    def _cancel(self, claim: Claim) -> Done:
        now = self._place.clock.now()
        reply = f"{CANCELLED}: {self._text}" if self._text else CANCELLED
        told = len(claim.waiting)
        outcomes = [Outcome(index, Status.FAILED, "5.7.1", reply, "", now) for index in claim.waiting]
        # Before any report: from here on nobody tries these recipients again, whatever crashes.
        claim.record(outcomes)
        claim.note(CANCEL, self._text)
        reports = self._report(claim)
        claim.finish()
        sender = f"a report goes to {claim.envelope.reverse_path}" if reports else "its sender gets no report"
        return Done(f"is cancelled for {told} recipient{'' if told == 1 else 's'}; {sender}")

    def _report(self, claim: Claim) -> int:
        """Queue every report that is due, each exactly once; how many."""
        settings = read_settings(self._place.config)
        count = 0
        for named in claim.pending_reports():
            report = restore_report(claim.envelope, claim.outcomes, named)
            if report is not None:
                self._send(claim, named.id, report)
                count += 1
            claim.reported(named.id)
        now = self._place.clock.now()
        while due := find_due(claim.envelope, claim.outcomes, claim.reports, now, settings):
            identifier = self._place.new_id()
            claim.journal_report(due.kind, identifier, due.recipients)
            self._send(claim, identifier, due)
            claim.reported(identifier)
            count += 1
        return count

    def _send(self, claim: Claim, identifier: str, report: Report) -> None:
        if self._bouncer is None:
            place = self._place
            signer = make_signer(place.config, place.disk, place.clock)
            spool = Spool(place.disk, place.config.data_dir, place.waker)
            settings = read_settings(place.config)
            self._bouncer = Bouncer(place.disk, spool, settings, place.clock, signer.sign if signer else None)
        self._bouncer.send(identifier, report, claim.envelope, claim.head)

    def _delete(self, claim: Claim) -> Done:
        claim.note(DELETE, self._text)
        claim.finish()
        return Done("is deleted; nobody is told")

    def _reroute(self, claim: Claim) -> Done:
        claim.note(REROUTE, self._text)
        return Done(f"goes to {self._text}" if self._text else "goes where the configuration says")


# The words of mailrun -> what is done, and what would be said of it beforehand.
ACTIONS: dict[str, tuple[Callable[[Actions, Summary], Done], str]] = {
    "retry": (Actions.retry, "would be tried again"),
    "hold": (Actions.hold, "would be held"),
    "release": (Actions.release, "would be released"),
    "cancel": (Actions.cancel, "would be cancelled, with a report to its sender"),
    "delete": (Actions.delete, "would be deleted, and nobody told"),
    "reroute": (Actions.reroute, "would be rerouted"),
}
