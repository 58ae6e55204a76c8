"""What a DNS response says of the name and type that were asked for, and of nothing else.

Only records on the way from the name that was asked for along its CNAME chain are read (RFC 1034 section 3.6.2);
whatever else a response carries, for other names or in other sections, is as if it were not there. How long it may be
kept comes from the lowest TTL on the way, for "no" from the SOA record (RFC 2308 section 5), within our bounds.

Diagnostics: `read_response` raises DnsFailure for an endless or overlong chain of aliases.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mailsrv.system.dns_values import DnsFailure, MxRecord, Status, TlsaRecord

MAX_HOPS = 10  # aliases on the way to one answer
MAX_TTL = 86_400  # a day, however long the owner says
MAX_NEGATIVE_TTL = 10_800  # RFC 2308 section 5

_CNAME = dns.rdatatype.CNAME


def parse_name(text: str) -> dns.name.Name | None:
    """An absolute name from A-labels, with or without the final dot, "." being the root; None for a text that cannot
    be a name in the DNS: empty or overlong labels, more than 255 octets, anything but ASCII.
    """
    if not text or not text.isascii():
        return None
    if text == "@":  # means something else in zone files
        return dns.name.Name((b"@", b""))
    try:
        return dns.name.from_text(text, dns.name.root)
    except dns.exception.DNSException:
        return None


def print_name(name: dns.name.Name) -> str:
    """Lower case without the final dot, the root as "."; parse_name of it is the same name."""
    return name.canonicalize().to_text(omit_final_dot=True)


# Type -> what one of its records becomes in an Answer.
READERS: dict[str, Callable[[Any], Any]] = {
    "A": lambda record: record.address,
    "AAAA": lambda record: record.address,
    "MX": lambda record: MxRecord(record.preference, print_name(record.exchange)),
    "TXT": lambda record: b"".join(record.strings),
    "PTR": lambda record: print_name(record.target),
    "CNAME": lambda record: print_name(record.target),
    "TLSA": lambda record: TlsaRecord(record.usage, record.selector, record.mtype, record.cert),
}

# dnspython imports a type's module when it first meets one: these now, before workers are forked and drop rights.
for _kind in (*READERS, "SOA", "NS", "OPT"):
    dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(_kind))  # type: ignore[no-untyped-call]


@dataclass
class Chain:
    """The names from the one that was asked for to the one that the answer is about, over as many responses as it
    takes. `ttl`: seconds that all of it holds.
    """

    name: dns.name.Name
    ttl: int = MAX_TTL
    seen: set[dns.name.Name] = field(default_factory=set)

    def go(self, link: dns.rrset.RRset, question: str) -> None:
        """One alias on; raises DnsFailure."""
        self.seen.add(self.name)
        self.ttl = min(self.ttl, link.ttl)
        target: dns.name.Name = link[0].target
        if target in self.seen:
            raise DnsFailure(f"{question}: its aliases (CNAME) go in a circle at {print_name(target)}")
        if len(self.seen) > MAX_HOPS:
            raise DnsFailure(f"{question}: more than {MAX_HOPS} aliases (CNAME) on the way")
        self.name = target


@dataclass(frozen=True, slots=True)
class Reading:
    """`status` None: the response ends at an alias, and `chain.name` is to be asked for."""

    status: Status | None
    records: tuple[Any, ...] = ()


def read_response(message: dns.message.Message, chain: Chain, kind: str, question: str) -> Reading:
    """Follow `message` from `chain.name` on as far as it goes, moving `chain` along. Raises DnsFailure."""
    wanted = dns.rdatatype.from_text(kind)
    sets = {
        (rrset.name, rrset.rdtype): rrset
        for rrset in message.answer
        if rrset.rdclass == dns.rdataclass.IN and rrset.rdtype in (wanted, _CNAME) and len(rrset)
    }
    moved = False
    while (found := sets.get((chain.name, wanted))) is None:
        if (link := sets.get((chain.name, _CNAME))) is None:
            break
        chain.go(link, question)
        moved = True
    if found is not None:
        chain.ttl = min(chain.ttl, found.ttl)
        return Reading(Status.FOUND, tuple(READERS[kind](record) for record in found))
    if message.rcode() == dns.rcode.NXDOMAIN:
        status = Status.NO_NAME
    elif moved and _find_soa(message, chain.name) is None:
        return Reading(None)
    else:
        status = Status.NO_DATA
    soa = _find_soa(message, chain.name)
    # Without its SOA record a "no" must not be kept (RFC 2308 section 5).
    chain.ttl = min(chain.ttl, MAX_NEGATIVE_TTL, soa.ttl if soa else 0, soa[0].minimum if soa else 0)
    return Reading(status)


def _find_soa(message: dns.message.Message, name: dns.name.Name) -> dns.rrset.RRset | None:
    """The SOA record of a zone that `name` can be in; another zone's says nothing about it."""
    for rrset in message.authority:
        if rrset.rdtype == dns.rdatatype.SOA and rrset.rdclass == dns.rdataclass.IN and name.is_subdomain(rrset.name):
            return rrset
    return None
