"""The policy of one IMAP session: each event of the protocol core meets its answer here.

A Conversation is made for every connection and used by its thread alone; the pump asks `answer`, tells `tls_started`
and `woken`, and calls `close` exactly once at the end. It holds no socket and starts no thread.

Diagnostics: raises nothing that a client can cause but what the pump itself raises when the client is gone; what a
service raises by mistake passes through as a bug.
"""

from collections.abc import Callable
from typing import Any

from mailsrv.system import events
from mailsrv.system.tls import TlsInfo
from mailsrv.imap.answers import Answer, Status, Word, bye, ok
from mailsrv.imap.events import (
    Aborted,
    AppendEnd,
    AuthCancelled,
    AuthResponse,
    Closed,
    Command,
    Connected,
    Event,
    IdleEnd,
    MessageChunk,
    MessageEnd,
    MessageStart,
)
from mailsrv.imap.situation import Limits, Offer
from mailsrv.imapd import act, idle, login
from mailsrv.imapd.house import House, Peer
from mailsrv.imapd.state import Core, State
from mailsrv.imapd.telling import guard, tell

BANNED = bye("your address is shut out for a time after failed logins")
TOO_MANY_HERE = bye("too many connections from your address, try again later")
TOO_MANY = bye("too many connections, try again later")

_REFUSING = frozenset({Word.NO, Word.BAD})


class Conversation:
    """One session's policy."""

    __slots__ = ("_began", "_counted", "_house", "_refused", "_state")

    def __init__(self, peer: Peer, house: House) -> None:
        self._house = house
        self._state = State(peer, house)
        self._began = house.clock.monotonic()
        self._counted = False
        self._refused: Status | None = None

    @property
    def account(self) -> str:
        """Who is logged in, "" before."""
        return self._state.account

    @property
    def wants_rings(self) -> bool:
        """Whether `woken` is to be called when somebody rings, while the client is silent."""
        state = self._state
        return state.idling or state.notices is not None and state.upload is None

    def connect(self, core: Core, flush: Callable[[], None], ring: Callable[[], None]) -> None:
        """See State.connect; before the first event."""
        self._state.connect(core, flush, ring)

    def answer(self, event: Event) -> Answer | None:
        """Answer one event; None for those that are not answered."""
        answer = _ANSWERS[type(event)](self, event)
        if isinstance(answer, Status) and answer.word in _REFUSING:
            self._state.refused += 1
        return answer

    def woken(self) -> None:
        """Somebody rang: tell the client what is new."""
        if self.wants_rings:
            idle.look(self._state)

    def limits(self) -> Limits:
        """The bounds that the core keeps."""
        return Limits(message_size=self._house.config.limits.message_size)

    def offer(self) -> Offer:
        """What may be offered now: STARTTLS before TLS, logins where they are allowed."""
        state = self._state
        clear = state.tls is None
        return Offer(
            starttls=self._house.tls and clear,
            login=not clear or state.peer.without_tls,
            mechanisms=login.offered_mechanisms(state),
            compress=True,
        )

    def tls_started(self, info: TlsInfo) -> None:
        """TLS is on: all that the client said before is forgotten (RFC 9051 section 6.2.1)."""
        self._state.tls = info

    def admit(self) -> bool:
        """Count a connection that begins with TLS before its handshake, which costs a thread and time. False when there
        are too many: it is to be closed without words, since none could be read."""
        self._arrive()
        if self._refused is None:
            return True
        self._house.throttle.count("connections_refused")
        return False

    def leave(self) -> None:
        """Give everything back, without a line in the log; a second call does nothing."""
        state = self._state
        state.notices = None
        idle.leave(state)
        state.drop()
        if state.shown is not None:
            state.shown.leave()
            state.shown = None
        if self._counted:
            self._house.throttle.closed(state.peer.client)
            self._counted = False

    def close(self, reason: str, commands: int = 0) -> None:
        """The session is over: give everything back and write its line. `commands` is the core's counter, `reason`
        becomes the line's `end`."""
        self.leave()
        house, state, peer = self._house, self._state, self._state.peer
        tls = state.tls
        events.session(
            house.log,
            id=peer.session_id,
            kind=peer.kind,
            client=peer.client,
            helo="",
            account=state.account,
            tls=f"{tls.version.replace('TLSv', 'TLS')} {tls.cipher}" if tls else "",
            seconds=round(house.clock.monotonic() - self._began, 3),
            commands=commands,
            messages=state.stored,
            refused=state.refused,
            end=reason,
        )

    def _arrive(self) -> None:
        """Count the connection, show it, and find out whether it is served."""
        house, peer = self._house, self._state.peer
        count = house.throttle.opened(peer.client)
        self._counted = True
        self._state.shown = house.throttle.enter(peer.session_id, peer.kind, peer.client)
        self._refused = None if house.allows(peer.client) else self._refusal(count)

    def _refusal(self, count: int) -> Status | None:
        """Why this connection is not served, `count` being the connections of its address."""
        house, client = self._house, self._state.peer.client
        limits = house.config.limits
        if house.bans.banned(client):
            return BANNED
        if count > limits.connections_per_address:
            return TOO_MANY_HERE
        if house.throttle.total() > limits.imap_connections:
            return TOO_MANY
        return None

    # One method for each event

    def _greet(self, _event: Connected) -> Answer:
        if not self._counted:
            self._arrive()
        if self._refused is not None:
            self._house.throttle.count("connections_refused")
            return self._refused
        return ok(f"{self._house.config.hostname} ready")

    def _command(self, event: Command) -> Answer:
        return act.perform(self._state, event)

    def _respond(self, event: AuthResponse) -> Answer:
        return guard(self._state, lambda: login.respond(self._state, event), renumber=False)

    def _cancel(self, event: AuthCancelled) -> Answer:
        return login.cancel(self._state, event)

    def _end_idle(self, event: IdleEnd) -> Answer:
        idle.leave(self._state)
        return tell(self._state, idle.DONE, renumber=True)

    def _stream(self, event: MessageStart | AppendEnd) -> Answer:
        state = self._state
        act_on = act.STREAMED[type(event)]
        return guard(state, lambda: act_on(state, event), renumber=isinstance(event, AppendEnd))

    def _take(self, event: MessageChunk | MessageEnd | Aborted) -> None:
        act.TAKEN[type(event)](self._state, event)

    def _end(self, _event: Closed) -> None:
        self.leave()


# Which method answers which event. One table for all conversations; text of the client never selects a method.
_ANSWERS: dict[type[Any], Callable[[Conversation, Any], Answer | None]] = {
    Connected: Conversation._greet,
    Command: Conversation._command,
    AuthResponse: Conversation._respond,
    AuthCancelled: Conversation._cancel,
    IdleEnd: Conversation._end_idle,
    MessageStart: Conversation._stream,
    MessageChunk: Conversation._take,
    MessageEnd: Conversation._take,
    AppendEnd: Conversation._stream,
    Aborted: Conversation._take,
    Closed: Conversation._end,
}
