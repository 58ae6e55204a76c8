"""The client's side of one SMTP or LMTP session, pure: commands and octets in, events and octets out (RFC 5321, RFC
2033, RFC 2920, RFC 3030, RFC 3207, RFC 4954).

    session = ClientSession("mx.example.org")
    loop: send what `data_to_send` gives (always before waiting); then `next_event`:
          NEED_DATA -> wait for octets, at most TIMEOUTS[session.phase] seconds, and give them to `receive_data`
                       (nothing came: `lost(reason)`)
          Greeted -> hello()     Helloed -> starttls(), auth(...), send(...) or quit()     TlsReady -> tls_started()
          NeedBody -> body(block)..., end_of_body()      Finished -> the next send(...) or quit()
          Broken, Bye -> close

Nothing here waits, knows the time, or touches a socket or a file. While it gives a message the driver sends
`data_to_send` after each block, and should look for octets that came, for a server may end it early. The same octets
give the same events however they are split.

Diagnostics: nothing that a server sends raises. A method that is called where it has no place, and a message that is
not as long as its transaction says where that matters, raise ValueError: faults of the caller.
"""

from collections import deque
from enum import Enum

from mailsrv.mail.reply import Reply
from mailsrv.smtp import client_events as events
from mailsrv.smtp.client_auth import Authentication, ClientMechanism
from mailsrv.smtp.client_capabilities import NO_CAPABILITIES, Capabilities, read_capabilities
from mailsrv.smtp.client_events import Answer, Broken, Bye, ClientEvent, Phase, Stage, Transaction
from mailsrv.smtp.client_exchange import Exchange
from mailsrv.smtp.client_replies import ReplyFault, clean
from mailsrv.smtp.client_transfer import Transfer
from mailsrv.smtp.events import NEED_DATA, Need


class _State(Enum):
    """What may be done next."""

    CONNECTED = "the greeting is awaited"
    GREETED = "hello"
    READY = "everything"
    TLS = "the handshake"
    REFUSED = "quit"


class ClientSession:
    """One session. `capabilities` is what the server offers now; `lies` what it offered and did not know: give them as
    `avoid` to the next session with this host. `secure` is true inside TLS, from the start where TLS is implicit."""

    def __init__(
        self,
        hello_name: str,
        *,
        lmtp: bool = False,
        secure: bool = False,
        avoid: frozenset[str] = frozenset(),
    ) -> None:
        self.capabilities: Capabilities = NO_CAPABILITIES
        self.lies: set[str] = set()
        self.secure = secure
        self.discarded = 0  # octets that came in clear before TLS and were thrown away
        self._hello_name = hello_name
        self._lmtp = lmtp
        self._avoid = avoid
        self._state = _State.CONNECTED
        self._exchange = Exchange()
        self._exchange.expect(Phase.GREETING, self._on_greeting)
        self._events: deque[ClientEvent] = deque()
        self._transfer: Transfer | None = None
        self._needs_reset = False
        self._lost = ""
        self._end: Broken | Bye | None = None

    # Octets and events

    @property
    def phase(self) -> Phase:
        """What the session waits for, by which the driver bounds its waiting."""
        if self._transfer is not None and self._transfer.takes_body:
            return Phase.DATA_BLOCK
        return self._exchange.phase

    @property
    def is_over(self) -> bool:
        """True when the connection is of no use any more."""
        return self._end is not None

    def receive_data(self, octets: bytes) -> None:
        """Take octets from the server; thrown away between the 220 to STARTTLS and the handshake (RFC 3207 section 5),
        and behind the end."""
        if self._state is _State.TLS:
            self.discarded += len(octets)
        elif self._end is None:
            self._exchange.reader.append(octets)

    def data_to_send(self) -> bytes:
        """The octets for the server since the last call. What replies cause is among them, whether or not `next_event`
        was called first, so that no driver waits while it still has something to send."""
        self._pump()
        return self._exchange.take_output()

    def lost(self, reason: str) -> None:
        """The connection ended or a timeout did. Replies that are there still count; then comes Broken. `reason`: a
        clause for reports, such as `connection closed` or `no answer for 300 s`."""
        self._lost = self._lost or reason

    def next_event(self) -> ClientEvent | Need:
        """The next event, or NEED_DATA. At the end of the session Bye or Broken, again and again."""
        self._pump()
        if not self._events and self._end is None and self._lost:
            waiting = "" if self.phase is Phase.IDLE else f" while waiting for {self.phase.value}"
            self._break(self._lost + waiting, "4.4.2")
        if self._events:
            return self._events.popleft()
        return self._end or NEED_DATA

    def _pump(self) -> None:
        """Take replies until one makes an event, which the driver may have an answer to."""
        while not self._events and self._end is None and self._state is not _State.TLS:
            try:
                reply = self._exchange.reader.next_reply()
                if reply is None:
                    return
                self._take(reply)
            except ReplyFault as fault:
                self._break(str(fault))

    # Commands

    def hello(self) -> None:
        """Introduce ourselves: EHLO, and HELO when that is not understood; LHLO in LMTP. Gives Helloed or Refused."""
        if self._may(_State.GREETED, _State.READY):
            verb = "LHLO" if self._lmtp else "EHLO"
            self._exchange.put(f"{verb} {self._hello_name}\r\n".encode(), Phase.HELLO, self._on_hello)

    def starttls(self) -> None:
        """Ask for TLS. Gives TlsReady or TlsRefused."""
        if self._may(_State.READY):
            self._exchange.put(b"STARTTLS\r\n", Phase.STARTTLS, self._on_starttls)

    def tls_started(self) -> None:
        """The handshake is done: what was known is forgotten. Call `hello` again."""
        if self._may(_State.TLS):
            self.secure = True
            self.capabilities = NO_CAPABILITIES
            self._exchange.pipelining = False
            self._state = _State.GREETED

    def auth(self, mechanism: ClientMechanism) -> None:
        """Prove who we are. Gives AuthResult."""
        if self._may(_State.READY):
            Authentication(self._exchange, mechanism, self._events.append).start()

    def send(self, transaction: Transaction) -> None:
        """Send a message. Gives NeedBody, unless nobody is to get it, and Finished."""
        if not self._may(_State.READY):
            lost = Answer(Reply(451, "4.4.2", "the connection is gone"), Stage.MAIL, by_peer=False)
            self._events.append(events.Finished((lost,) * len(transaction.recipients)))
            return
        transfer = Transfer(self._exchange, transaction, self.capabilities, self._lmtp)
        self._transfer = transfer
        if self._needs_reset and not transfer.is_empty:
            self._needs_reset = False
            self._exchange.put(b"RSET\r\n", Phase.RESET, self._on_reset_before)
        transfer.start()
        self._look()

    def body(self, block: bytes) -> None:
        """Some octets of the message that NeedBody asked for."""
        if self._end is None:
            self._in_body().give(block)

    def end_of_body(self) -> None:
        """The message is complete."""
        if self._end is None:
            self._in_body().give_end()
            self._look()

    def reset(self) -> None:
        """Ask whether the server is still there. Gives Cleared."""
        if self._may(_State.READY):
            self._needs_reset = False
            self._exchange.put(b"RSET\r\n", Phase.RESET, self._on_reset)

    def quit(self) -> None:
        """Say goodbye. Gives Bye."""
        if self._may(_State.GREETED, _State.READY, _State.REFUSED):
            self._exchange.put(b"QUIT\r\n", Phase.QUIT, self._on_quit)

    def _may(self, *states: _State) -> bool:
        """False when the session is over, which the caller could not know yet. Raises ValueError."""
        if self._end is not None:
            return False
        if self._state not in states or self._transfer is not None or not self._exchange.is_idle:
            raise ValueError(f"not now: the session waits for {self.phase.value} ({self._state.name})")
        return True

    def _in_body(self) -> Transfer:
        if self._transfer is None or not self._transfer.takes_body:
            raise ValueError("nobody asked for a message")
        return self._transfer

    # Replies

    def _take(self, reply: Reply) -> None:
        """One reply: to its handler, if somebody waits for it."""
        transfer = self._transfer
        if reply.code == 421:
            self._take_closing(reply)
            return
        handler = self._exchange.take_handler()
        if handler is not None:
            handler(reply)
        elif transfer is not None and transfer.takes_body:
            transfer.take_early(reply)
        else:
            raise ReplyFault(f"the server sent a reply to nothing: {reply}")
        if transfer is not None:
            transfer.proceed()
            self._look()
        self._exchange.refill()

    def _take_closing(self, reply: Reply) -> None:
        """421 may come at any time (RFC 5321 section 3.8), and answers whatever waits."""
        if self._transfer is not None:
            self._transfer.interrupt(reply, by_peer=True)
        else:
            handler = self._exchange.take_handler()
            if handler is not None:
                handler(reply)
        self._break(f"the server closes the connection: {reply}")

    def _look(self) -> None:
        """See what became of the transaction."""
        transfer = self._transfer
        if transfer is None:
            return
        if transfer.wants_body:
            transfer.wants_body = False
            self._events.append(events.NeedBody())
        if not transfer.is_done:
            return
        self._transfer = None
        self._events.append(events.Finished(transfer.answers))
        self._needs_reset = self._needs_reset or transfer.needs_reset
        if transfer.lies:
            self.lies |= transfer.lies
            self.capabilities = self.capabilities.without(frozenset(self.lies))
        if transfer.ruin:
            self._break(transfer.ruin)

    def _break(self, reason: str, enhanced: str = "4.5.0") -> None:
        """End the session, and with it the transaction: who has no answer yet may be tried again."""
        if self._end is not None:
            return
        self._end = Broken(reason)
        transfer = self._transfer
        if transfer is not None:
            transfer.interrupt(Reply(451, enhanced, reason), by_peer=False)
            self._look()
        self._exchange.forget()

    def _on_greeting(self, reply: Reply) -> None:
        if reply.code < 300:
            self._state = _State.GREETED
            self._events.append(events.Greeted(reply))
        else:
            self._refuse(Stage.GREETING, reply)

    def _on_hello(self, reply: Reply) -> None:
        if reply.code < 300:
            lines = [clean(line) for line in self._exchange.reader.lines[1:]]
            self._enter(read_capabilities(lines))
        elif reply.code >= 500 and not self._lmtp:
            self._exchange.put(f"HELO {self._hello_name}\r\n".encode(), Phase.HELLO, self._on_helo)
        else:
            self._refuse(Stage.HELLO, reply)

    def _on_helo(self, reply: Reply) -> None:
        if reply.code < 300:
            self._enter(NO_CAPABILITIES)
        else:
            self._refuse(Stage.HELLO, reply)

    def _enter(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities.without(self._avoid | self.lies)
        self._exchange.pipelining = "PIPELINING" in self.capabilities
        self._needs_reset = False
        self._state = _State.READY
        self._events.append(events.Helloed(self.capabilities))

    def _refuse(self, stage: Stage, reply: Reply) -> None:
        self._state = _State.REFUSED
        self._events.append(events.Refused(stage, reply))

    def _on_starttls(self, reply: Reply) -> None:
        if reply.code == 220:
            self._state = _State.TLS
            # What came behind the 220 in clear could be anybody's (RFC 3207 section 5).
            self.discarded += self._exchange.reader.clear()
            self._events.append(events.TlsReady())
        else:
            self._events.append(events.TlsRefused(reply))

    def _on_reset_before(self, reply: Reply) -> None:
        if reply.code >= 300:
            raise ReplyFault(f"the server refused RSET: {reply}")

    def _on_reset(self, reply: Reply) -> None:
        self._events.append(events.Cleared(reply))

    def _on_quit(self, reply: Reply) -> None:
        self._end = Bye(reply)
        self._exchange.forget()
