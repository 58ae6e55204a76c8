"""The client's verified host name: its reverse name, if that name's addresses agree (RFC 8601 section 2.7.3).

A client chooses how many names its address has: of more than ten none is believed to be its name, and no more than
five are looked up.

Diagnostics: raises nothing; what cannot be found out is a temperror.
"""

import ipaddress
import re

from mailsrv.system.dns_values import DnsFailure
from mailsrv.authn.findings import Ask, IprevFinding, Result

MAX_NAMES = 10
MAX_LOOKUPS = 5  # names whose addresses are asked for

# What goes into fields and logs: host names, and those with underscores that are in use.
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")


def check_iprev(client: str, ask: Ask) -> IprevFinding:
    """`client` is an IP address as text; an IPv4 address in IPv6 form counts as IPv4."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return IprevFinding(Result.PERMERROR, reason="the client has no IP address")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    try:
        names = ask(address.reverse_pointer, "PTR").records
    except DnsFailure as failure:
        return IprevFinding(Result.TEMPERROR, reason=str(failure))
    if not names:
        return IprevFinding(Result.PERMERROR, reason=f"{address} has no name in the DNS")
    if len(names) > MAX_NAMES:
        return IprevFinding(Result.FAIL, reason=f"{address} has more than {MAX_NAMES} names")
    return _confirm([name for name in names if _HOST.fullmatch(name)], address, ask)


def _confirm(names: list[str], address: ipaddress.IPv4Address | ipaddress.IPv6Address, ask: Ask) -> IprevFinding:
    failures = []
    for name in names[:MAX_LOOKUPS]:
        try:
            found = ask(name, "A" if address.version == 4 else "AAAA").records
        except DnsFailure as failure:
            failures.append(str(failure))
            continue
        if any(ipaddress.ip_address(record) == address for record in found):
            return IprevFinding(Result.PASS, name)
    if failures:
        return IprevFinding(Result.TEMPERROR, reason=failures[0])
    said = f"{names[0]} does" if len(names) == 1 else "its names do" if names else "what it is called could"
    return IprevFinding(Result.FAIL, reason=f"{said} not lead back to {address}")
