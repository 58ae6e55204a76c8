"""One connection's thread: who is it really, TLS before the first word where the listener says so, then the pump.

Here the protocol core, the policy and the wire are put together, and here is the one place that catches what is a bug
of ours: the session ends with a 421 and one line in the log, and nobody else notices.

Diagnostics: `run` raises nothing.
"""

import ipaddress
import socket
import traceback
from typing import Any

from mailsrv.config.schema import LimitsConfig, ListenerConfig
from mailsrv.errors import GrammarError
from mailsrv.receive.connection import Conversation
from mailsrv.receive.house import House, Peer
from mailsrv.serve.pump import BROKEN, Pump, Surroundings
from mailsrv.serve.wire import Drain, Expired, Gone, Wire
from mailsrv.serve.worker import BoundListener, WorkerContext
from mailsrv.smtp.events import Kind, Limits
from mailsrv.smtp.session import ServerSession
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.proxy import V2_OCTETS, Proxied, parse_proxy


def core_limits(limits: LimitsConfig) -> Limits:
    """The bounds that the protocol core keeps itself."""
    return Limits(
        message_size=limits.message_size,
        recipients=limits.recipients,
        command_line=limits.command_line,
        text_line=limits.text_line,
        commands=limits.commands,
        errors=limits.errors,
        junk_commands=limits.junk_commands,
        messages=limits.messages,
    )


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


class Session:
    """One connection. `wire` may be used by other threads to end it."""

    def __init__(
        self, context: WorkerContext, house: House, drain: Drain, session_id: str, connection: socket.socket
    ) -> None:
        self.id = session_id
        self.wire = Wire(connection, drain, context.clock)
        self._context = context
        self._house = house
        self._drain = drain

    def run(self, peer_name: Any, bound: BoundListener) -> None:
        """Serve the connection to its end."""
        context, wire = self._context, self.wire
        client, port = address_of(peer_name)
        try:
            kind = Kind(bound.config.kind)
            if is_behind_proxy(client, bound.config):
                proxied = read_proxy_header(wire, context.config.limits.handshake_seconds, context.clock)
                if proxied.client:
                    client, port = proxied.client, proxied.client_port
            listener = f"{bound.config.addr}:{bound.config.port}" if bound.config.port else bound.config.addr
            peer = Peer(self.id, kind, client, port, listener, bound.config.without_tls)
            conversation = Conversation(peer, self._house)
            try:
                if self._begins(conversation, kind):
                    self._converse(conversation, kind)
            finally:
                conversation.leave()
        except (Gone, Expired, GrammarError) as error:
            events.tls(context.log, id=self.id, client=client, reason=str(error))
        except Exception:
            # The one net under a session: what falls here is a bug of mailsrv, never something a client may cause.
            events.bug(context.log, where=f"smtpd {bound.config.kind}", id=self.id, traceback=traceback.format_exc())
            wire.linger(BROKEN.encode(f" id={self.id}"))
        finally:
            wire.close()

    def _begins(self, conversation: Conversation, kind: Kind) -> bool:
        """TLS before the first word, where it comes first. False when there are too many connections: stalled
        handshakes of one address must not take the threads of all."""
        tls = self._context.tls
        if kind is not Kind.SUBMISSIONS or tls is None:
            return True
        if not conversation.admit():
            return False
        conversation.tls_started(self.wire.start_tls(tls, self._context.config.limits.handshake_seconds))
        return True

    def _converse(self, conversation: Conversation, kind: Kind) -> None:
        """Join core, policy and wire, and pump until the end."""
        context = self._context
        limits = context.config.limits
        bounds, offer, tls = core_limits(limits), conversation.offer(), self.wire.tls is not None
        core = ServerSession(kind, context.config.hostname, self.id, bounds, offer, tls=tls)
        end = "error"
        try:
            surroundings = Surroundings(limits, context.tls, self._drain, context.clock)
            end = Pump(self.wire, core, conversation, surroundings, f" id={self.id}").run()
        finally:
            conversation.close(end, core.commands, core.refused)
