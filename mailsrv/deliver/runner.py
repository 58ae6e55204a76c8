"""The queue's runner: knows when each message is due, claims it, makes its jobs, and settles it when the last one has
ended.

One thread decides; delivery happens in the Dispatcher's threads. The queue on disk is the truth: it is read at the
start and from time to time, so that the runner is right without any wake, and a wake only makes it quick. In memory a
message that waits is its name and a time.

Wakes (system/wake, datagrams): `ID` look at it now; `!ID` try it now, whatever the back-off; `*` read the whole queue
and try every next hop; anything else: read the whole queue.

Diagnostics: raises nothing once it runs; what the disk refuses is an event, and the message is looked at again later.
"""

import heapq
import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailsrv.deliver.dispatch import Dispatcher
from mailsrv.deliver.job import Delivery, Forward, Job, Sign, make_jobs
from mailsrv.deliver.route import HopKind, NextHop, Router
from mailsrv.deliver.settle import Settler
from mailsrv.errors import Busy, GrammarError, MailsrvError, StorageError
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.config.schema import QueueConfig
from mailsrv.spool.claim import Claim, Claims
from mailsrv.spool.collect import collect
from mailsrv.spool.history import Note
from mailsrv.spool.scan import scan
from mailsrv.system import events
from mailsrv.system.wake import Doorbell

_MOST_ACTIVE = 1000  # messages that are claimed at a time: each is an open file
_SCAN_SECONDS = 300.0  # between two looks at the whole queue
_COLLECT_SECONDS = 3600.0
_AGAIN_SECONDS = 30.0  # until a message is looked at again that the disk, or another process, keeps from us
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Works:
    """What the runner is made of, once per process. `is_paused` tells whether the operator has paused a next hop;
    `reroute` gives the way that the operator wants for one message."""

    claims: Claims
    router: Router
    settler: Settler
    queue: QueueConfig
    sign: Sign | None
    forward: Forward | None
    is_paused: Callable[[NextHop], bool]
    reroute: Callable[[Sequence[Note]], Router | None]


class Runner:
    """See above. `dispatcher` is attached before `run`."""

    dispatcher: Dispatcher

    def __init__(self, works: Works, doorbell: Doorbell) -> None:
        self._works = works
        self._doorbell = doorbell
        self._clock = works.claims.clock
        self._heap: list[tuple[float, str]] = []
        self._active: set[str] = set()
        self._ended: deque[tuple[Delivery, float | None]] = deque()
        self._ended_bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._forced: set[str] = set()
        self._scan_at = 0.0
        self._collect_at = 0.0
        self._stopping = False

    def run(self) -> None:
        """Run the queue until `stop`."""
        poll = select.poll()
        for descriptor in (self._doorbell.fileno(), self._ended_bell):
            poll.register(descriptor, select.POLLIN)
        while not self._stopping:
            seconds = self.step()
            poll.poll(seconds * 1000)

    def stop(self) -> None:
        """Begin nothing more; from any thread. Jobs that nobody has begun end at once, unsettled."""
        self._stopping = True
        os.eventfd_write(self._ended_bell, 1)
        for job in self.dispatcher.stop():
            self.end_job(job, [])

    def active(self) -> int:
        """How many messages are being worked on."""
        return len(self._active)

    def end_job(self, job: Job, outcomes: list[Outcome]) -> None:
        """A job has ended: called by the threads that carry them. The last one settles the message."""
        delivery = job.delivery
        if delivery.end_job(outcomes):
            self._ended.append((delivery, self._settle(delivery)))
            os.eventfd_write(self._ended_bell, 1)

    def step(self) -> float:
        """Do everything that can be done now; gives the seconds until there is more."""
        now = self._clock.now()
        self._hear(now)
        self._take_back()
        if now >= self._scan_at:
            self._scan(now)
        if now >= self._collect_at:
            self._collect_at = now + _COLLECT_SECONDS
            self._guard("journal", lambda: collect(self._works.claims.disk, self._works.claims.layout, self._clock))
            self.dispatcher.forget_idle()
        while self._heap and self._heap[0][0] <= now and len(self._active) < _MOST_ACTIVE and not self._stopping:
            _moment, identifier = heapq.heappop(self._heap)
            if identifier not in self._active:
                self._begin(identifier)
        if len(self._active) >= _MOST_ACTIVE or not self._heap:
            return _LONGEST_WAIT
        return max(0.0, min(self._heap[0][0] - self._clock.now(), self._scan_at - now, _LONGEST_WAIT))

    def _hear(self, now: float) -> None:
        """What the doorbell brought."""
        if not self._doorbell.wait(0):
            return
        for octets in self._doorbell.take():
            text = octets.decode("ascii", "replace")
            if text == "*":
                self.dispatcher.release()
            if text[:1] == "!":
                self._forced.add(text[1:])
            identifier = text.removeprefix("!")
            if len(identifier) > 1:
                heapq.heappush(self._heap, (now, identifier))
            else:
                self._scan_at = 0.0

    def _scan(self, now: float) -> None:
        """Read when everything is due; what is being worked on comes back by itself."""
        self._scan_at = now + _SCAN_SECONDS
        claims = self._works.claims

        def read() -> None:
            waiting = scan(claims.disk, claims.layout, claims.log)
            self._heap = [(moment, identifier) for moment, identifier in waiting if identifier not in self._active]
            heapq.heapify(self._heap)

        self._guard(claims.layout.queue, read)

    def _take_back(self) -> None:
        """Messages whose last job has ended."""
        try:
            os.eventfd_read(self._ended_bell)
        except BlockingIOError:
            return
        while self._ended:
            delivery, moment = self._ended.popleft()
            self._active.discard(delivery.claim.id)
            if moment is not None:
                heapq.heappush(self._heap, (moment, delivery.claim.id))

    def _begin(self, identifier: str) -> None:
        """Claim a message and put its jobs on their way."""
        now = self._clock.now()
        forced = identifier in self._forced
        self._forced.discard(identifier)
        try:
            claim = self._works.claims.try_claim(identifier)
        except (Busy, StorageError) as error:
            if isinstance(error, StorageError):
                events.storage(self._works.claims.log, path=identifier, reason=str(error))
            heapq.heappush(self._heap, (now + _AGAIN_SECONDS, identifier))
            return
        if claim is None:
            return
        delivery = Delivery(claim, self._works.sign, now, forced)
        if claim.due > now + 1.0 and not forced:
            # Its time did not survive, or an operator has moved it.
            self._leave(claim, claim.due)
            return
        self._active.add(identifier)
        jobs, ended, until = self._plan(delivery)
        if not jobs and not ended and claim.waiting:
            self._active.discard(identifier)
            self._leave(claim, until)
            return
        delivery.expect(len(jobs) + 1)
        for job in jobs:
            self.dispatcher.put(job)
        # The last share is ours: so that a message without jobs is settled too, and none before all its jobs are known.
        if delivery.end_job(ended):
            self._ended.append((delivery, self._settle(delivery)))
            os.eventfd_write(self._ended_bell, 1)

    def _leave(self, claim: Claim, moment: float) -> None:
        """Let a message wait without a word on the disk."""
        heapq.heappush(self._heap, (max(moment, self._clock.now() + 1.0), claim.id))
        claim.close()

    def _plan(self, delivery: Delivery) -> tuple[list[Job], list[Outcome], float]:
        """The jobs of a message; outcomes of recipients whose next hop is left alone, where these must be written down;
        and when to look again if there is nothing to do."""
        works, claim = self._works, delivery.claim
        now = self._clock.now()
        router = works.reroute(claim.notes) or works.router
        groups = router.group(delivery.envelope, claim.waiting)
        ended: list[Outcome] = []
        until = now + _SCAN_SECONDS
        for hop in list(groups):
            not_before, reason = self._held_back(hop, delivery.forced)
            if not not_before:
                continue
            indexes = groups.pop(hop)
            until = min(until, not_before)
            # A recipient that was never tried has no word for a report yet; and one that is too old has waited enough.
            if reason and (self._is_old(delivery) or any(index not in claim.outcomes for index in indexes)):
                ended += [Outcome(index, Status.DELAYED, "4.4.1", f"451 4.4.1 {reason}", at=now) for index in indexes]
        return make_jobs(delivery, groups, works.forward), ended, until

    def _held_back(self, hop: NextHop, forced: bool) -> tuple[float, str]:
        """Before when a next hop is not to be tried now, and the reason if it is one for a report."""
        now = self._clock.now()
        if hop.kind is HopKind.LOCAL:
            return 0.0, ""
        if self._works.queue.hold or self._works.is_paused(hop):
            return now + _SCAN_SECONDS, ""
        return (0.0, "") if forced else self.dispatcher.left_alone(hop)

    def _is_old(self, delivery: Delivery) -> bool:
        queue = self._works.queue
        age = self._clock.now() - delivery.envelope.received
        return age >= queue.give_up_seconds or 0 < queue.delay_report_seconds <= age

    def _settle(self, delivery: Delivery) -> float | None:
        """Settle a message and let go of it; gives when it is due again."""
        claim = delivery.claim
        try:
            return self._works.settler.settle(delivery)
        except (StorageError, GrammarError) as error:
            events.storage(self._works.claims.log, path=claim.id, reason=str(error))
            return self._clock.now() + _AGAIN_SECONDS
        finally:
            claim.close()

    def _guard(self, path: str, action: Callable[[], object]) -> None:
        """Do something that the disk may refuse."""
        try:
            action()
        except MailsrvError as error:
            events.storage(self._works.claims.log, path=path, reason=str(error))
