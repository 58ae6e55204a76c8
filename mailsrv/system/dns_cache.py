"""What is known of the DNS for now, and the questions that are being asked just now, so that nobody asks them twice.

The cache is bounded by entries and by octets: what was used longest ago goes first, and an answer that is large is not
kept at all. Failures are kept for seconds, so that a dead server is not waited for once per message. Time is the
monotonic clock that is handed in. Neither class asks anything itself; both are for many threads.

Diagnostics: `Flights.share` raises DnsFailure: the one of the thread that asked, or that it took too long.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import Answer, BudgetSpent, DnsFailure

MAX_ENTRY_OCTETS = 16_384
MEAN_ENTRY_OCTETS = 1024  # on the average over a full cache

Question = tuple[str, str]  # name in lower case without the final dot, type


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer, or the text of the failure to get one; `until` by the monotonic clock."""

    result: Answer | str
    until: float
    octets: int


class Cache:
    """Entries by question, at most `entries` of them."""

    def __init__(self, entries: int, clock: Clock) -> None:
        self._most = entries
        self._clock = clock
        self._entries: OrderedDict[Question, Entry] = OrderedDict()
        self._octets = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, question: Question) -> Answer | None:
        """The answer that still holds; None when the question must be asked. Raises the DnsFailure that still holds."""
        with self._lock:
            if (entry := self._entries.get(question)) is None:
                return None
            if entry.until <= self._clock.monotonic():
                self._remove(question)
                return None
            self._entries.move_to_end(question)
        if isinstance(entry.result, str):
            raise DnsFailure(entry.result)
        return entry.result

    def keep(self, question: Question, entry: Entry) -> None:
        """Remember `entry` unless it is large or over already."""
        with self._lock:
            self._remove(question)
            if entry.octets > MAX_ENTRY_OCTETS or entry.until <= self._clock.monotonic() or self._most <= 0:
                return
            self._entries[question] = entry
            self._octets += entry.octets
            while len(self._entries) > self._most or self._octets > max(
                MAX_ENTRY_OCTETS, self._most * MEAN_ENTRY_OCTETS
            ):
                self._remove(next(iter(self._entries)))

    def _remove(self, question: Question) -> None:
        if (entry := self._entries.pop(question, None)) is not None:
            self._octets -= entry.octets


@dataclass(slots=True)
class _Flight:
    """A question being asked by one thread; neither answer nor failure when done: it gave up for reasons of its own."""

    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    failure: str = ""


class Flights:
    """Questions being asked: the first thread asks, the others wait for what it hears."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights: dict[Question, _Flight] = {}
        self._lock = threading.Lock()

    def share(self, question: Question, seconds: float, ask: Callable[[float], Answer]) -> Answer:
        """The result of `ask`, called with the seconds left, in this thread or in the one that asks already.

        A thread that gives up because its own budget is spent speaks for itself only: then the next one asks.
        """
        end = self._clock.monotonic() + seconds
        while True:
            with self._lock:
                if asks := (flight := self._flights.get(question)) is None:
                    flight = self._flights[question] = _Flight()
            left = end - self._clock.monotonic()
            if asks:
                return self._lead(question, flight, ask, left)
            if left <= 0 or not flight.done.wait(left):
                raise DnsFailure(f"{' '.join(question)}: no answer in time")
            if flight.answer is not None:
                return flight.answer
            if flight.failure:
                raise DnsFailure(flight.failure)

    def _lead(self, question: Question, flight: _Flight, ask: Callable[[float], Answer], seconds: float) -> Answer:
        try:
            flight.answer = ask(seconds)
            return flight.answer
        except DnsFailure as failure:
            if not isinstance(failure, BudgetSpent):
                flight.failure = str(failure)
            raise
        finally:
            with self._lock:
                del self._flights[question]
            flight.done.set()
