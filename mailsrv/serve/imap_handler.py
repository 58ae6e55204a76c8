"""One IMAP connection's thread: who is it really, TLS before the first word where the listener says so, then the pump.

Here the protocol core, the policy and the wire are put together, and here is the one place that catches what is a bug
of ours: the session ends with BYE and one line in the log, and nobody else notices.

Diagnostics: `run` raises nothing.
"""

import socket
import traceback
from typing import Any

from mailsrv.errors import GrammarError
from mailsrv.system import events
from mailsrv.imap.session import ServerSession
from mailsrv.imapd.connection import Conversation
from mailsrv.imapd.house import House, Peer
from mailsrv.serve.handler import address_of, is_behind_proxy, read_proxy_header
from mailsrv.serve.imap_pump import BROKEN, ImapPump
from mailsrv.serve.imap_wire import ImapWire
from mailsrv.serve.pump import Surroundings
from mailsrv.serve.wire import Drain, Expired, Gone
from mailsrv.serve.worker import BoundListener, WorkerContext


class ImapSession:
    """One connection. `wire` may be used by other threads to end it."""

    def __init__(
        self, context: WorkerContext, house: House, drain: Drain, session_id: str, connection: socket.socket
    ) -> None:
        self.id = session_id
        self.wire = ImapWire(connection, drain, context.clock, context.config.limits.command_seconds)
        self._context = context
        self._house = house
        self._drain = drain

    def run(self, peer_name: Any, bound: BoundListener) -> None:
        """Serve the connection to its end."""
        context, wire = self._context, self.wire
        client, port = address_of(peer_name)
        kind = bound.config.kind
        try:
            if is_behind_proxy(client, bound.config):
                proxied = read_proxy_header(wire, context.config.limits.handshake_seconds, context.clock)
                if proxied.client:
                    client, port = proxied.client, proxied.client_port
            listener = f"{bound.config.addr}:{bound.config.port}"
            peer = Peer(self.id, kind, client, port, listener, bound.config.without_tls)
            conversation = Conversation(peer, self._house)
            try:
                if self._begins(conversation, kind):
                    self._converse(conversation)
            finally:
                conversation.leave()
        except (Gone, Expired, GrammarError) as error:
            events.tls(context.log, id=self.id, client=client, reason=str(error))
        except Exception:
            # The one net under a session: what falls here is a bug of mailsrv, never something a client may cause.
            events.bug(context.log, where=f"imapd {kind}", id=self.id, traceback=traceback.format_exc())
            wire.linger(BROKEN.encode(b"*"))
        finally:
            wire.close()

    def _begins(self, conversation: Conversation, kind: str) -> bool:
        """TLS before the first word, where it comes first. False when there are too many connections: stalled
        handshakes of one address must not take the threads of all."""
        tls = self._context.tls
        if kind != "imaps" or tls is None:
            return True
        if not conversation.admit():
            return False
        conversation.tls_started(self.wire.start_tls(tls, self._context.config.limits.handshake_seconds))
        return True

    def _converse(self, conversation: Conversation) -> None:
        """Join core, policy and wire, and pump until the end."""
        context = self._context
        core = ServerSession(conversation.limits(), conversation.offer(), tls=self.wire.tls is not None)
        end = "error"
        try:
            surroundings = Surroundings(context.config.limits, context.tls, self._drain, context.clock)
            end = ImapPump(self.wire, core, conversation, surroundings).run()
        finally:
            conversation.close(end, core.commands)
