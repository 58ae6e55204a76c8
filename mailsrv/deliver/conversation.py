"""One conversation with one host: connect, greeting, EHLO, STARTTLS as the level demands, login, then messages one
after another.

It joins the client core (smtp/client) to a connection (system/net) and keeps the timeouts of each phase. Which host is
talked to and what its answers mean for the queue is decided elsewhere.

A host that drips its replies is no better than a silent one: what is waited for must be there in time as a whole. A
message that cannot be read to its end here is not handed over as if it were whole: the connection is cut.

Diagnostics: `open` raises HostFault when the host cannot be used now; `deliver` raises nothing: whatever happens, each
recipient gets an Answer. `damage` then says why our own copy could not be read.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from mailsrv.deliver.hosts import Fault, Host
from mailsrv.errors import GrammarError, MailsrvError
from mailsrv.mail.reply import Reply
from mailsrv.sasl import client as sasl
from mailsrv.smtp import client_events as smtp
from mailsrv.smtp.client import ClientSession
from mailsrv.smtp.client_events import TIMEOUTS, Answer, ClientEvent, Phase, Stage, Transaction
from mailsrv.smtp.events import Need
from mailsrv.system import entropy, net
from mailsrv.system.clock import Clock
from mailsrv.system.net import Connection
from mailsrv.transport.level import Level

_HANDSHAKE_SECONDS = 60.0


class HostFault(MailsrvError):
    """A host cannot be used; `reply` is what it said, or we instead of it (`by_peer` False)."""

    def __init__(self, fault: Fault, reply: Reply, stage: Stage, by_peer: bool = False) -> None:
        super().__init__(str(reply))
        self.fault = fault
        self.reply = reply
        self.stage = stage
        self.by_peer = by_peer


@dataclass(frozen=True, slots=True)
class Manner:
    """How to talk to the hosts of a next hop."""

    hello_name: str
    level: Level
    lmtp: bool = False
    username: str = ""
    password: str = ""
    connect_seconds: float = 30.0


class Conversation:
    """One connection. `messages` counts the transactions; `is_over` tells that it is of no use any more."""

    def __init__(self, host: Host, manner: Manner, clock: Clock, avoid: frozenset[str] = frozenset()) -> None:
        """`avoid`: extensions that this host offers and does not know, from earlier conversations (`lies`)."""
        self.host = host
        self.messages = 0
        self.damage = ""
        self._manner = manner
        self._clock = clock
        self._connection: Connection | None = None
        self._session = ClientSession(manner.hello_name, lmtp=manner.lmtp, avoid=avoid)

    @property
    def is_over(self) -> bool:
        """Whether the connection is of no use any more."""
        return self._connection is None or self._session.is_over

    @property
    def lies(self) -> frozenset[str]:
        """Extensions that the host offered and did not know."""
        return frozenset(self._session.lies)

    @property
    def offers_dsn(self) -> bool:
        """Whether the host reports on deliveries itself (RFC 3461 section 4)."""
        return "DSN" in self._session.capabilities

    @property
    def tls(self) -> str:
        """Version and cipher, "" in clear."""
        return self._connection.tls if self._connection else ""

    @property
    def recipients_limit(self) -> int:
        """Most recipients of one transaction, as the host says; 0 when it does not."""
        return self._session.capabilities.recipients_limit

    @property
    def messages_limit(self) -> int:
        """Most transactions over this connection, as the host says; 0 when it does not."""
        return self._session.capabilities.messages_limit

    def open(self) -> None:
        """Connect and introduce ourselves, up to the point where messages may be sent. Raises HostFault."""
        manner, host = self._manner, self.host
        try:
            if host.address.startswith("/"):
                self._connection = net.connect_unix(host.address, manner.connect_seconds, self._clock)
            else:
                self._connection = net.connect(host.address, host.port, manner.connect_seconds, self._clock)
        except net.Unreachable as error:
            raise HostFault(Fault.TEMPORARY, Reply(451, "4.4.1", str(error)), Stage.GREETING) from None
        try:
            self._expect(smtp.Greeted, Stage.GREETING)
            self._hello()
            self._secure()
            if manner.username:
                self._log_in()
        except BaseException:
            self.close()
            raise

    def deliver(self, transaction: Transaction, blocks: Iterable[bytes]) -> tuple[Answer, ...]:
        """Send one message; `blocks` are its octets, as many as the transaction says."""
        self.messages += 1
        self._session.send(transaction)
        replies = len(transaction.recipients)
        while True:
            event = self._next_event(replies)
            if isinstance(event, smtp.Finished):
                return event.answers
            if isinstance(event, smtp.NeedBody):
                self._send_body(blocks, transaction.size)

    def still_stands(self) -> bool:
        """Whether an idle connection can take another message, as far as is seen without asking: a message that is
        sent into a connection that the host has closed long ago would be in doubt for nothing."""
        connection, session = self._connection, self._session
        if connection is None:
            return False
        try:
            session.receive_data(connection.receive_now())
        except net.Lost as error:
            session.lost(str(error))
        session.next_event()  # nothing is waited for: whatever came, and the end, makes the session be over
        return not session.is_over

    def close(self) -> None:
        """Say goodbye where there is somebody to say it to, and close."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._session.is_over:
            try:
                self._session.quit()
                connection.send(self._session.data_to_send(), TIMEOUTS[Phase.QUIT])
            except (net.Lost, net.TimedOut, ValueError):
                pass  # it is the end in any case
        connection.close()

    def _hello(self) -> None:
        self._session.hello()
        self._expect(smtp.Helloed, Stage.HELLO)

    def _secure(self) -> None:
        """Start TLS where the level wants it or the host offers it."""
        manner, session, host = self._manner, self._session, self.host
        needed = manner.level.needs_tls
        if manner.level is Level.NONE or (host.plain and not needed) or host.address.startswith("/"):
            return
        if "STARTTLS" not in session.capabilities:
            if needed:
                raise HostFault(Fault.TLS, Reply(451, "4.7.4", "the host does not offer STARTTLS"), Stage.HELLO)
            return
        session.starttls()
        event = self._next_event()
        if isinstance(event, smtp.TlsRefused):
            if needed:
                raise HostFault(Fault.TLS, event.reply, Stage.HELLO, by_peer=True)
            return
        if not isinstance(event, smtp.TlsReady) or self._connection is None:
            raise self._tls_fault_of(event)
        # A literal has no name that could be asked for.
        name = host.address if host.name.startswith("[") else host.name
        try:
            self._connection.start_tls(name, manner.level >= Level.VERIFY, _HANDSHAKE_SECONDS)
        except net.TlsFailed as error:
            raise HostFault(Fault.TLS, Reply(451, "4.7.5", str(error)), Stage.HELLO) from None
        session.tls_started()
        session.hello()
        event = self._next_event()
        if not isinstance(event, smtp.Helloed):
            raise self._tls_fault_of(event)

    def _tls_fault_of(self, event: ClientEvent) -> HostFault:
        """A host that hangs up over TLS, be it at STARTTLS or behind a handshake that seemed to succeed (TLS 1.3 tells
        the client late), may be of use in clear."""
        fault = self._fault_of(event, Stage.HELLO)
        if not fault.by_peer:
            fault.fault = Fault.TLS
        return fault

    def _log_in(self) -> None:
        """Prove to a smarthost who we are."""
        manner, session = self._manner, self._session
        nonce = entropy.octets(18).hex().encode()
        offered = session.capabilities.mechanisms
        try:
            mechanism = sasl.choose(offered, manner.username, manner.password, nonce, secure=self._is_secure())
        except GrammarError as error:
            raise HostFault(Fault.TEMPORARY, Reply(454, "4.7.0", str(error)), Stage.HELLO) from None
        if mechanism is None:
            text = "the host offers no login that may be used here (PLAIN and LOGIN only inside TLS)"
            raise HostFault(Fault.TEMPORARY, Reply(454, "4.7.0", text), Stage.HELLO)
        session.auth(mechanism)
        event = self._next_event()
        if not isinstance(event, smtp.AuthResult):
            raise self._fault_of(event, Stage.HELLO)
        if event.reply.code >= 300:
            # A wrong password here is the operator's mistake, not the sender's: the mail waits until it is mended.
            text = f"the login was refused: {event.reply}"
            raise HostFault(Fault.TEMPORARY, Reply(454, "4.7.8", text), Stage.HELLO, event.by_peer)

    def _is_secure(self) -> bool:
        """Whether a password may be said: inside TLS, or where nothing leaves this machine."""
        return self._session.secure or self.host.address.startswith(("/", "127.")) or self.host.address == "::1"

    def _expect(self, wanted: type[ClientEvent], stage: Stage) -> None:
        event = self._next_event()
        if not isinstance(event, wanted):
            raise self._fault_of(event, stage)

    def _fault_of(self, event: ClientEvent, stage: Stage) -> HostFault:
        """What an event that was not hoped for means."""
        if isinstance(event, smtp.Refused):
            fault = Fault.PERMANENT if event.reply.code >= 500 else Fault.TEMPORARY
            return HostFault(fault, event.reply, event.stage, by_peer=True)
        reason = event.reason if isinstance(event, smtp.Broken) else "the host ended the conversation"
        return HostFault(Fault.TEMPORARY, Reply(451, "4.4.2", reason), stage)

    def _next_event(self, replies: int = 1) -> ClientEvent:
        """Move octets until the core has something to tell, which so many replies of one phase may have to come for."""
        session, connection, clock = self._session, self._connection, self._clock
        phase, until = None, 0.0
        while True:
            self._flush()
            event = session.next_event()
            if not isinstance(event, Need):
                return event
            if connection is None:
                session.lost("the connection is closed")
                continue
            seconds = TIMEOUTS[session.phase]
            if session.phase is not phase:
                phase, until = session.phase, clock.monotonic() + replies * seconds
            try:
                session.receive_data(connection.receive(min(seconds, max(until - clock.monotonic(), 0.0))))
            except (net.Lost, net.TimedOut) as error:
                session.lost(str(error))

    def _flush(self) -> bool:
        """Send what waits to be sent. When that fails (False), what the host said before it went away still counts."""
        session, connection = self._session, self._connection
        out = session.data_to_send()
        if not out or connection is None:
            return True
        try:
            connection.send(out, TIMEOUTS[session.phase])
            return True
        except net.TimedOut as error:
            session.lost(str(error))
        except net.Lost as error:
            with suppress(net.Lost):
                while octets := connection.receive_now():
                    session.receive_data(octets)
            session.lost(str(error))
        return False

    def _send_body(self, blocks: Iterable[bytes], size: int) -> None:
        """Give the message; stop early when the host has already said what it thinks of it."""
        session, connection = self._session, self._connection
        if connection is None:
            return
        left, held = size, b""
        try:
            for block in blocks:
                left -= len(block)
                if left < 0:
                    break
                if held:
                    session.body(held)
                    if not self._flush():
                        return
                    session.receive_data(connection.receive_now())
                    if session.is_over:
                        return
                # The last block waits until it is known to be the last: behind it the message counts as whole.
                held = block
        except net.Lost as error:
            session.lost(str(error))
        except MailsrvError as error:
            self._cut(str(error))
        else:
            if left:
                self._cut(f"{size} octets were announced, the queue file has {'more' if left < 0 else size - left}")
            else:
                session.body(held)
                session.end_of_body()

    def _cut(self, damage: str) -> None:
        """Leave the host with a message that it cannot take for whole."""
        self.damage = damage
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._session.lost("the message cannot be read here")
