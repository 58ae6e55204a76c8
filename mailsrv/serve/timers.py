"""What is to be done later, for a loop that waits on descriptors.

Diagnostics: raises what the functions raise that it calls.
"""

import heapq
import itertools
from collections.abc import Callable

from mailsrv.system.clock import Clock


class Timers:
    """Functions with their times; those of one time run in the order in which they were given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` once, `seconds` from now or a little later."""
        heapq.heappush(self._heap, (self._clock.monotonic() + seconds, next(self._order), function))

    def run(self) -> None:
        """Call what is due."""
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()

    def wait_seconds(self) -> float | None:
        """Seconds until the next one; None when there is none."""
        return max(0.0, self._heap[0][0] - self._clock.monotonic()) if self._heap else None
