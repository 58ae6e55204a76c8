"""DNS lists of IP addresses, bad and good ones (RFC 5782).

A client is listed where its reversed octets or nibbles (sections 2.1 and 2.4) have an A record whose answer counts
(config/zones.py). A list that is out of service lists nobody: neither one that fails, nor one whose name leads
elsewhere, nor one that lists everything, of which 127.0.0.1, which no list may have (section 5), is the proof.

Diagnostics: raises nothing; what each list said is in the notes.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from mailsrv.system.dns_values import DnsFailure
from mailsrv.authn.findings import Ask
from mailsrv.config.zones import Zone, parse_zone

TEXT_CHARACTERS = 200  # of a list's own words

_NEVER_LISTED = {4: ipaddress.ip_address("127.0.0.1"), 6: ipaddress.ip_address("::ffff:127.0.0.1")}

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Listing:
    """A client stands in a list: its zone, the answers, and the list's own words in printable ASCII, "" without."""

    zone: str
    answers: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lists say of a client, asked once in a session: the list of good addresses that has it, or the list of
    bad ones. `notes`: (zone, what came out) of each list that was asked."""

    good: Listing | None
    bad: Listing | None
    notes: tuple[tuple[str, str], ...]


def judge(client: str, allow_zones: Sequence[str], zones: Sequence[str], ask: Ask) -> Standing:
    """Ask the lists of good addresses, and if none has the client those of bad ones; the first that does ends it."""
    notes: list[tuple[str, str]] = []
    good = listed(client, allow_zones, ask, notes)
    bad = None if good else listed(client, zones, ask, notes)
    return Standing(good, bad, tuple(notes))


def listed(client: str, zones: Sequence[str], ask: Ask, notes: list[tuple[str, str]]) -> Listing | None:
    """The first of `zones` (as in the configuration) that lists a client; adds to `notes` what each one said."""
    try:
        address = _unmap(ipaddress.ip_address(client.partition("%")[0]))
    except ValueError:
        return None
    for text in zones:
        zone = parse_zone(text)
        try:
            listing, note = _look(address, zone, ask)
        except DnsFailure as failure:
            listing, note = None, f"unavailable: {failure}"
        notes.append((zone.name, note))
        if listing:
            return listing
    return None


def _look(address: IpAddress, zone: Zone, ask: Ask) -> tuple[Listing | None, str]:
    """What one list says, and the same in words. Raises DnsFailure."""
    name = f"{_reversed(address)}.{zone.name}"
    answers = [str(answer) for answer in ask(name, "A").records]
    if not answers:
        return None, "not listed"
    counting = tuple(sorted(answer for answer in answers if zone.counts(answer)))
    if not counting:
        return None, f"ignored: answered {' '.join(sorted(answers)[:5])}"
    never = _NEVER_LISTED[address.version]
    if ask(f"{_reversed(never)}.{zone.name}", "A").records:
        return None, "ignored: lists 127.0.0.1 too, which no list in service does"
    listing = Listing(zone.name, counting, _ask_text(name, ask))
    return listing, f"listed: {' '.join(counting[:5])} {listing.text}".rstrip()


def _ask_text(name: str, ask: Ask) -> str:
    """Why the client is listed, in the list's words; "" when it says nothing, or not now."""
    try:
        records = ask(name, "TXT").records
    except DnsFailure:
        return ""
    if not records:
        return ""
    # The order of records is not the list's: take the same one every time.
    octets = min(records)[: 4 * TEXT_CHARACTERS]
    text = "".join(chr(octet) if 32 <= octet < 127 else " " for octet in octets)
    return " ".join(text.split())[:TEXT_CHARACTERS].rstrip()


def _reversed(address: IpAddress) -> str:
    """The octets of an IPv4 address, or the nibbles of an IPv6 one, last first."""
    return address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def _unmap(address: IpAddress) -> IpAddress:
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
