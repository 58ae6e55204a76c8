"""One connection's thread, whatever is spoken: who is it really, TLS before the first word where the listener says so,
then the conversation.

Here is the one place that catches what is a bug of ours: the session ends with its protocol's last words and one line
in the log, and nobody else notices. What is said is decided in serve/handler and serve/imap_handler.

Diagnostics: `run` raises nothing.
"""

import ipaddress
import traceback
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from mailsrv.errors import GrammarError
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.proxy import V2_OCTETS, Proxied, parse_proxy
from mailsrv.system.tls import TlsInfo
from mailsrv.config.schema import ListenerConfig
from mailsrv.serve.pump import Surroundings
from mailsrv.serve.wire import Drain, Expired, Gone, Wire
from mailsrv.serve.worker import BoundListener, WorkerContext


class Conversation(Protocol):
    """What a connection needs of its policy."""

    def admit(self) -> bool: ...
    def tls_started(self, info: TlsInfo) -> None: ...
    def leave(self) -> None: ...


W = TypeVar("W", bound=Wire)
C = TypeVar("C", bound=Conversation)


class Connection(ABC, Generic[W, C]):
    """One connection. `wire` may be used by other threads to end it."""

    program: ClassVar[str]  # the process, as the log names it
    tls_first: ClassVar[str]  # the kind of listener where TLS comes before the first word
    broken: ClassVar[bytes]  # the last words when mailsrv has a bug; {id} is the session's

    def __init__(self, context: WorkerContext, drain: Drain, session_id: str, wire: W) -> None:
        self.id = session_id
        self.wire = wire
        self._context = context
        self._drain = drain

    @abstractmethod
    def _begin(self, client: str, port: int, listener: ListenerConfig) -> C:
        """The policy for whoever is there; nothing has been said yet."""

    @abstractmethod
    def _converse(self, conversation: C, kind: str) -> None:
        """Join core, policy and wire, and pump until the end."""

    def run(self, peer_name: Any, bound: BoundListener) -> None:
        """Serve the connection to its end."""
        context, wire, listener = self._context, self.wire, bound.config
        client, port = address_of(peer_name)
        try:
            if is_behind_proxy(client, listener):
                proxied = read_proxy_header(wire, context.config.limits.handshake_seconds, context.clock)
                if proxied.client:
                    client, port = proxied.client, proxied.client_port
            conversation = self._begin(client, port, listener)
            try:
                if self._secures(conversation, listener.kind):
                    self._converse(conversation, listener.kind)
            finally:
                conversation.leave()
        except (Gone, Expired, GrammarError) as error:
            events.tls(context.log, id=self.id, client=client, reason=str(error))
        except Exception:
            # The one net under a session: what falls here is a bug of mailsrv, never something a client may cause.
            where, trace = f"{self.program} {listener.kind}", traceback.format_exc()
            events.bug(context.log, where=where, id=self.id, traceback=trace)
            wire.linger(self.broken.replace(b"{id}", self.id.encode()))
        finally:
            wire.close()

    def _secures(self, conversation: C, kind: str) -> bool:
        """TLS before the first word, where it comes first. False when there are too many connections: stalled
        handshakes of one address must not take the threads of all."""
        tls = self._context.tls
        if kind != self.tls_first or tls is None:
            return True
        if not conversation.admit():
            return False
        conversation.tls_started(self.wire.start_tls(tls, self._context.config.limits.handshake_seconds))
        return True

    def _surroundings(self) -> Surroundings:
        """What the pump shares with all sessions of the process."""
        context = self._context
        return Surroundings(context.config.limits, context.tls, self._drain, context.clock)


def name_of(listener: ListenerConfig) -> str:
    """A listener in log and policy: address and port, or the path of a unix socket."""
    return f"{listener.addr}:{listener.port}" if listener.port else listener.addr


def address_of(peer_name: Any) -> tuple[str, int]:
    """IP address and port of a peer, an IPv4 address inside IPv6 as IPv4; ("local", 0) for a unix socket."""
    if not isinstance(peer_name, tuple):
        return "local", 0
    host, port = str(peer_name[0]), int(peer_name[1])
    if host.startswith("::ffff:") and "." in host:
        host = host[7:]
    return host.partition("%")[0], port


def is_behind_proxy(client: str, listener: ListenerConfig) -> bool:
    """Whether connections from `client` begin with a PROXY header."""
    if not listener.proxy_from or client == "local":
        return False
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(network, strict=False) for network in listener.proxy_from)


def read_proxy_header(wire: Wire, seconds: float, clock: Clock) -> Proxied:
    """Read the PROXY header and nothing behind it (TLS may follow, which must get every octet)."""
    until = clock.monotonic() + seconds
    seen = 0
    while True:
        octets = wire.peek(V2_OCTETS, seen + 1, until)
        proxied = parse_proxy(octets)
        if isinstance(proxied, Proxied):
            wire.try_read(proxied.consumed)
            return proxied
        seen = len(octets)
