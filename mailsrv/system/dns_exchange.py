"""One question to one resolver: UDP with EDNS, TCP where that was truncated, and nothing believed that was not asked.

An answer counts when it comes from the address asked, bears our random id and repeats our question (RFC 5452 section
9.1); the port it must come to is a new one of the system's choice each time. Anything else is passed over while the
time lasts, and where it comes in numbers somebody is guessing ids, so the question is asked again over TCP. The time is
one deadline for all of it: a server that sends one octet a second gains nothing. Sockets are made by dnspython.

Diagnostics: `exchange` raises ServerFailure, which never leaves mailsrv.system.dns.
"""

import socket
import struct
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.dns_servers import Nameserver

EDNS_OCTETS = 1232  # fits the least IPv6 MTU: an answer in fragments can be forged
MAX_RECORDS = 1024  # of all sections: what more would cost to read is not worth a name

_UDP_OCTETS = 4096  # more than we ask for: some servers know better
_MAX_STRAYS = 32  # datagrams that answer something else
_MAX_TCP_STRAYS = 4
_HEADER = struct.Struct("!HHHHHH")
_QR_AND_OPCODE = 0xF800
_RESPONSE_TO_QUERY = 0x8000
_RCODE = 0x000F

# Says that the server understood too little to repeat the question.
_ERRORS_WITHOUT_QUESTION = {dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED}
# What servers say that are older than EDNS (RFC 6891 section 7).
_EDNS_REFUSED = {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS}
_ANSWERS = {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}


class ServerFailure(Exception):
    """One server gave no usable answer. `away`: it did not answer at all, and the next question may fare no better."""

    def __init__(self, reason: str, away: bool = False, silent: bool = False) -> None:
        super().__init__(reason)
        self.away = away or silent
        self.silent = silent


class Deadline:
    """A moment on the monotonic clock by which everything is over."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, 0 or less when it has passed."""
        return self._end - self._clock.monotonic()

    def wait(self) -> float:
        """Seconds for a socket's timeout; raises TimeoutError when it has passed (0 would mean not to wait)."""
        if (left := self.left()) <= 0:
            raise TimeoutError
        return left


@dataclass(frozen=True, slots=True)
class Response:
    """What a server said: NOERROR or NXDOMAIN, to our question. `octets` is its size on the wire."""

    message: dns.message.Message
    octets: int
    server: Nameserver


@dataclass(frozen=True, slots=True)
class _Query:
    wire: bytes
    question: bytes  # as it stands in the wire: name, type, class

    @classmethod
    def make(cls, name: dns.name.Name, kind: str, edns: bool) -> "_Query":
        """Recursion desired; AD asks for the bit without the signatures (RFC 6840 section 5.7)."""
        query = dns.message.make_query(
            name,
            kind,
            use_edns=0 if edns else False,
            payload=EDNS_OCTETS if edns else None,
            id=entropy.below(1 << 16),
            flags=dns.flags.RD | dns.flags.AD,
        )
        wire = query.to_wire()
        octets = sum(len(label) + 1 for label in name.labels) + 4
        return cls(wire, wire[_HEADER.size : _HEADER.size + octets])

    def is_answered_by(self, wire: bytes) -> bool:
        """Whether these octets begin like the answer to this question; the name's case may differ."""
        if len(wire) < _HEADER.size or wire[:2] != self.wire[:2]:
            return False
        _, flags, questions, *_ = _HEADER.unpack_from(wire)
        if flags & _QR_AND_OPCODE != _RESPONSE_TO_QUERY:
            return False
        if questions == 0:
            return flags & _RCODE in _ERRORS_WITHOUT_QUESTION
        asked = self.question
        given = wire[_HEADER.size : _HEADER.size + len(asked)]
        return questions == 1 and given[:-4].lower() == asked[:-4].lower() and given[-4:] == asked[-4:]


def exchange(server: Nameserver, name: dns.name.Name, kind: str, deadline: Deadline) -> Response:
    """Ask `server`; raises ServerFailure when there is no usable answer by the deadline."""
    try:
        response = _ask(server, _Query.make(name, kind, edns=True), deadline)
        if response.message.rcode() in _EDNS_REFUSED:
            response = _ask(server, _Query.make(name, kind, edns=False), deadline)
    except TimeoutError:
        raise ServerFailure(f"{server} is silent", silent=True) from None
    except OSError as error:
        raise ServerFailure(f"{server}: {error.strerror or error}", away=True) from error
    rcode = response.message.rcode()
    if rcode not in _ANSWERS:
        raise ServerFailure(f"{server} answers {dns.rcode.to_text(rcode)}")
    if _is_referral(response.message):
        raise ServerFailure(f"{server} refers to others instead of asking them")
    return response


def _ask(server: Nameserver, query: _Query, deadline: Deadline) -> Response:
    wire = _ask_udp(server, query, deadline)
    if wire is None or wire[2] & (dns.flags.TC >> 8):
        wire = _ask_tcp(server, query, deadline)
        if wire[2] & (dns.flags.TC >> 8):
            raise ServerFailure(f"{server} truncates its answer over TCP too")
    _, _, _, *counts = _HEADER.unpack_from(wire)
    if sum(counts) > MAX_RECORDS:
        raise ServerFailure(f"{server} answers with {sum(counts)} records, more than {MAX_RECORDS}")
    try:
        message = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError, IndexError, struct.error) as error:
        raise ServerFailure(f"{server} gives a malformed answer ({type(error).__name__})") from error
    return Response(message, len(wire), server)


def _ask_udp(server: Nameserver, query: _Query, deadline: Deadline) -> bytes | None:
    """The answer's octets; None where too much came that was none."""
    with _connect(server, socket.SOCK_DGRAM, deadline) as connection:
        connection.send(query.wire)
        for _ in range(_MAX_STRAYS):
            connection.settimeout(deadline.wait())
            wire = connection.recv(_UDP_OCTETS)
            if query.is_answered_by(wire):
                return wire
    return None


def _ask_tcp(server: Nameserver, query: _Query, deadline: Deadline) -> bytes:
    with _connect(server, socket.SOCK_STREAM, deadline) as connection:
        connection.settimeout(deadline.wait())
        connection.sendall(len(query.wire).to_bytes(2, "big") + query.wire)
        for _ in range(_MAX_TCP_STRAYS):
            size = int.from_bytes(_read(connection, 2, deadline), "big")
            wire = _read(connection, size, deadline)
            if query.is_answered_by(wire):
                return wire
    raise ServerFailure(f"{server} answers other questions than ours")


def _connect(server: Nameserver, kind: socket.SocketKind, deadline: Deadline) -> socket.socket:
    """Connected UDP as well: then the kernel drops what others send, and tells at once when nobody listens."""
    connection = dns.query.make_socket(dns.inet.af_for_address(server.address), kind)
    try:
        connection.settimeout(deadline.wait())
        connection.connect(dns.inet.low_level_address_tuple((server.address, server.port)))
    except BaseException:
        connection.close()
        raise
    return connection


def _read(connection: socket.socket, count: int, deadline: Deadline) -> bytes:
    octets = bytearray()
    while len(octets) < count:
        connection.settimeout(deadline.wait())
        if not (more := connection.recv(count - len(octets))):
            raise ConnectionResetError("closed the connection in mid-answer")
        octets += more
    return bytes(octets)


def _is_referral(message: dns.message.Message) -> bool:
    """NS and neither SOA nor answer: not "no data" but a server that does not ask for us (RFC 2308 section 2.2)."""
    kinds = {rrset.rdtype for rrset in message.authority}
    return (
        not message.answer
        and dns.rdatatype.NS in kinds
        and dns.rdatatype.SOA not in kinds
        and not message.flags & dns.flags.AA
        and message.rcode() == dns.rcode.NOERROR
    )
