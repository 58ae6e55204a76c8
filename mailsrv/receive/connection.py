"""The policy of one session: each event of the protocol core meets its answer here.

A Conversation is made for every connection and used by its thread alone; the pump asks `answer`, tells `tls_started`,
and calls `close` exactly once at the end. It holds no socket and starts no thread; it blocks only in what the House
hands in (disk, password checks, the slowing down of failed logins).

Diagnostics: raises nothing that a client can cause; what a service raises by mistake passes through as a bug.
"""

from collections.abc import Callable
from typing import Any

from mailsrv.mail.reply import Reply
from mailsrv.receive import content, decision, recipient, sender
from mailsrv.receive.house import House, Peer, Shown
from mailsrv.receive.login import Logins, offered_mechanisms
from mailsrv.receive.state import State
from mailsrv.smtp.events import (
    Auth,
    AuthCancelled,
    AuthResponse,
    Closed,
    Connected,
    DataChunk,
    DataEnd,
    DataStart,
    Event,
    FramingFault,
    Hello,
    Kind,
    Mail,
    Offer,
    Quit,
    Rcpt,
    Reset,
    StartTls,
)
from mailsrv.system import events
from mailsrv.system.tls import TlsInfo

BANNED = Reply(554, "5.7.1", "your address is shut out for a time after failed logins")
TOO_MANY_HERE = Reply(421, "4.7.0", "too many connections from your address, try again later")
TOO_MANY = Reply(421, "4.7.0", "too many connections, try again later")
READY_FOR_TLS = Reply(220, "2.0.0", "ready to start TLS")
NO_TLS = Reply(454, "4.7.0", "TLS is not available")
RESET = Reply(250, "2.0.0", "ok")
BYE = Reply(221, "2.0.0", "bye")

_DIALECTS = {Kind.LMTP: "LMTP"}


class Conversation:
    """One session's policy."""

    __slots__ = ("_began", "_counted", "_house", "_logins", "_refused", "_shown", "_state")

    def __init__(self, peer: Peer, house: House) -> None:
        self._house = house
        self._state = State(peer, house)
        self._began = house.clock.monotonic()
        self._shown: Shown | None = None
        self._counted = False
        self._refused: Reply | None = None
        self._logins: Logins | None = None

    @property
    def account(self) -> str:
        """Who is logged in, "" before."""
        return self._state.account

    def answer(self, event: Event) -> Reply | list[Reply] | None:
        """Answer one event; None for those that are not answered."""
        return _ANSWERS[type(event)](self, event)

    def offer(self) -> Offer:
        """What may be offered now: STARTTLS before TLS on TCP, logins where and when they are allowed."""
        state = self._state
        starttls = self._house.tls and state.tls is None and state.peer.client != "local"
        return Offer(starttls, offered_mechanisms(state))

    def tls_started(self, info: TlsInfo) -> None:
        """TLS is on: all that the client said before is forgotten (RFC 3207 section 4.2)."""
        state = self._state
        self._drop()
        state.tls = info
        state.helo = state.account = ""
        state.extended = False
        state.identity_changed()

    def admit(self) -> bool:
        """Count a connection that begins with TLS before its handshake, which costs a thread and time. False when there
        are too many: it is to be closed without words, since none could be read."""
        self._arrive()
        refusal = self._refused
        if refusal is None or not refusal.closes:
            return True
        self._house.throttle.count("connections_refused")
        decision.refuse(self._state, "connect", refusal)
        return False

    def leave(self) -> None:
        """Give everything back, without a line in the log; a second call does nothing."""
        self._drop()
        if self._shown is not None:
            self._shown.leave()
            self._shown = None
        if self._counted:
            self._house.throttle.closed(self._state.peer.client)
            self._counted = False

    def close(self, reason: str, commands: int = 0, refused: int = 0) -> None:
        """The session is over: give everything back and write its line. `commands` and `refused` are the core's
        counters, `reason` becomes the line's `end`."""
        self.leave()
        house = self._house
        peer = self._state.peer
        events.session(
            house.log,
            id=peer.session_id,
            kind=peer.kind.value,
            client=peer.client,
            helo=self._state.helo,
            account=self._state.account,
            tls=self._state.tls_text,
            seconds=round(house.clock.monotonic() - self._began, 3),
            commands=commands,
            messages=self._state.messages,
            refused=refused,
            end=reason,
        )

    def _greet(self, _event: Connected) -> Reply:
        """Count the connection and greet, unless the address is banned or there are too many."""
        house = self._house
        if not self._counted:
            self._arrive()
        if self._refused is not None:
            house.throttle.count("connections_refused")
            return decision.refuse(self._state, "connect", self._refused)
        return Reply(220, "", f"{house.config.hostname} {_DIALECTS.get(self._state.peer.kind, 'ESMTP')} ready")

    def _arrive(self) -> None:
        """Count the connection, show it, and find out whether it is served."""
        house = self._house
        peer = self._state.peer
        count = house.throttle.opened(peer.client)
        self._counted = True
        self._shown = house.throttle.enter(peer.session_id, peer.kind.value, peer.client)
        self._refused = None if house.allows(peer.client) else self._refusal(count)

    def _refusal(self, count: int) -> Reply | None:
        """Why this connection is not served, `count` being the connections of its address."""
        house = self._house
        limits = house.config.limits
        client = self._state.peer.client
        if house.bans.banned(client):
            return BANNED
        if client != "local" and count > limits.connections_per_address:
            return TOO_MANY_HERE
        if house.throttle.total() > limits.connections:
            return TOO_MANY
        return None

    def _hello(self, event: Hello) -> Reply:
        state = self._state
        self._drop()
        state.helo = event.name
        state.extended = event.verb != "HELO"
        state.identity_changed()
        return Reply(250, "", self._house.config.hostname)

    def _start_tls(self, _event: StartTls) -> Reply:
        return READY_FOR_TLS if self.offer().starttls else NO_TLS

    def _auth(self, event: Auth) -> Reply:
        if self._logins is None:
            self._logins = Logins(self._state)
        return self._logged_in(self._logins.begin(event))

    def _auth_response(self, event: AuthResponse) -> Reply:
        assert self._logins is not None  # made at AUTH
        return self._logged_in(self._logins.go_on(event))

    def _auth_cancelled(self, event: AuthCancelled) -> Reply:
        assert self._logins is not None  # made at AUTH
        return self._logins.cancel(event)

    def _logged_in(self, reply: Reply) -> Reply:
        """Show who it is, once there is somebody."""
        if self._state.account and self._shown is not None:
            self._shown.account(self._state.account)
        return reply

    def _mail(self, event: Mail) -> Reply:
        return sender.answer_mail(self._state, event)

    def _rcpt(self, event: Rcpt) -> Reply:
        return recipient.answer_rcpt(self._state, event)

    def _data_start(self, event: DataStart) -> Reply:
        return content.start_data(self._state, event)

    def _data_chunk(self, event: DataChunk) -> None:
        content.take_chunk(self._state, event.octets)

    def _data_end(self, event: DataEnd) -> Reply | list[Reply]:
        return content.end_data(self._state, event)

    def _reset(self, _event: Reset) -> Reply:
        self._drop()
        return RESET

    def _quit(self, _event: Quit) -> Reply:
        self._drop()
        return BYE

    def _drop(self, _event: FramingFault | Closed | None = None) -> None:
        """Forget a transaction that has not come to its end; its record says that the client abandoned it."""
        transaction = self._state.transaction
        if transaction is not None:
            decision.write(self._state, transaction, "abandoned", None)
            transaction.close()
            self._state.transaction = None


# Which method answers which event. One table for all conversations; text of the client never selects a method.
_ANSWERS: dict[type[Any], Callable[[Conversation, Any], Reply | list[Reply] | None]] = {
    Connected: Conversation._greet,
    Hello: Conversation._hello,
    StartTls: Conversation._start_tls,
    Auth: Conversation._auth,
    AuthResponse: Conversation._auth_response,
    AuthCancelled: Conversation._auth_cancelled,
    Mail: Conversation._mail,
    Rcpt: Conversation._rcpt,
    DataStart: Conversation._data_start,
    DataChunk: Conversation._data_chunk,
    DataEnd: Conversation._data_end,
    Reset: Conversation._reset,
    Quit: Conversation._quit,
    FramingFault: Conversation._drop,
    Closed: Conversation._drop,
}
