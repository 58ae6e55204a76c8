"""AUTH on the client's side: one SASL exchange in SMTP's clothes (RFC 4954 section 4).

The mechanism is handed in; this knows base64, the empty initial response and how to cancel. A server that ends an
exchange well before it has proved what its mechanism makes it prove is not believed.

Diagnostics: raises nothing; whatever the server says ends in an AuthResult.
"""

import base64
from collections.abc import Callable
from typing import Protocol

from mailsrv.errors import GrammarError
from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_events import AuthResult, Phase
from mailsrv.smtp.client_exchange import Exchange
from mailsrv.smtp.client_replies import KEPT_LINE
from mailsrv.smtp.grammar import read_base64

MAX_INITIAL = 400  # octets of base64 in the AUTH command, which RFC 5321 section 4.5.3.1.4 lets be 512 octets long
MAX_ROUNDS = 8


class ClientMechanism(Protocol):
    """One exchange of a SASL mechanism, on the client's side; mailsrv.sasl.client has them."""

    @property
    def name(self) -> str:
        """As registered: PLAIN, LOGIN, SCRAM-SHA-256."""
        ...

    @property
    def is_complete(self) -> bool:
        """True when the server may say that all is well."""
        ...

    def start(self) -> bytes | None:
        """The initial response, None when the server speaks first."""
        ...

    def step(self, challenge: bytes) -> bytes:
        """The response to a challenge. Raises GrammarError when the challenge is wrong."""
        ...


class Authentication:
    """One AUTH command with all that follows."""

    __slots__ = ("_done", "_exchange", "_fault", "_initial", "_mechanism", "_rounds")

    def __init__(self, exchange: Exchange, mechanism: ClientMechanism, done: Callable[[AuthResult], None]) -> None:
        self._exchange = exchange
        self._mechanism = mechanism
        self._done = done
        self._initial: bytes | None = None  # an initial response that waits for an empty challenge
        self._rounds = 0
        self._fault = ""

    def start(self) -> None:
        """Send the command."""
        initial = self._mechanism.start()
        command = f"AUTH {self._mechanism.name}".encode()
        if initial is not None:
            text = base64.b64encode(initial) or b"="
            if len(text) <= MAX_INITIAL:
                command += b" " + text
            else:
                self._initial = initial
        self._exchange.put(command + b"\r\n", Phase.AUTH, self._on_reply)

    def _on_reply(self, reply: Reply) -> None:
        if self._fault:  # the exchange was cancelled, whatever the server says to that
            self._done(self._distrust(self._fault))
        elif reply.code >= 400:
            self._done(AuthResult(reply))
        elif reply.code >= 300:
            self._respond()
        elif self._mechanism.is_complete:
            self._done(AuthResult(reply))
        else:
            self._done(self._distrust("the server ended the exchange before it proved who it is"))

    def _respond(self) -> None:
        self._rounds += 1
        try:
            response = self._make_response()
        except GrammarError as error:
            self._fault = str(error)
            self._exchange.put(b"*\r\n", Phase.AUTH, self._on_reply)
        else:
            self._exchange.put(base64.b64encode(response) + b"\r\n", Phase.AUTH, self._on_reply)

    def _make_response(self) -> bytes:
        lines = self._exchange.reader.lines
        if self._rounds > MAX_ROUNDS or len(lines) != 1 or len(lines[0]) == KEPT_LINE:
            raise GrammarError("the server's challenges do not end")
        if self._initial is not None:
            response, self._initial = self._initial, None
            return response
        return self._mechanism.step(read_base64(lines[0].decode("ascii", "replace").strip()))

    def _distrust(self, reason: str) -> AuthResult:
        return AuthResult(Reply(454, "4.7.0", f"authentication given up: {reason}"), by_peer=False)
