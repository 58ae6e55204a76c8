"""Where DMARC reports go: the addresses in rua= and ruf=, and whether a foreign domain takes reports about another.

Only mailto: URIs are followed (RFC 6068; RFC 9989 section 4.7 wants this scheme and lets others be ignored), at most
MOST_DESTINATIONS of a list, so that a record cannot make one report many messages. A destination outside the
Organizational Domain of the policy record must say itself that it wants these reports, by a TXT record that begins with
v=DMARC1 at `policy domain._report._dmarc.destination domain` (RFC 9990, the external destinations; RFC 9989 section
11.6 and appendix B.2.3): else any record could aim reports at anybody. Such a record may name other addresses, of the
same domain only.

Lookups: for each destination domain at most 8, beside at most 8 for the policy domain, and 1 for the permission; none
for addresses of the policy domain itself.

Diagnostics: raises nothing; a DnsFailure means that it is not known now whether a destination takes reports.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from mailsrv.errors import GrammarError
from mailsrv.system.dns_values import DnsFailure
from mailsrv.mail.address import Address, domain_key, parse_address
from mailsrv.authn.dmarc_record import DmarcRecord, parse_record
from mailsrv.authn.findings import Ask
from mailsrv.authn.organization import Tree

MOST_DESTINATIONS = 5


class Tag(Enum):
    """Which kind of report, by the tag of its destinations."""

    AGGREGATE = "rua"
    FAILURE = "ruf"


@dataclass(frozen=True, slots=True)
class Destinations:
    """Who gets a report. `refused`: addresses that did not ask for it; `unknown`: those to ask about again later."""

    addresses: tuple[Address, ...] = ()
    refused: tuple[Address, ...] = ()
    unknown: tuple[Address, ...] = ()


def parse_destinations(uris: Iterable[str]) -> tuple[Address, ...]:
    """The different addresses of mailto: URIs, the first MOST_DESTINATIONS; what is none is passed over."""
    found: dict[str, Address] = {}
    for uri in uris:
        address = _parse_mailto(uri)
        if address is not None:
            found.setdefault(address.key, address)
        if len(found) == MOST_DESTINATIONS:
            break
    return tuple(found.values())


def is_authorised(policy_domain: str, report_domain: str, ask: Ask) -> bool:
    """Whether reports about `policy_domain`, where the policy record stands, may go to `report_domain`: both of one
    Organizational Domain, or permitted by the latter. False as well when the DNS does not tell."""
    try:
        return _find_permission(policy_domain, report_domain, Tree(ask)) is not None
    except DnsFailure:
        return False


def find_destinations(policy_domain: str, uris: Sequence[str], tag: Tag, ask: Ask) -> Destinations:
    """Who gets reports of this kind about a policy domain whose record has these URIs."""
    addresses: dict[str, Address] = {}
    refused = []
    unknown = []
    tree = Tree(ask, MOST_DESTINATIONS)
    for address in parse_destinations(uris):
        domain = domain_key(address.domain)
        try:
            permissions = _find_permission(policy_domain, domain, tree)
        except DnsFailure:
            unknown.append(address)
            continue
        if permissions is None:
            refused.append(address)
            continue
        for one in _override(permissions, domain, tag) or (address,):
            addresses.setdefault(one.key, one)
    return Destinations(tuple(addresses.values())[:MOST_DESTINATIONS], tuple(refused), tuple(unknown))


def _parse_mailto(uri: str) -> Address | None:
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "mailto":
        return None
    try:
        address = parse_address(unquote(rest.partition("?")[0].partition("#")[0], errors="strict"))
    except (GrammarError, UnicodeDecodeError):
        return None
    return None if address.is_literal else address


def _find_permission(policy_domain: str, report_domain: str, tree: Tree) -> list[DmarcRecord] | None:
    """The records by which a foreign domain takes reports, [] where none is needed, None when it takes none."""
    if tree.share(policy_domain, report_domain):
        return []
    answer = tree.answer(f"{policy_domain}._report._dmarc.{report_domain}", "TXT")
    return [record for octets in answer.records if (record := _try_record(octets)) is not None] or None


def _try_record(octets: bytes) -> DmarcRecord | None:
    try:
        return parse_record(octets)
    except GrammarError:
        return None


def _override(permissions: Iterable[DmarcRecord], domain: str, tag: Tag) -> tuple[Address, ...]:
    """The addresses that a permission puts in place of those asked for; of another domain none is taken."""
    uris = [uri for record in permissions for uri in (record.rua if tag is Tag.AGGREGATE else record.ruf)]
    return tuple(address for address in parse_destinations(uris) if domain_key(address.domain) == domain)
