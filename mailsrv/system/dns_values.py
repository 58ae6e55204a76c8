"""What a DNS lookup gives: answers, their records, the failure that is no answer, and the budget that bounds lookups.

Three words for what the DNS says (found, no data of this type, no such name) and one exception for what it does not
say: whoever asks decides by the former and tries again later after the latter (RFC 5321 section 5.1, RFC 7208 section
2.6). Nothing here asks anybody.

Diagnostics: `Budget.spend` raises BudgetSpent, a DnsFailure, when nothing is left.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from mailsrv.errors import MailsrvError
from mailsrv.system.clock import Clock


class Status(Enum):
    """What the DNS says of a name and a type."""

    FOUND = "found"
    NO_DATA = "no data of this type"
    NO_NAME = "no such name"


@dataclass(frozen=True, slots=True)
class MxRecord:
    """RFC 1035 section 3.3.9; `host` "." means that the domain takes no mail (RFC 7505)."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """RFC 6698 section 2.1; `data` as octets."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS says, whatever it is: every status is an answer.

    `records` is empty unless FOUND, else by type: A, AAAA: the address as text; MX: MxRecord; TXT: the strings of one
    record joined, as bytes; PTR, CNAME: a name; TLSA: TlsaRecord. Names are lower case without the final dot, odd
    octets escaped as in zone files, so that they can be asked for again.

    `authentic`: a resolver that we may believe has validated all of it (DNSSEC). `expires` is a reading of the
    monotonic clock. `canonical` is the name at the end of the CNAME chain.
    """

    status: Status
    records: tuple[Any, ...]
    authentic: bool
    expires: float
    canonical: str = ""


class DnsFailure(MailsrvError):
    """No answer for now: silence, a server's error, a hostile answer. The text names the name, the type and the
    cause.
    """


class BudgetSpent(DnsFailure):
    """The lookups or the time that this piece of work may use are used up; nothing is said about the DNS."""


class Budget:
    """Bounds the lookups of one piece of work (one message's checks, say): how many, and how long in all.

    Only time inside lookups counts. A lookup counts whether the cache knows its answer or not: otherwise the same
    message would end differently on two days. Threads may share a budget.
    """

    def __init__(self, lookups: int, seconds: float, clock: Clock) -> None:
        self._lookups = lookups
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self.lookups_left = lookups
        self.seconds_left = seconds

    @contextmanager
    def spend(self, question: str) -> Iterator[float]:
        """Take one lookup for `question` (text, for the failure); gives the seconds it may last, and takes those that
        it did. Raises BudgetSpent.
        """
        with self._lock:
            if self.lookups_left <= 0:
                raise BudgetSpent(f"{question}: the budget of {self._lookups} DNS lookups is used up")
            if self.seconds_left <= 0:
                raise self.out_of_time(question)
            self.lookups_left -= 1
            seconds = self.seconds_left
        began = self._clock.monotonic()
        try:
            yield seconds
        finally:
            with self._lock:
                self.seconds_left -= self._clock.monotonic() - began

    def out_of_time(self, question: str) -> BudgetSpent:
        """The failure of a lookup that this budget gave too little time."""
        return BudgetSpent(f"{question}: the budget of {self._seconds:g} seconds of DNS lookups is used up")


class Resolver(Protocol):
    """What asks the DNS; the real one is mailsrv.system.dns.DnsResolver, the fake one tests/fakes/dns.py."""

    def query(self, name: str, kind: str, budget: Budget | None = None) -> Answer:
        """The records of type `kind` (A AAAA MX TXT PTR TLSA CNAME) of an absolute name in A-labels.

        Aliases are followed, but for CNAME itself. A name that cannot be in the DNS gives NO_NAME. Raises DnsFailure.
        """
        ...
