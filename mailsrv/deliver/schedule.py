"""When a message is tried again, when it is given up, and how long a next hop that fails is left alone.

A message waits by its own age (RFC 5321 section 4.5.4.1). Beside that a next hop of which no host was of use is left
alone for a while for all messages together, and then asked with one connection, so that a dead host is not tried once
per message. Refusals of single recipients are no failure of a next hop. All times are handed in; nothing waits here.

Diagnostics: raises nothing.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from mailsrv.config.schema import QueueConfig

MAX_BACKOFF_SECONDS = 1800  # a host that has come back gets its mail within half an hour
STALE_SECONDS = 86400  # what is forgotten then is only how often it had failed

_PARTS = 1_000_000  # fineness of chance


def next_attempt(attempts: int, received: float, now: float, queue: QueueConfig, below: Callable[[int], int]) -> float:
    """When a message is tried again after `attempts` of them (1 or more): seconds since the epoch.

    `below(n)` gives a random number from 0 to n - 1. The last attempt is made when the message is to be given up, so
    that it is never given up hours after the last one.
    """
    moment = now + _wait(queue.retry_seconds, attempts, queue.jitter_percent, below)
    end = received + queue.give_up_seconds
    return min(moment, end) if now < end else moment


def is_expired(received: float, now: float, queue: QueueConfig) -> bool:
    """Whether what still waits after an attempt is given up."""
    return now - received >= queue.give_up_seconds


def is_delay_report_due(received: float, now: float, queue: QueueConfig) -> bool:
    """Whether a message is so old that its sender is told that it waits. Whether that has been done, and whether the
    sender wants it, is decided in mailsrv.deliver.bounce."""
    return 0 < queue.delay_report_seconds <= now - received


def _wait(waits: Sequence[int], failures: int, jitter_percent: int, below: Callable[[int], int]) -> float:
    """The wait after so many failures, more or less by chance."""
    seconds = waits[min(max(failures, 1), len(waits)) - 1]
    share = jitter_percent / 100 * (2 * below(_PARTS + 1) / _PARTS - 1)
    return seconds * (1 + share)


class Backoff:
    """What is known of one next hop: how often in a row no host of it was of use, and before when it is left alone.

    `failures` is that count, 0 for one that works; `since` and `last` are the first and the last of them, `not_before`
    the end of the wait (seconds since the epoch, 0.0 without failures); `reason` is the last one's, in one line.
    `is_probing` tells that one connection is to find out whether the next hop works again. Not for several threads at
    once: whoever holds it has a lock.
    """

    __slots__ = ("_wait", "failures", "last", "not_before", "reason", "since")

    failures: int
    since: float
    last: float
    not_before: float
    reason: str
    _wait: float

    def __init__(self) -> None:
        self.succeeded()

    def failed(self, reason: str, now: float, queue: QueueConfig, below: Callable[[int], int]) -> float:
        """No host was of use; gives `not_before`. Failures of attempts that had begun before the wait do not lengthen
        it."""
        if self.failures and self.seconds_left(now) > 0:
            return self.not_before
        self.since = self.since if self.failures else now
        self.failures += 1
        waits = [min(seconds, MAX_BACKOFF_SECONDS) for seconds in queue.retry_seconds]
        self._wait = _wait(waits, self.failures, queue.jitter_percent, below)
        self.last, self.not_before, self.reason = now, now + self._wait, reason
        return self.not_before

    def succeeded(self) -> None:
        """A host has answered transactions, whatever it said to them: nothing is wrong with the next hop."""
        self.failures = 0
        self.since = self.last = self.not_before = self._wait = 0.0
        self.reason = ""

    def release(self, now: float) -> None:
        """Let it be tried at once: the operator says so. What has failed is not forgotten."""
        self.not_before = min(self.not_before, now)

    def seconds_left(self, now: float) -> float:
        """How long it is still left alone; 0.0 when it may be tried. Never longer than the wait was, even if the clock
        has been put back."""
        return max(0.0, min(self.not_before - now, self._wait))

    def is_stale(self, now: float) -> bool:
        """Whether nothing worth remembering is known: no failure, or none for a day."""
        return not self.failures or now - self.last > STALE_SECONDS

    @property
    def is_probing(self) -> bool:
        """Whether the last that is known is a failure."""
        return self.failures > 0

    def explain(self, now: float) -> str:
        """The answer of `mailq --why`, "" when nothing is wrong."""
        if not self.failures:
            return ""
        times, since = "1 attempt has failed", ""
        if self.failures > 1:
            times, since = f"{self.failures} attempts in a row have failed", f" since {_show(self.since)}"
        left = self.seconds_left(now)
        until = (
            f"is not tried before {_show(now + left)}" if left else "will be tried with the next message that is due"
        )
        return f"{times}{since}, the last at {_show(self.last)} ({self.reason}); it {until}"


def _show(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}Z"
