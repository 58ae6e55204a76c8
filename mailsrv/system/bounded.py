"""Connections to services of ours (a content filter, say) with one deadline over everything: finding the address,
connecting, sending and receiving.

A Connection waits for each of its steps anew, which suits a mail host that is slow; whoever waits for an answer before
its own answer is due needs a bound for the whole, so that a peer that sends an octet now and then holds nobody longer.

Diagnostics: TimedOut when the deadline has passed, Unreachable when no connection comes about, Lost when it ends or
breaks, DnsFailure when a host name has no answer.
"""

import ipaddress
from collections.abc import Sequence

from mailsrv.system.clock import Clock
from mailsrv.system.dns_values import Budget, Resolver
from mailsrv.system.net import Connection, TimedOut, Unreachable, connect, connect_unix

# Octets that are sent at once. A connection starts its wait anew when some of them were taken; whenever it can be
# written to again, there is room for so many, so that the wait of one piece is one wait.
_PIECE = 8192
_LOCALHOST = ("127.0.0.1", "::1")


class TimeLimit:
    """So many seconds from now on."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, more than 0. Raises TimedOut."""
        if (left := self._end - self.clock.monotonic()) <= 0:
            raise self.passed()
        return left

    def passed(self) -> TimedOut:
        """What to raise when it has passed."""
        return TimedOut(f"not done within {self.seconds:g} s")


class BoundedConnection:
    """A connection that is used within a TimeLimit. Used by one thread; close it (`with`)."""

    def __init__(self, connection: Connection, limit: TimeLimit) -> None:
        self._connection = connection
        self._limit = limit

    def send(self, octets: bytes) -> None:
        """Send all. Raises TimedOut, Lost."""
        for start in range(0, len(octets), _PIECE):
            left = self._limit.left()
            try:
                self._connection.send(octets[start : start + _PIECE], left)
            except TimedOut:
                raise self._limit.passed() from None

    def receive(self, size: int = 65536) -> bytes:
        """What comes next, at most `size` octets. Raises TimedOut, Lost (at the end, too)."""
        left = self._limit.left()
        try:
            return self._connection.receive(left, size)
        except TimedOut:
            raise self._limit.passed() from None

    def close(self) -> None:
        """Close the connection, without waiting for anything."""
        self._connection.close()

    def __enter__(self) -> "BoundedConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_tcp(host: str, port: int, limit: TimeLimit, resolver: Resolver | None = None) -> BoundedConnection:
    """Connect to an IP address, to localhost, or to the first address of a name that answers. Raises TimedOut,
    Unreachable, DnsFailure."""
    failure = Unreachable(f"{host} has no address")
    for address in _addresses(host, limit, resolver):
        try:
            return BoundedConnection(connect(address, port, limit.left(), limit.clock), limit)
        except Unreachable as error:
            failure = error
    raise failure


def open_unix(path: str, limit: TimeLimit) -> BoundedConnection:
    """Connect to a unix socket. Raises TimedOut, Unreachable."""
    return BoundedConnection(connect_unix(path, limit.left(), limit.clock), limit)


def _addresses(host: str, limit: TimeLimit, resolver: Resolver | None) -> Sequence[str]:
    if host == "localhost":
        return _LOCALHOST
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    if resolver is None:
        raise Unreachable(f"{host} is no IP address, and nobody is there to look it up")
    budget = Budget(2, limit.left(), limit.clock)
    return [address for kind in ("A", "AAAA") for address in resolver.query(host, kind, budget).records]
