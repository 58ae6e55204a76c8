"""The PROXY protocol, versions 1 and 2: what a load balancer says about the client, before the client's first octet.

A pure parser: octets in, a value out; who may send such a header, and for how long it is waited for, is decided by the
caller. It takes a header of at most 107 octets (version 1) or 1024 (version 2), never waits for more than it can use,
and ignores the optional fields (TLVs) after the addresses. Source: HAProxy's proxy-protocol.txt, sections 2.1 and 2.2.

Diagnostics: `parse_proxy` raises GrammarError for everything that is not the beginning of a header.
"""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mailsrv.errors import GrammarError


class Need(Enum):
    """What is there is the beginning of a header, and no more than that."""

    MORE = "octets from the peer"


NEED_MORE = Need.MORE

V1_OCTETS = 107  # section 2.1: the longest line there can be, CR LF included
V2_OCTETS = 1024  # our bound; the addresses take 232 at most and the rest is for TLVs that nobody reads here

_V1_START = b"PROXY "
_V2_START = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED = 16

_PORT = re.compile(rb"0|[1-9][0-9]{0,4}").fullmatch

_ADDRESS_TYPES: dict[bytes, type[IPv4Address] | type[IPv6Address]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}

# Second octet of the address family and transport -> octets of both addresses and ports; 0 where there is no IP address
# to take from it (section 2.2). Datagrams cannot arrive here and are refused with everything unassigned.
_UNSPECIFIED, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
_LENGTHS = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}
_LOCAL, _PROXY = 0x20, 0x21


@dataclass(frozen=True, slots=True)
class Proxied:
    """What the header said. `client` and `server` are IP addresses in their shortest form; an IPv4 address inside IPv6
    is given as IPv4.

    Both are empty, with ports 0, when the header names none (LOCAL, UNKNOWN, a unix socket): then the connection's own
    address counts. `consumed` octets belong to the header, what follows is the client's.
    """

    client: str
    client_port: int
    server: str
    server_port: int
    consumed: int


def parse_proxy(octets: bytes) -> Proxied | Need:
    """Parse what a connection begins with. NEED_MORE: call again with these octets and the next ones."""
    if octets.startswith(_V1_START):
        return _parse_v1(octets)
    if octets.startswith(_V2_START):
        return _parse_v2(octets)
    if _V1_START.startswith(octets) or _V2_START.startswith(octets):
        return NEED_MORE
    raise GrammarError("not a PROXY protocol header")


def _parse_v1(octets: bytes) -> Proxied | Need:
    end = octets.find(b"\r\n", 0, V1_OCTETS)
    if end < 0:
        if len(octets) < V1_OCTETS:
            return NEED_MORE
        raise GrammarError(f"PROXY line without an end within {V1_OCTETS} octets")
    words = octets[len(_V1_START) : end].split(b" ")
    if words[0] == b"UNKNOWN":
        return Proxied("", 0, "", 0, end + 2)
    kind = _ADDRESS_TYPES.get(words[0])
    if kind is None or len(words) != 5:
        raise GrammarError("PROXY line without protocol, two addresses and two ports")
    client, server = (_read_address(kind, word) for word in words[1:3])
    client_port, server_port = map(_read_port, words[3:])
    return Proxied(client, client_port, server, server_port, end + 2)


def _read_address(kind: type[IPv4Address] | type[IPv6Address], word: bytes) -> str:
    try:
        text = word.decode("ascii")
        if "%" in text:  # a zone means something on the balancer's machine only
            raise GrammarError("PROXY line with an IPv6 zone")
        return _plain(kind(text))
    except (UnicodeDecodeError, AddressValueError):
        raise GrammarError("PROXY line with a malformed address") from None


def _read_port(word: bytes) -> int:
    if not _PORT(word) or int(word) > 65535:
        raise GrammarError("PROXY line with a malformed port")
    return int(word)


def _parse_v2(octets: bytes) -> Proxied | Need:
    if len(octets) < _V2_FIXED:
        return NEED_MORE
    command, family = octets[12], octets[13]
    length = int.from_bytes(octets[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise GrammarError("PROXY header of an unknown version or command")
    if _V2_FIXED + length > V2_OCTETS:
        raise GrammarError(f"PROXY header of more than {V2_OCTETS} octets")
    if command == _PROXY and length < _LENGTHS.get(family, V2_OCTETS):
        raise GrammarError("PROXY header too short for its addresses, or of an unknown family")
    consumed = _V2_FIXED + length
    if len(octets) < consumed:
        return NEED_MORE
    if command == _LOCAL or family not in (_TCP4, _TCP6):
        return Proxied("", 0, "", 0, consumed)
    fields = octets[_V2_FIXED : _V2_FIXED + _LENGTHS[family]]
    width = (len(fields) - 4) // 2
    kind = IPv4Address if family == _TCP4 else IPv6Address
    client, server = (_plain(kind(fields[start : start + width])) for start in (0, width))
    ports = [int.from_bytes(fields[start : start + 2], "big") for start in (2 * width, 2 * width + 2)]
    return Proxied(client, ports[0], server, ports[1], consumed)


def _plain(address: IPv4Address | IPv6Address) -> str:
    """Shortest form, so that counts and bans know one client by one name."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
