"""One question to one resolver: UDP with EDNS, TCP where that was truncated, and nothing believed that was not asked.

An answer counts when it comes from the address asked, bears our random id and repeats our question (RFC 5452 section
9.1); the port it must come to is a new one of the system's choice each time. Anything else is passed over while the
time lasts, and where it comes in numbers somebody is guessing ids, so the question is asked again over TCP. The time is
one deadline for all of it: a server that sends one octet a second gains nothing.

Diagnostics: `exchange` raises ServerFailure, which never leaves mailsrv.system.dns.
"""

import socket
from dataclasses import dataclass

import dns.flags
import dns.inet
import dns.name
import dns.rcode

from mailsrv.errors import GrammarError
from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.dns_servers import Nameserver
from mailsrv.system.dns_wire import Message, Query, parse_message

_UDP_OCTETS = 4096  # more than we ask for: some servers know better
_MAX_STRAYS = 32  # datagrams that answer something else
_MAX_TCP_STRAYS = 4

# What servers say that are older than EDNS (RFC 6891 section 7).
_EDNS_REFUSED = {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS}
_ANSWERS = {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}


class ServerFailure(Exception):
    """One server gave no usable answer. `away`: it could not be reached or was silent, and the next question may fare
    no better; `silent`: asking once more may help.
    """

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
    """What a server said: NOERROR or NXDOMAIN, to our question."""

    message: Message
    server: Nameserver


def exchange(server: Nameserver, name: dns.name.Name, kind: str, deadline: Deadline) -> Response:
    """Ask `server`; raises ServerFailure when there is no usable answer by the deadline."""
    try:
        message = _ask(server, name, kind, deadline, edns=True)
        if message.rcode in _EDNS_REFUSED:
            message = _ask(server, name, kind, deadline, edns=False)
    except TimeoutError:
        raise ServerFailure(f"{server} is silent", silent=True) from None
    except OSError as error:
        raise ServerFailure(f"{server}: {error.strerror or error}", away=True) from error
    if message.rcode not in _ANSWERS:
        raise ServerFailure(f"{server} answers {_print_rcode(message.rcode)}")
    if _is_referral(message):
        raise ServerFailure(f"{server} refers to others instead of asking them")
    return Response(message, server)


def _ask(server: Nameserver, name: dns.name.Name, kind: str, deadline: Deadline, *, edns: bool) -> Message:
    query = Query.make(name, kind, entropy.below(1 << 16), edns)
    wire = _ask_udp(server, query, deadline)
    if wire is None or _is_truncated(wire):
        wire = _ask_tcp(server, query, deadline)
        if _is_truncated(wire):
            raise ServerFailure(f"{server} truncates its answer over TCP too")
    try:
        return parse_message(wire, kind)
    except GrammarError as error:
        raise ServerFailure(f"{server} gives a malformed answer ({error})") from error


def _ask_udp(server: Nameserver, query: Query, deadline: Deadline) -> bytes | None:
    """The answer's octets; None where too much came that was none."""
    with _connect(server, socket.SOCK_DGRAM, deadline) as connection:
        connection.send(query.wire)
        for _ in range(_MAX_STRAYS):
            connection.settimeout(deadline.wait())
            wire = connection.recv(_UDP_OCTETS)
            if query.is_answered_by(wire):
                return wire
    return None


def _ask_tcp(server: Nameserver, query: Query, deadline: Deadline) -> bytes:
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
    connection = socket.socket(dns.inet.af_for_address(server.address), kind)
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


def _is_truncated(wire: bytes) -> bool:
    return bool(wire[2] & dns.flags.TC >> 8)


def _print_rcode(rcode: int) -> str:
    try:
        return dns.rcode.to_text(dns.rcode.Rcode(rcode))
    except ValueError:
        return f"RCODE {rcode}"


def _is_referral(message: Message) -> bool:
    """NS and neither SOA nor answer: not "no data" but a server that does not ask for us (RFC 2308 section 2.2)."""
    kinds = {record.kind for record in message.authority}
    return not message.answer and kinds == {"NS"} and not message.flags & dns.flags.AA and message.rcode == 0
