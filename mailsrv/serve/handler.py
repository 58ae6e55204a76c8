"""One connection of SMTP, submission or LMTP: joins the protocol core, the policy and the wire.

It moves nothing itself (serve/pump does) and catches nothing (serve/connection does).

Diagnostics: raises nothing that serve/connection does not catch.
"""

import socket

from mailsrv.config.schema import LimitsConfig, ListenerConfig
from mailsrv.smtp.events import Kind, Limits
from mailsrv.smtp.session import ServerSession
from mailsrv.receive.connection import Conversation
from mailsrv.receive.house import House, Peer
from mailsrv.serve.connection import Connection, name_of
from mailsrv.serve.pump import BROKEN, Pump
from mailsrv.serve.wire import Drain, Wire
from mailsrv.serve.worker import WorkerContext


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


class Session(Connection[Wire, Conversation]):
    """One connection."""

    program = "smtpd"
    tls_first = "submissions"
    broken = BROKEN.encode(" id={id}")

    def __init__(
        self, context: WorkerContext, house: House, drain: Drain, session_id: str, connection: socket.socket
    ) -> None:
        super().__init__(context, drain, session_id, Wire(connection, drain, context.clock))
        self._house = house

    def _begin(self, client: str, port: int, listener: ListenerConfig) -> Conversation:
        kind = Kind(listener.kind)
        return Conversation(
            Peer(self.id, kind, client, port, name_of(listener), listener.without_tls), self._house
        )

    def _converse(self, conversation: Conversation, kind: str) -> None:
        config = self._context.config
        bounds, offer, tls = core_limits(config.limits), conversation.offer(), self.wire.tls is not None
        core = ServerSession(Kind(kind), config.hostname, self.id, bounds, offer, tls=tls)
        end = "error"
        try:
            end = Pump(self.wire, core, conversation, self._surroundings(), f" id={self.id}").run()
        finally:
            conversation.close(end, core.commands, core.refused)
