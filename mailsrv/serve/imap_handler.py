"""One connection of IMAP: joins the protocol core, the policy and the wire.

It moves nothing itself (serve/imap_pump does) and catches nothing (serve/connection does).

Diagnostics: raises nothing that serve/connection does not catch.
"""

import socket

from mailsrv.config.schema import ListenerConfig
from mailsrv.imap.session import ServerSession
from mailsrv.imapd.connection import Conversation
from mailsrv.imapd.house import House, Peer
from mailsrv.serve.connection import Connection, name_of
from mailsrv.serve.imap_pump import BROKEN, ImapPump
from mailsrv.serve.imap_wire import ImapWire
from mailsrv.serve.wire import Drain
from mailsrv.serve.worker import WorkerContext


class ImapSession(Connection[ImapWire, Conversation]):
    """One connection."""

    program = "imapd"
    tls_first = "imaps"
    broken = BROKEN.encode(b"*")

    def __init__(
        self, context: WorkerContext, house: House, drain: Drain, session_id: str, connection: socket.socket
    ) -> None:
        wire = ImapWire(connection, drain, context.clock, context.config.limits.command_seconds)
        super().__init__(context, drain, session_id, wire)
        self._house = house

    def _begin(self, client: str, port: int, listener: ListenerConfig) -> Conversation:
        peer = Peer(self.id, listener.kind, client, port, name_of(listener), listener.without_tls)
        return Conversation(peer, self._house)

    def _converse(self, conversation: Conversation, kind: str) -> None:
        core = ServerSession(conversation.limits(), conversation.offer(), tls=self.wire.tls is not None)
        end = "error"
        try:
            end = ImapPump(self.wire, core, conversation, self._surroundings()).run()
        finally:
            conversation.close(end, core.commands)
