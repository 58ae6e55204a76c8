"""The DNS door: names are looked up here and nowhere else in mailsrv.

A stub resolver in front of recursive ones: it rotates among servers, bounds every lookup by a time that covers all
retries, keeps what it heard as long as that holds (mailsrv/system/dns_cache), and lets threads that want the same
share one question. It validates nothing: `authentic` is the AD bit of a server on loopback, or of any server where the
configuration says that the way to it can be trusted (RFC 6840 section 5.7, RFC 7672 section 2.1). There is no search
list; every name is absolute. It starts no threads.

Diagnostics: `DnsResolver.query` raises DnsFailure when there is no answer (silence, errors, hostile answers), naming
the question and what each server did, and BudgetSpent when the caller's budget ended it; ValueError for a type that is
not known here. `DnsResolver` raises GrammarError for a nameserver that is none.
"""

from collections.abc import Iterator
from functools import lru_cache

import dns.flags
import dns.name

from mailsrv.system.clock import Clock
from mailsrv.system.dns_cache import Cache, Entry, Flights, Question
from mailsrv.system.dns_exchange import Deadline, Response, ServerFailure, exchange
from mailsrv.system.dns_reading import MAX_TTL, Chain, read_response
from mailsrv.system.dns_servers import RESOLV_CONF, Nameserver, ServerList, parse_nameserver
from mailsrv.system.dns_values import (
    Answer,
    Budget,
    BudgetSpent,
    DnsFailure,
    MxRecord,
    Resolver,
    Status,
    TlsaRecord,
)
from mailsrv.system.dns_wire import READERS, parse_name, print_name

__all__ = [
    "Answer",
    "Budget",
    "BudgetSpent",
    "DnsFailure",
    "DnsResolver",
    "MxRecord",
    "Nameserver",
    "Resolver",
    "Status",
    "TlsaRecord",
    "parse_nameserver",
]

_LONGEST_NAME = 1100  # characters: 255 octets with each one escaped; what is longer is none, and not remembered
FAILURE_SECONDS = 5.0  # a failure is kept: one dead server is not waited for by every message
FIRST_TRY_SECONDS = 2.0  # doubled each round
ROUNDS = 5


class DnsResolver:
    """Asks `nameservers` (those of the system if empty), for `timeout` seconds a lookup at most. Threads share it."""

    def __init__(
        self,
        nameservers: list[str],
        timeout: float,
        clock: Clock,
        cache_entries: int = 10_000,
        *,
        trust_ad: bool = False,
        resolv_conf: str = RESOLV_CONF,
    ) -> None:
        """Nameservers as parse_nameserver takes them, else GrammarError. `trust_ad`: believe any server's AD bit."""
        self._servers = ServerList(nameservers, clock, resolv_conf)
        self._timeout = timeout
        self._clock = clock
        self._trust_ad = trust_ad
        self._cache = Cache(cache_entries, clock)
        self._flights = Flights(clock)

    def query(self, name: str, kind: str, budget: Budget | None = None) -> Answer:
        """See mailsrv.system.dns_values.Resolver.query."""
        if kind not in READERS:
            raise ValueError(f"{kind}: a DNS type that is not read here")
        asked, printed = _read_name(name) if len(name) <= _LONGEST_NAME else (None, ascii(name[:80]))
        question = (printed, kind)
        if budget is None:
            return self._look_up(asked, question, None, self._timeout)
        with budget.spend(f"{printed} {kind}") as seconds:
            return self._look_up(asked, question, budget, seconds)

    def _look_up(
        self, asked: dns.name.Name | None, question: Question, budget: Budget | None, seconds: float
    ) -> Answer:
        if asked is None:
            return Answer(Status.NO_NAME, (), False, self._clock.monotonic() + MAX_TTL)
        if (known := self._cache.find(question)) is not None:
            return known

        def ask(left: float) -> Answer:
            # The thread that asked before may have answered it between our look and our turn.
            if (known := self._cache.find(question)) is not None:
                return known
            return self._ask(asked, question, budget if seconds < self._timeout else None, left)

        return self._flights.share(question, min(seconds, self._timeout), ask)

    def _ask(self, asked: dns.name.Name, question: Question, budget: Budget | None, seconds: float) -> Answer:
        """Ask and remember. `budget`, if given, is what makes the time this short: its end says nothing about the
        name, and is not remembered.
        """
        deadline = Deadline(self._clock, seconds)
        try:
            answer, octets = self._follow(asked, question, deadline)
        except DnsFailure as failure:
            if budget is not None and deadline.left() <= 0:
                raise budget.out_of_time(" ".join(question)) from failure
            text = str(failure)
            self._cache.keep(question, Entry(text, self._clock.monotonic() + FAILURE_SECONDS, len(text)))
            raise
        self._cache.keep(question, Entry(answer, answer.expires, octets))
        return answer

    def _follow(self, asked: dns.name.Name, question: Question, deadline: Deadline) -> tuple[Answer, int]:
        """The answer and its size, from as many responses as its chain of aliases takes."""
        text = " ".join(question)
        kind = question[1]
        chain = Chain(asked)
        authentic = True
        octets = 0
        while True:
            response = self._ask_servers(chain.name, kind, text, deadline)
            octets += response.message.octets
            authentic = authentic and self._is_authentic(response)
            reading = read_response(response.message, chain, kind, text)
            if reading.status is not None:
                expires = self._clock.monotonic() + chain.ttl
                canonical = print_name(chain.name)
                return Answer(reading.status, reading.records, authentic, expires, canonical), octets

    def _is_authentic(self, response: Response) -> bool:
        trusted = response.server.is_local or self._trust_ad
        return trusted and bool(response.message.flags & dns.flags.AD)

    def _ask_servers(self, name: dns.name.Name, kind: str, question: str, deadline: Deadline) -> Response:
        servers = self._servers.current()
        reasons: dict[Nameserver, str] = {}
        settled: set[Nameserver] = set()  # asking them again would give the same
        for server, seconds in plan_tries(servers, deadline.left()):
            if server in settled:
                continue
            if (left := deadline.left()) <= 0 or len(settled) == len(servers):
                break
            try:
                return exchange(server, name, kind, Deadline(self._clock, min(seconds, left)))
            except ServerFailure as failure:
                reasons[server] = str(failure)
                if failure.away:
                    self._servers.shun(server)
                if not failure.silent:
                    settled.add(server)
        raise DnsFailure(f"{question}: {'; '.join(reasons.values()) or 'no time left to ask'}")


@lru_cache(maxsize=2048)
def _read_name(name: str) -> tuple[dns.name.Name | None, str]:
    """A name parsed, and as it is asked and printed; None for what cannot be one. The checks of a message ask for a
    dozen names, mostly the same ones, and reading them anew costs more than the cache's answer."""
    asked = parse_name(name)
    return asked, print_name(asked) if asked else ascii(name[:80])


def plan_tries(servers: list[Nameserver], seconds: float) -> Iterator[tuple[Nameserver, float]]:
    """Whom to ask in turn, and how long to wait: every server once within half of the time, then with more patience
    (a resolver may itself be waiting for somebody far away).
    """
    patience = min(FIRST_TRY_SECONDS, seconds / (2 * len(servers) + 1))
    for _ in range(ROUNDS):
        for server in servers:
            yield server, patience
        patience *= 2
