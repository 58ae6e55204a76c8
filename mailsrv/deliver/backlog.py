"""What waits and for what: messages for their time, and messages for a next hop that takes no more now.

A message is here its name alone. One next hop may have no more jobs under way than half of what all others leave free,
so that hosts that do not answer never take all the room; one that has failed gets one job, which finds out whether it
works again. Messages for such a next hop are parked, without a word on the disk, until there is room.

Diagnostics: raises nothing.
"""

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable
from itertools import islice

from mailsrv.deliver.route import NextHop

_LEAST = 10  # jobs of one next hop for which there is always room


class Backlog:
    """Used by the runner's thread, but for `end`. `room` is how many jobs are under way at most, more or less."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._heap: list[tuple[float, str]] = []
        self._parked: dict[NextHop, dict[str, None]] = {}  # in the order of their coming
        self._jobs: Counter[NextHop] = Counter()
        self._suspects: set[NextHop] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._heap) + sum(map(len, self._parked.values()))

    def add(self, moment: float, identifier: str) -> None:
        """Let a message wait until then, in seconds since the epoch."""
        heapq.heappush(self._heap, (moment, identifier))

    def replace(self, waiting: Iterable[tuple[float, str]], busy: Container[str]) -> None:
        """What the disk says, but for messages that are being worked on or parked."""
        parked = {identifier for queue in self._parked.values() for identifier in queue}
        # Once each: a message that is parked again and again must not come to have a time for each of them.
        kept = {identifier: moment for moment, identifier in sorted(self._heap, reverse=True) if identifier in parked}
        self._heap = [one for one in waiting if one[1] not in busy and one[1] not in parked]
        self._heap += [(moment, identifier) for identifier, moment in kept.items()]
        heapq.heapify(self._heap)

    def pop_due(self, now: float) -> str | None:
        """The message that is due for the longest time, None when none is."""
        return heapq.heappop(self._heap)[1] if self._heap and self._heap[0][0] <= now else None

    @property
    def next_moment(self) -> float | None:
        """When the next message is due, in seconds since the epoch; None when none waits for its time."""
        return self._heap[0][0] if self._heap else None

    def begin(self, hop: NextHop) -> None:
        """A job for a next hop is on its way."""
        with self._lock:
            self._jobs[hop] += 1

    def end(self, hop: NextHop, has_failed: bool) -> bool:
        """A job has ended; `has_failed`: the next hop is left alone now. Gives whether others have waited for that."""
        with self._lock:
            self._jobs[hop] -= 1
            if not self._jobs[hop]:
                del self._jobs[hop]
            if has_failed:
                self._suspects.add(hop)
            else:
                self._suspects.discard(hop)
            return hop in self._parked and self._jobs[hop] <= self._limit(hop) // 2

    def suspect(self, hop: NextHop) -> None:
        """A next hop is left alone: what comes after that is one job."""
        with self._lock:
            self._suspects.add(hop)

    def is_full(self, hop: NextHop) -> bool:
        """Whether a next hop has as many jobs as it may have now."""
        with self._lock:
            return self._jobs[hop] >= self._limit(hop)

    def park(self, hop: NextHop, identifier: str) -> None:
        """Let a message wait for room at its only next hop."""
        self._parked.setdefault(hop, {})[identifier] = None

    def unpark(self, is_held: Callable[[NextHop], bool], now: float) -> None:
        """Make parked messages due for which there is room; `is_held` tells whether a next hop is still left alone."""
        for hop in list(self._parked):
            with self._lock:
                count = self._limit(hop) - self._jobs[hop]
            if count <= 0 or is_held(hop):
                continue
            queue = self._parked[hop]
            for identifier in list(islice(queue, count)):
                del queue[identifier]
                self.add(now, identifier)
            if not queue:
                del self._parked[hop]

    def forget(self, is_held: Callable[[NextHop], bool]) -> None:
        """Drop what is known of next hops that nothing waits for, so that it stays bounded."""
        with self._lock:
            self._suspects = {
                hop for hop in self._suspects if self._jobs[hop] or hop in self._parked or is_held(hop)
            }

    def _limit(self, hop: NextHop) -> int:
        if hop in self._suspects:
            return 1
        others = self._jobs.total() - self._jobs[hop]
        # Half of what is left free with its own jobs counted: a third, where nobody else wants any.
        return max(_LEAST, (self._room - others) // 3)
