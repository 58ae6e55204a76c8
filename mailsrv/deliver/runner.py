"""The queue's runner: knows when each message is due, claims it, makes its jobs, and settles it when the last one has
ended.

One thread decides; delivery happens in the Dispatcher's threads. The queue on disk is the truth: it is read at the
start and from time to time, so that the runner is right without any wake, and a wake only makes it quick. In memory a
message that waits is its name and a time.

Wakes (system/wake, datagrams): `ID` look at it now; `!ID` try it now, whatever the back-off; `*` read the whole queue
and try every next hop; anything else: read the whole queue. When so many come at once that some may have been lost, the
whole queue is read as well.

Diagnostics: raises nothing once it runs. What the disk refuses is an event, and so is a bug: the message that is
concerned is looked at again later, and the others go on.
"""

import os
import select
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mailsrv.errors import Busy, MailsrvError
from mailsrv.system import events
from mailsrv.system.wake import Doorbell
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.config.schema import QueueConfig
from mailsrv.spool.claim import Claim, Claims
from mailsrv.spool.collect import collect
from mailsrv.spool.history import Note
from mailsrv.spool.queueid import is_id
from mailsrv.spool.scan import scan
from mailsrv.deliver.backlog import Backlog
from mailsrv.deliver.dispatch import Dispatcher
from mailsrv.deliver.job import Delivery, Forward, Job, Sign, make_jobs
from mailsrv.deliver.route import HopKind, NextHop, Router
from mailsrv.deliver.settle import Settler

_MOST_ACTIVE = 1000  # messages that are claimed at a time: each is an open file
_AT_A_TIME = 100  # messages that are begun before the doorbell is asked again
_MANY_WAKES = 10  # what a doorbell holds at least (net.unix.max_dgram_qlen): then others may have found it full
_SCAN_SECONDS = 300.0  # between two looks at the whole queue
_SCAN_SHARE = 20  # a queue that takes a second to read is read at most every twenty
_COLLECT_SECONDS = 3600.0
_ROUND_SECONDS = 1.0
_FULL_SECONDS = 60.0  # until a next hop is looked at again that has enough jobs, for messages that have others too
_BUSY_SECONDS = 5.0  # until a message is looked at again that another process works on
_AGAIN_SECONDS = 30.0  # or that the disk keeps from us
_BUG_SECONDS = 300.0  # or that a mistake of ours does
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Works:
    """What the runner is made of, once per process. `is_paused` tells whether the operator has paused a next hop;
    `reroute` gives the way that the operator wants for one message; `go_round` is called about once a second."""

    claims: Claims
    router: Router
    settler: Settler
    queue: QueueConfig
    sign: Sign | None
    forward: Forward | None
    is_paused: Callable[[NextHop], bool]
    reroute: Callable[[Sequence[Note]], Router | None]
    go_round: Callable[["Runner"], None] | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done with a message now: jobs; outcomes of recipients whose next hop is left alone, where these
    must be written down. With neither it waits: `until` then, or for room at `full`."""

    jobs: list[Job]
    ended: list[Outcome]
    until: float
    full: NextHop | None


class Runner:
    """See above. `dispatcher` is attached before `run`."""

    dispatcher: Dispatcher

    def __init__(self, works: Works, doorbell: Doorbell) -> None:
        self.doorbell = doorbell
        self._works = works
        self._log = works.claims.log
        self._clock = works.claims.clock
        self._backlog = Backlog(_MOST_ACTIVE)
        self._active: set[str] = set()
        self._ended: deque[tuple[Delivery, float | None]] = deque()  # settled: when it is due again
        self._unsettled: deque[tuple[float, Delivery]] = deque()  # the disk refused: when to try again (monotonic)
        self._ended_bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._forced: set[str] = set()
        self._scan_at = self._collect_at = self._round_at = 0.0  # monotonic
        self._scan_seconds = 0.0
        self._has_room = True  # for parked messages, perhaps
        self._stopping = False

    def run(self) -> None:
        """Run the queue until `halt`. Nothing ends it but that: the server would take mail and send none."""
        waits: list[float] = []
        while not self._stopping:
            failed = self._guard("run", lambda: waits.append(self.step()))
            seconds = _ROUND_SECONDS if failed else waits.pop()
            poll = select.poll()
            # Anew each time: a round may have replaced the doorbell.
            for descriptor in (self.doorbell.fileno(), self._ended_bell):
                poll.register(descriptor, select.POLLIN)
            if not self._stopping:
                poll.poll(seconds * 1000)

    def halt(self) -> None:
        """Begin nothing more; from any thread. `run` returns soon."""
        self._stopping = True
        os.eventfd_write(self._ended_bell, 1)

    def stop(self) -> None:
        """After `run`, or in its place: nothing is begun any more. Jobs that run end by themselves and are settled;
        messages with others are left as they were."""
        self.halt()
        for job in self.dispatcher.stop():
            self.end_job(job, [])
        self._settle_again(float("inf"))

    def active(self) -> int:
        """How many messages are being worked on; not those that only the disk keeps from being settled."""
        return len(self._active) - len(self._unsettled)

    def end_job(self, job: Job, outcomes: list[Outcome]) -> None:
        """A job has ended, without outcomes when it was not begun: called by the threads that carry them. The last one
        settles the message."""
        delivery = job.delivery
        if not outcomes:
            delivery.cut_short = True
        is_left_alone = self.dispatcher.left_alone(job.hop)[0] > 0
        if self._backlog.end(job.hop, is_left_alone):
            self._has_room = True
            os.eventfd_write(self._ended_bell, 1)
        self._end(delivery, outcomes)

    def step(self) -> float:
        """Do everything that can be done now; gives the seconds until there is more."""
        clock = self._clock
        now, moment = clock.now(), clock.monotonic()
        self._hear(now)
        self._take_back()
        self._settle_again(moment)
        if moment >= self._round_at:
            self._round_at = moment + _ROUND_SECONDS
            self._has_room = True
            self._guard("run", self._go_round)
        if moment >= self._scan_at:
            self._scan()
        if moment >= self._collect_at:
            self._collect_at = moment + _COLLECT_SECONDS
            self._clean()
        if self._has_room:
            self._has_room = False
            self._guard("spool", lambda: self._backlog.unpark(self._is_held, now))
        self._begin_due(now)
        return self._next_step()

    def _go_round(self) -> None:
        if self._works.go_round is not None:
            self._works.go_round(self)

    def _begin_due(self, now: float) -> None:
        for _ in range(_AT_A_TIME):
            if len(self._active) >= _MOST_ACTIVE or self._stopping:
                return
            identifier = self._backlog.pop_due(now)
            if identifier is None:
                return
            if identifier not in self._active:
                self._begin(identifier)

    def _next_step(self) -> float:
        """Seconds until there is something to do without a wake."""
        now, moment = self._clock.now(), self._clock.monotonic()
        waits = [_LONGEST_WAIT, self._scan_at - moment]
        waits += [when - moment for when, _delivery in self._unsettled]
        if self._works.go_round is not None:
            waits.append(self._round_at - moment)
        due = self._backlog.next_moment
        if due is not None and len(self._active) < _MOST_ACTIVE:
            waits.append(due - now)
        return max(0.0, min(waits))

    def _hear(self, now: float) -> None:
        """What the doorbell brought. Whoever may write to it is not trusted with names of files."""
        hints = self.doorbell.take()
        for octets in hints:
            text = octets.decode("ascii", "replace")
            identifier = text.removeprefix("!")
            if not is_id(identifier):
                if text == "*":
                    self.dispatcher.release()
                self._scan_at = 0.0
                self._has_room = True
            elif identifier not in self._active:
                if identifier != text:
                    self._forced.add(identifier)
                self._backlog.add(now, identifier)
        if len(hints) >= _MANY_WAKES:
            pause = max(_ROUND_SECONDS, _SCAN_SHARE * self._scan_seconds)
            self._scan_at = min(self._scan_at, self._clock.monotonic() + pause)

    def _scan(self) -> None:
        """Read when everything is due; what is being worked on comes back by itself."""
        claims = self._works.claims
        began = self._clock.monotonic()
        self._scan_at = began + _SCAN_SECONDS

        def read() -> None:
            self._backlog.replace(scan(claims.disk, claims.layout, claims.log), self._active)

        self._guard(claims.layout.queue, read)
        self._scan_seconds = self._clock.monotonic() - began

    def _clean(self) -> None:
        """Throw away what nobody needs any more."""
        claims = self._works.claims
        self._guard(claims.layout.journal, lambda: collect(claims.disk, claims.layout, self._clock))
        self.dispatcher.forget_idle()
        self._guard("spool", lambda: self._backlog.forget(self._is_held))

    def _take_back(self) -> None:
        """Messages that have been settled."""
        try:
            os.eventfd_read(self._ended_bell)
        except BlockingIOError:
            return
        while self._ended:
            delivery, moment = self._ended.popleft()
            self._active.discard(delivery.claim.id)
            if moment is not None:
                self._backlog.add(moment, delivery.claim.id)

    def _begin(self, identifier: str) -> None:
        """Claim a message and put its jobs on their way. One that cannot be worked on never stops the others."""
        seconds = self._guard(identifier, lambda: self._claim(identifier))
        if seconds:
            self._backlog.add(self._clock.now() + seconds, identifier)

    def _claim(self, identifier: str) -> None:
        """Raises what keeps the message from being worked on; it is not claimed then."""
        now = self._clock.now()
        forced = identifier in self._forced
        self._forced.discard(identifier)
        claim = self._works.claims.try_claim(identifier)
        if claim is None:
            return
        try:
            self._work(Delivery(claim, self._works.sign, now, forced))
        except BaseException:
            claim.close()
            raise

    def _work(self, delivery: Delivery) -> None:
        """Decide what is done with a claimed message now, and begin it. Whatever this raises, nothing was begun."""
        claim = delivery.claim
        if claim.due > self._clock.now() + 1.0 and not delivery.forced:
            # Its file's time did not survive, or an operator has moved it.
            claim.put_back()
            self._leave(claim, claim.due)
            return
        if claim.reports:
            self._works.settler.restore(delivery)
        plan = self._plan(delivery)
        if not plan.jobs and not plan.ended and claim.waiting:
            if plan.full is not None:
                self._backlog.park(plan.full, claim.id)
            self._leave(claim, plan.until)
            return
        self._active.add(claim.id)
        # One share is ours: so that a message without jobs is settled too, and none before all its jobs are known.
        delivery.expect(len(plan.jobs) + 1)
        for job in plan.jobs:
            self._backlog.begin(job.hop)
            if self._guard(claim.id, partial(self.dispatcher.put, job)):
                self._backlog.end(job.hop, False)
                self._end(delivery, [])
        self._end(delivery, plan.ended)

    def _leave(self, claim: Claim, moment: float) -> None:
        """Let a message wait without a word on the disk."""
        self._backlog.add(max(moment, self._clock.now() + 1.0), claim.id)
        claim.close()

    def _plan(self, delivery: Delivery) -> _Plan:
        """See _Plan."""
        works, claim = self._works, delivery.claim
        now = self._clock.now()
        router = works.reroute(claim.notes) or works.router
        groups = router.group(delivery.envelope, claim.waiting)
        is_owed = works.settler.is_owed(delivery)
        only = next(iter(groups)) if len(groups) == 1 else None
        ended: list[Outcome] = []
        held = []
        for hop in list(groups):
            not_before, reason = self._held_back(hop, delivery.forced, is_owed)
            if not_before:
                indexes = groups.pop(hop)
                held.append(not_before)
                # A recipient that was never tried has no word for a report yet; and one that is too old has waited
                # enough.
                if reason and (is_owed or any(index not in claim.outcomes for index in indexes)):
                    text = f"451 4.4.1 {reason}"
                    ended += [Outcome(index, Status.DELAYED, "4.4.1", text, at=now) for index in indexes]
        jobs = make_jobs(delivery, groups, works.forward)
        if only is not None and held:
            return _Plan(jobs, ended, max(works.settler.owed_at(delivery), now + _SCAN_SECONDS), only)
        delivery.look_again = min(held, default=0.0)
        return _Plan(jobs, ended, delivery.look_again, None)

    def _held_back(self, hop: NextHop, forced: bool, is_owed: bool) -> tuple[float, str]:
        """Before when a next hop is not to be tried now, and the reason if it is one for a report."""
        now = self._clock.now()
        if self._is_stopped(hop):
            return now + _SCAN_SECONDS, ""
        if forced:
            return 0.0, ""
        not_before, reason = self.dispatcher.left_alone(hop)
        if not_before:
            self._backlog.suspect(hop)
            return not_before, reason
        return (now + _FULL_SECONDS, "") if not is_owed and self._backlog.is_full(hop) else (0.0, "")

    def _is_stopped(self, hop: NextHop) -> bool:
        """Whether the operator wants nothing to be sent there."""
        return hop.kind is not HopKind.LOCAL and (self._works.queue.hold or self._works.is_paused(hop))

    def _is_held(self, hop: NextHop) -> bool:
        return self._is_stopped(hop) or self.dispatcher.left_alone(hop)[0] > 0

    def _end(self, delivery: Delivery, outcomes: list[Outcome]) -> None:
        """A share of a message has ended."""
        # Where this fails the outcomes are in memory: they are written down with the next step.
        self._guard(delivery.claim.id, lambda: self._works.settler.learn(delivery, outcomes))
        if delivery.end_job():
            self._settle(delivery)

    def _settle(self, delivery: Delivery) -> None:
        """Settle a message and let go of it. What cannot be written down is not let go: the message would be delivered
        once more to those that have it."""
        claim = delivery.claim

        def settle() -> None:
            moment = self._works.settler.settle(delivery)
            claim.close()
            self._ended.append((delivery, moment))

        seconds = self._guard(claim.id, settle)
        if seconds:
            self._unsettled.append((self._clock.monotonic() + seconds, delivery))
        os.eventfd_write(self._ended_bell, 1)

    def _settle_again(self, moment: float) -> None:
        """What the disk refused to settle, and whose time has come."""
        for _ in range(len(self._unsettled)):
            when, delivery = self._unsettled.popleft()
            if when <= moment:
                self._settle(delivery)
            else:
                self._unsettled.append((when, delivery))

    def _guard(self, place: str, action: Callable[[], object]) -> float:
        """The one net: do something that the disk may refuse or a mistake of ours may end. Either is an event about
        `place`, an ID or what else is concerned, and stops nothing else; that another process is at it is none.

        Gives the seconds after which it is to be tried again, 0.0 when it was done. Called by all threads.
        """
        try:
            action()
        except Busy:
            return _BUSY_SECONDS
        except MailsrvError as error:
            events.storage(self._log, path=place, reason=str(error))
            return _AGAIN_SECONDS
        except Exception:
            identifier = place if is_id(place) else ""
            events.bug(self._log, where="runner", id=identifier, traceback=traceback.format_exc())
            return _BUG_SECONDS
        return 0.0
