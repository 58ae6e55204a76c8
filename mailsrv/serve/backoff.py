"""How long to wait before a worker that died is replaced: longer after each death, little again after a calm time.

Diagnostics: raises nothing.
"""

from mailsrv.system.clock import Clock

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
CALM_SECONDS = 60.0


class Backoff:
    """Counts the deaths of one worker and its successors; asks only the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deaths = 0
        self._last = clock.monotonic()

    def died(self, before_ready: bool) -> float:
        """A worker died: seconds to wait before its replacement. One that died before it was ready counts double."""
        now = self._clock.monotonic()
        if now - self._last > CALM_SECONDS + self._seconds():
            self._deaths = 0
        self._last = now
        self._deaths += 2 if before_ready else 1
        return self._seconds()

    def _seconds(self) -> float:
        return min(FIRST_SECONDS * 2.0 ** min(self._deaths - 1, 20), LONGEST_SECONDS)
