"""The server's side of one SMTP or LMTP session, pure: octets in, events out, replies in, octets out (RFC 5321, RFC
2033).

The pump calls `receive_data`, takes events with `next_event`, has policy answer each with `answer`, and sends what
`data_to_send` gives. The state changes only on a positive answer. Nothing here waits, knows the time, or touches a
socket or a file. The same octets give the same events and replies however they are split. See mailsrv.smtp.events for
what is answered and how.

Diagnostics: nothing that a client sends raises. `answer` raises ValueError when no event waits for an answer or when a
list does not have one Reply for each recipient: faults of the caller.
"""

from collections.abc import Callable

from mailsrv.mail.reply import Reply
from mailsrv.smtp import events, extensions
from mailsrv.smtp.commands import State
from mailsrv.smtp.data import ChunkScanner, DataScanner
from mailsrv.smtp.events import NEED_ANSWER, NEED_DATA, Event, Kind, Limits, Need, Offer
from mailsrv.smtp.lines import Input
from mailsrv.smtp.reading import READERS, Mode, Reading

_UNANSWERED = (events.DataChunk, events.FramingFault, events.Closed)


class ServerSession(Reading):
    """One session, with the counters of Reading."""

    def __init__(
        self, kind: Kind, hostname: str, session_id: str, limits: Limits, offer: Offer, *, tls: bool = False
    ) -> None:
        super().__init__(kind, session_id, limits, offer, tls)
        self.hostname = hostname

    # What the pump asks

    @property
    def wants_tls(self) -> bool:
        """True from the 220 to STARTTLS until `tls_started`."""
        return self._mode is Mode.TLS

    @property
    def in_data(self) -> bool:
        """True while octets of a message are awaited: large reads and the timeouts of messages are right."""
        return self._mode in (Mode.DATA, Mode.CHUNK, Mode.DISCARD)

    @property
    def state(self) -> State:
        """How far the session is."""
        return self._situation.state

    @property
    def authenticated(self) -> bool:
        """True after a 235."""
        return self._situation.authenticated

    @property
    def offer(self) -> Offer:
        """What EHLO offers; may be set between events."""
        return self._situation.offer

    @offer.setter
    def offer(self, offer: Offer) -> None:
        self._situation.offer = offer

    # Octets and events

    def receive_data(self, octets: bytes) -> None:
        """Take octets from the client; ignored once the session is over."""
        if self._mode is not Mode.OVER:
            self._input.append(octets)

    def eof(self) -> None:
        """The client sends nothing more: what is there is still processed, then comes Closed."""
        self._ended = True

    def data_to_send(self) -> bytes:
        """The octets for the client since the last call."""
        octets = b"".join(self._output)
        self._output.clear()
        return octets

    def next_event(self) -> Event | Need:
        """The next event, or what is needed before there can be one. After the session's end: Closed."""
        if self._awaiting is not None:
            return NEED_ANSWER
        while not self._pending:
            if not READERS[self._mode](self):
                if not self._ended:
                    return NEED_DATA
                self._mode = Mode.OVER
        event = self._pending.popleft()
        if not isinstance(event, _UNANSWERED):
            self._awaiting = event
        return event

    def answer(self, reply: Reply | list[Reply]) -> None:
        """Answer the event that was given last. Only DataEnd in LMTP takes a list (one Reply stands for all
        recipients)."""
        event = self._awaiting
        if event is None:
            raise ValueError("no event waits for an answer")
        if isinstance(reply, list):
            if not isinstance(event, events.DataEnd) or len(reply) != self._answers_wanted():
                raise ValueError("a list answers DataEnd in LMTP, with one Reply for each accepted recipient")
            self._awaiting = None
            self._finish_message(reply)
        else:
            self._awaiting = None
            _ANSWERED[type(event)](self, event, reply)

    def tls_started(self, offer: Offer) -> None:
        """The handshake is done: all that was known is forgotten, octets that came in clear are thrown away unread
        (RFC 3207 section 4.2), and no second greeting is sent."""
        self.discarded += len(self._input)
        self._input = Input()
        situation = self._situation
        situation.tls, situation.offer = True, offer
        situation.hello, situation.authenticated = "", False
        situation.begin(State.START)
        self._mode = Mode.COMMAND

    # Answers, one method for each event

    def _greet(self, event: Event, reply: Reply) -> None:
        self._send(reply)
        if reply.code == 220:
            self._situation.begin(State.START)
        else:
            self._mode = Mode.OVER

    def _hello(self, event: Event, reply: Reply) -> None:
        assert isinstance(event, events.Hello)
        situation = self._situation
        text = reply.text
        if reply.is_positive:
            in_transaction = situation.state not in (State.START, State.READY)
            situation.hello = event.verb
            situation.begin(State.READY)
            if event.verb != "HELO":
                mechanisms = () if situation.authenticated else situation.offer.mechanisms
                offer = Offer(situation.offer.starttls and not situation.tls, mechanisms)
                text = "\n".join((text, *extensions.offered(self._limits, offer)))
            if in_transaction:
                self._forget()
        self._send(Reply(reply.code, "", text))

    def _start_tls(self, event: Event, reply: Reply) -> None:
        self._send(reply)
        if reply.code == 220:
            self._mode = Mode.TLS

    def _authenticate(self, event: Event, reply: Reply) -> None:
        self._mode = Mode.AUTH if reply.code == 334 else Mode.COMMAND
        self._situation.authenticated = reply.code == 235
        self._send(Reply(334, "", reply.text) if reply.code == 334 else reply)

    def _end_exchange(self, event: Event, reply: Reply) -> None:
        # Only the core knows why the exchange ended; policy may still end the session.
        self._send(reply if reply.closes else self._cancelled)

    def _mail(self, event: Event, reply: Reply) -> None:
        assert isinstance(event, events.Mail)
        if reply.is_positive:
            self._situation.begin(State.MAIL)
            self._situation.smtputf8 = event.parameters.smtputf8
        self._send(reply)

    def _rcpt(self, event: Event, reply: Reply) -> None:
        self._situation.tried += 1
        if reply.is_positive:
            self._situation.state = State.RCPT
            self._situation.recipients += 1
        self._send(reply)

    def _start_data(self, event: Event, reply: Reply) -> None:
        assert isinstance(event, events.DataStart)
        limits = self._limits
        if not event.chunking:
            if reply.code == 354:
                self._data = DataScanner(limits.message_size, limits.text_line)
                self._mode = Mode.DATA
                reply = Reply(354, "", reply.text)
            self._send(reply)
        elif reply.is_positive:
            self._chunks = ChunkScanner(limits.message_size, limits.text_line)
            self._situation.state = State.CHUNKS
            self._take_chunk()
        else:
            self._situation.begin(State.READY)
            self._discard(reply)

    def _end_data(self, event: Event, reply: Reply) -> None:
        self._finish_message([reply] * self._answers_wanted())

    def _answers_wanted(self) -> int:
        """Replies to the end of a message: one, in LMTP one for each accepted recipient (RFC 2033 section 4.2)."""
        return self._situation.recipients if self._situation.kind is Kind.LMTP else 1

    def _finish_message(self, answers: list[Reply]) -> None:
        if self._situation.state is State.CHUNKS and not self._chunk.last:
            answers = answers[:1]  # too big before the last chunk: only BDAT LAST is answered for each recipient
        self._situation.begin(State.READY)
        if any(reply.is_positive for reply in answers):
            self._junk = 0
        for reply in answers[:-1]:
            self._write(reply)
        self._send(answers[-1])

    def _reset(self, event: Event, reply: Reply) -> None:
        if self._silent:
            self._silent = False
            return
        if reply.is_positive and self._situation.state is not State.START:
            self._situation.begin(State.READY)
        self._send(reply)

    def _quit(self, event: Event, reply: Reply) -> None:
        self._send(reply)
        self._mode = Mode.OVER


_ANSWERED: dict[type[Event], Callable[[ServerSession, Event, Reply], None]] = {
    events.Connected: ServerSession._greet,
    events.Hello: ServerSession._hello,
    events.StartTls: ServerSession._start_tls,
    events.Auth: ServerSession._authenticate,
    events.AuthResponse: ServerSession._authenticate,
    events.AuthCancelled: ServerSession._end_exchange,
    events.Mail: ServerSession._mail,
    events.Rcpt: ServerSession._rcpt,
    events.DataStart: ServerSession._start_data,
    events.DataEnd: ServerSession._end_data,
    events.Reset: ServerSession._reset,
    events.Quit: ServerSession._quit,
}
