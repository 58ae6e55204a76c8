"""The network door for connections that we make: TCP and unix sockets to other servers, with a deadline for every wait.

A Connection moves octets and starts TLS as a client; it knows nothing of SMTP. Accepted connections belong to
serve/wire.

Diagnostics: Unreachable when no connection comes about; Lost when it ends or breaks; TimedOut when a deadline passes;
TlsFailed when the handshake fails, after which the connection is of no use. The texts are clauses for reports. No
OSError leaves.
"""

import os
import select
import socket
import ssl

from mailsrv.errors import MailsrvError
from mailsrv.system.clock import Clock, SystemClock
from mailsrv.system.tls import client_context

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Unreachable(MailsrvError):
    """No connection: refused, no route, or nobody answers."""


class Lost(MailsrvError):
    """The connection was closed or broke."""


class TimedOut(MailsrvError):
    """Nothing came, or nothing was taken, in time."""


class TlsFailed(MailsrvError):
    """The handshake failed, or the certificate is not good for the name."""


class Connection:
    """A connection to another server. Used by one thread. `address` is where it leads, for logs; `tls` the version and
    cipher once TLS is on, "" before."""

    def __init__(self, connected: socket.socket, address: str, clock: Clock) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._clock = clock
        self.address = address
        self.tls = ""

    def receive(self, seconds: float, size: int = 65536) -> bytes:
        """What comes next, at most `size` octets. Raises TimedOut after `seconds`, Lost at the end."""
        until = self._clock.monotonic() + seconds
        while True:
            octets = self.receive_now(size)
            if octets:
                return octets
            self._wait(select.POLLIN, until, seconds)

    def receive_now(self, size: int = 65536) -> bytes:
        """What is there already, b"" when nothing is. Raises Lost."""
        try:
            octets = self._socket.recv(size)
        except _WOULD_BLOCK:
            return b""
        except OSError as error:
            raise Lost(f"the connection broke ({_reason(error)})") from None
        if not octets:
            raise Lost("the connection was closed")
        return octets

    def send(self, octets: bytes, seconds: float) -> None:
        """Send all. Raises TimedOut when the other side takes nothing for `seconds`, Lost."""
        left = memoryview(octets)
        until = self._clock.monotonic() + seconds
        while left:
            try:
                left = left[self._socket.send(left) :]
                until = self._clock.monotonic() + seconds
            except _WOULD_BLOCK:
                # Inside TLS a write may have to wait for a read; woken for either, it is simply tried again.
                self._wait(select.POLLOUT | select.POLLIN, until, seconds)
            except OSError as error:
                raise Lost(f"the connection broke ({_reason(error)})") from None

    def start_tls(self, name: str, verify: bool, seconds: float) -> None:
        """Shake hands as a client for the host `name`; with `verify` its certificate must be good for it."""
        context = client_context(verify)
        self._socket.settimeout(seconds)
        try:
            secure = context.wrap_socket(self._socket, server_hostname=name, do_handshake_on_connect=False)
            self._socket = secure
            secure.do_handshake()
            secure.setblocking(False)
        except TimeoutError:
            raise TlsFailed(f"the TLS handshake took longer than {seconds:.0f} s") from None
        except ssl.SSLCertVerificationError as error:
            raise TlsFailed(f"the certificate is not good for {name} ({error.verify_message})") from None
        except (OSError, ValueError) as error:
            raise TlsFailed(f"the TLS handshake failed ({_reason(error)})") from None
        cipher = secure.cipher()
        self.tls = f"{(secure.version() or '').replace('TLSv', 'TLS')} {cipher[0] if cipher else ''}".strip()

    def close(self) -> None:
        """Close the connection, without waiting for anything."""
        self._socket.close()

    def _wait(self, for_events: int, until: float, seconds: float) -> None:
        left = until - self._clock.monotonic()
        poll = select.poll()
        poll.register(self._socket.fileno(), for_events)
        if left <= 0 or not poll.poll(left * 1000 + 1):
            raise TimedOut(f"no answer for {seconds:.0f} s")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error) or type(error).__name__


def connect(address: str, port: int, seconds: float, clock: Clock | None = None) -> Connection:
    """Connect to an IP address. Raises Unreachable."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return _connect(family, (address, port), f"{address}:{port}", seconds, clock)


def connect_unix(path: str, seconds: float, clock: Clock | None = None) -> Connection:
    """Connect to a unix socket. Raises Unreachable."""
    return _connect(socket.AF_UNIX, path, path, seconds, clock)


def _connect(
    family: socket.AddressFamily, target: tuple[str, int] | str, named: str, seconds: float, clock: Clock | None
) -> Connection:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(seconds)
        made.connect(target)
        if family is not socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except TimeoutError:
        made.close()
        raise Unreachable(f"no connection to {named} within {seconds:.0f} s") from None
    except OSError as error:
        made.close()
        raise Unreachable(f"no connection to {named} ({_reason(error)})") from None
    return Connection(made, named, clock or SystemClock())


def is_own_address(address: str) -> bool:
    """Whether an IP address is one of this machine: only such a one can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
