"""What a DNS response says of the name and type that were asked for, and of nothing else.

Only records on the way from the name that was asked for along its CNAME chain are read (RFC 1034 section 3.6.2);
whatever else a response carries, for other names or in other sections, is as if it were not there. How long it may be
kept comes from the lowest TTL on the way, for "no" from the SOA record (RFC 2308 section 5), within our bounds.

Diagnostics: `read_response` raises DnsFailure for an endless or overlong chain of aliases.
"""

from dataclasses import dataclass, field
from typing import Any

import dns.name
import dns.rcode

from mailsrv.system.dns_values import DnsFailure, Status
from mailsrv.system.dns_wire import Message, Record, parse_name

MAX_HOPS = 10  # aliases on the way to one answer
MAX_TTL = 86_400  # a day, however long the owner says
MAX_NEGATIVE_TTL = 10_800  # RFC 2308 section 5


@dataclass
class Chain:
    """The names from the one that was asked for to the one that the answer is about, over as many responses as it
    takes. `ttl`: seconds that all of it holds.
    """

    name: dns.name.Name
    ttl: int = MAX_TTL
    seen: set[dns.name.Name] = field(default_factory=set)

    def go(self, link: Record, question: str) -> None:
        """One alias on; raises DnsFailure."""
        self.seen.add(self.name)
        self.ttl = min(self.ttl, link.ttl)
        target = parse_name(link.value)
        if target is None or target in self.seen:
            raise DnsFailure(f"{question}: its aliases (CNAME) go in a circle at {link.value}")
        if len(self.seen) > MAX_HOPS:
            raise DnsFailure(f"{question}: more than {MAX_HOPS} aliases (CNAME) on the way")
        self.name = target


@dataclass(frozen=True, slots=True)
class Reading:
    """`status` None: the response ends at an alias, and `chain.name` is to be asked for."""

    status: Status | None
    records: tuple[Any, ...] = ()


def read_response(message: Message, chain: Chain, kind: str, question: str) -> Reading:
    """Follow `message` from `chain.name` on as far as it goes, moving `chain` along. Raises DnsFailure."""
    sets: dict[tuple[dns.name.Name, str], list[Record]] = {}
    for record in message.answer:
        sets.setdefault((record.name, record.kind), []).append(record)
    moved = False
    while (found := sets.get((chain.name, kind))) is None:
        if (links := sets.get((chain.name, "CNAME"))) is None:
            break
        if any(link.value != links[0].value for link in links):
            raise DnsFailure(f"{question}: more than one alias (CNAME) for one name")
        chain.go(links[0], question)
        moved = True
    if found is not None:
        chain.ttl = min(chain.ttl, *(record.ttl for record in found))
        return Reading(Status.FOUND, tuple(dict.fromkeys(record.value for record in found)))
    soa = _find_soa(message, chain.name)
    if message.rcode == dns.rcode.NXDOMAIN:
        status = Status.NO_NAME
    elif moved and soa is None:
        return Reading(None)
    else:
        status = Status.NO_DATA
    # Without its SOA record a "no" must not be kept (RFC 2308 section 5).
    chain.ttl = min(chain.ttl, MAX_NEGATIVE_TTL, soa.ttl if soa else 0, soa.value if soa else 0)
    return Reading(status)


def _find_soa(message: Message, name: dns.name.Name) -> Record | None:
    """The SOA record of a zone that `name` can be in; another zone's says nothing about it."""
    for record in message.authority:
        if record.kind == "SOA" and name.is_subdomain(record.name):
            return record
    return None
