"""Who delivers what when: a queue of jobs per next hop, and a bounded number of threads that each serve one next hop
at a time.

A thread that serves a next hop takes its jobs one after another over one connection. A next hop that has not yet taken
anything gets one thread, others up to their limit; next hops that are not proven may use only a part of all threads,
so that silent hosts never hold up the others. A next hop that has just failed is not tried again before its back-off
ends; one that only does not want as many connections as it has gets fewer.

Diagnostics: raises nothing; a thread that ends by a bug is reported by the carrier.
"""

import _thread
import threading
from collections import deque
from collections.abc import Callable

from mailsrv.config.schema import QueueConfig
from mailsrv.deliver.job import Job
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.deliver.schedule import Backoff
from mailsrv.system.clock import Clock

_UNPROVEN_SHARE = 0.8
_GOOD_FOR_MORE = 50  # jobs after which a next hop that did not want more connections is tried with one more


class Destination:
    """One next hop: its waiting jobs, how many threads serve it, what is known of it. Guarded by the Dispatcher."""

    def __init__(self, hop: NextHop) -> None:
        self.hop = hop
        self.jobs: deque[Job] = deque()
        self.threads = 0
        self.leaving: set[int] = set()  # threads (identities) that have been told to end
        self.unproven = 0  # threads that began before the next hop was proven
        self.idle = 0
        self.most = 0  # threads at a time, when the host has shown that it wants no more; 0: not known
        self.good = 0  # jobs that went well since that was last found out
        # Delivery here waits for nobody else's host.
        self.proven = hop.kind is HopKind.LOCAL
        self.backoff = Backoff()
        self.lies: dict[str, frozenset[str]] = {}  # address -> extensions that the host there offers and does not know
        self.away: dict[str, float] = {}  # address -> until when the host there is asked last (monotonic seconds)
        self.arrived: threading.Condition | None = None


class Dispatcher:
    """All next hops. `carry` serves one of them until it has no more jobs; it is called in threads of its own."""

    def __init__(
        self, queue: QueueConfig, clock: Clock, below: Callable[[int], int],
        carry: Callable[["Dispatcher", Destination], None],
    ) -> None:  # fmt: skip
        self._queue = queue
        self._clock = clock
        self._below = below
        self._most = queue.connections
        self._carry = carry
        self._lock = threading.Lock()
        self._destinations: dict[NextHop, Destination] = {}
        self._starved: deque[Destination] = deque()
        self._threads = 0
        self._unproven = 0  # of the threads: those that serve next hops which are not proven
        self._stopping = False

    def put(self, job: Job) -> None:
        """Queue a job."""
        with self._lock:
            destination = self._find(job.hop)
            destination.jobs.append(job)
            if destination.idle and destination.arrived is not None:
                destination.arrived.notify()
            self._staff(destination)

    def _find(self, hop: NextHop) -> Destination:
        """What is known of a next hop; made when it is new."""
        destination = self._destinations.get(hop)
        if destination is None:
            destination = self._destinations[hop] = Destination(hop)
            destination.arrived = threading.Condition(self._lock)
        return destination

    def destinations(self) -> list[Destination]:
        """All next hops that are known."""
        with self._lock:
            return list(self._destinations.values())

    def take(self, destination: Destination, idle_seconds: float) -> Job | None:
        """The next job for the thread that serves a next hop; None when none comes within `idle_seconds`."""
        with self._lock:
            if not destination.jobs and idle_seconds and destination.arrived is not None and not self._stopping:
                destination.idle += 1
                destination.arrived.wait(idle_seconds)
                destination.idle -= 1
            return destination.jobs.popleft() if destination.jobs else None

    def worked(self, destination: Destination) -> None:
        """A host of a next hop has taken part in a transaction, whatever it said: nothing is wrong with the way."""
        with self._lock:
            destination.backoff.succeeded()
            if destination.most:
                destination.good += 1
                if destination.good >= _GOOD_FOR_MORE:
                    destination.most, destination.good = destination.most + 1, 0
            if not destination.proven:
                destination.proven = True
                self._unproven -= destination.unproven
                destination.unproven = 0
                self._feed()
            self._staff(destination)

    def failed(self, destination: Destination, job: Job, reason: str) -> list[Job] | None:
        """No host of a next hop was of use for a job: it is left alone for a while. Gives the other jobs that waited.

        None when it did work until now: then this may only be one connection too many, or a host that was restarted.
        The job has been put back for the next thread or for those that get on well, and this one has to end.
        """
        with self._lock:
            if destination.proven and not self._stopping:
                others = destination.threads - len(destination.leaving) - 1
                destination.most, destination.good = others, 0
                destination.proven = others > 0
                destination.leaving.add(threading.get_ident())
                destination.jobs.appendleft(job)
                return None
            destination.backoff.failed(reason, self._clock.now(), self._queue, self._below)
            jobs = list(destination.jobs)
            destination.jobs.clear()
            return jobs

    def left_alone(self, hop: NextHop) -> tuple[float, str]:
        """Before when a next hop is not tried again (seconds since the epoch), and why; 0.0 when it may be tried."""
        with self._lock:
            destination = self._destinations.get(hop)
            now = self._clock.now()
            left = destination.backoff.seconds_left(now) if destination else 0.0
            return (now + left, destination.backoff.reason) if destination and left else (0.0, "")

    def release(self) -> None:
        """Let every next hop be tried at once."""
        with self._lock:
            for destination in self._destinations.values():
                destination.backoff.release(self._clock.now())

    def stop(self) -> list[Job]:
        """Start nothing more; gives the jobs that nobody has begun. Running ones end by themselves."""
        with self._lock:
            self._stopping = True
            left = [job for destination in self._destinations.values() for job in destination.jobs]
            for destination in self._destinations.values():
                destination.jobs.clear()
                if destination.arrived is not None:
                    destination.arrived.notify_all()
            return left

    def threads(self) -> int:
        """How many threads are at work."""
        with self._lock:
            return self._threads

    def forget_idle(self) -> None:
        """Drop next hops that nothing needs any more, so that what is known stays bounded."""
        now = self._clock.now()
        with self._lock:
            for hop, one in list(self._destinations.items()):
                if not one.threads and not one.jobs and one.backoff.is_stale(now):
                    del self._destinations[hop]

    def _staff(self, destination: Destination) -> None:
        """Give a next hop another thread if it needs one and may have it."""
        most = self._queue.connections_per_hop if destination.proven else 1
        if destination.threads >= min(most, destination.most or most) or len(destination.jobs) <= destination.idle:
            return
        if self._stopping:
            return
        full = self._threads >= self._most
        if full or (not destination.proven and self._unproven >= max(1, int(self._most * _UNPROVEN_SHARE))):
            if destination not in self._starved:
                self._starved.append(destination)
            return
        destination.threads += 1
        self._threads += 1
        destination.unproven += not destination.proven
        self._unproven += not destination.proven
        try:
            _thread.start_new_thread(self._serve, (destination,))
        except RuntimeError:
            self._leave(destination)
            self._starved.append(destination)

    def _feed(self) -> None:
        """Give threads to those that waited for one."""
        for _ in range(len(self._starved)):
            self._staff(self._starved.popleft())

    def _serve(self, destination: Destination) -> None:
        try:
            self._carry(self, destination)
        finally:
            with self._lock:
                destination.leaving.discard(threading.get_ident())
                self._leave(destination)
                # Others wait for a thread; and here a job may have come between the last look and now.
                self._feed()
                self._staff(destination)

    def _leave(self, destination: Destination) -> None:
        """A thread ends, or did not begin."""
        destination.threads -= 1
        self._threads -= 1
        if destination.unproven:
            destination.unproven -= 1
            self._unproven -= 1
        if not destination.threads:
            destination.most = 0
