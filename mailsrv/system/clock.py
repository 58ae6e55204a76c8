"""The clock door: the only place that asks what time it is.

Everything that needs time is handed a Clock; tests hand in a fake one (tests/fakes/clock.py).

Diagnostics: raises nothing.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, both in seconds: `now` since the epoch (may jump), `monotonic` for intervals (never goes back)."""

    def now(self) -> float:
        """Seconds since 1970-01-01 00:00 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; only differences mean something."""
        ...


class SystemClock:
    """The real clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
