"""The server's side of one SMTP or LMTP session, pure: octets in, events out, replies in, octets out (RFC 5321, RFC 2033).

The pump calls `receive_data`, takes events with `next_event`, has policy answer each with `answer`, and sends what `data_to_send` gives.
The state changes only on a positive answer. Nothing here waits, knows the time, or touches a socket or a file. The same octets
give the same events and replies however they are split. See mailsrv.smtp.events for what is answered and how.

Diagnostics: nothing that a client sends raises. `answer` raises ValueError when no event waits for an answer or when a list
does not have one Reply for each recipient: faults of the caller.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.mail.reply import Reply
from mailsrv.smtp import events, extensions, grammar, replies
from mailsrv.smtp.commands import COMMANDS, HTTP_VERBS, Chunk, Situation, State, judge
from mailsrv.smtp.data import ChunkScanner, DataScanner
from mailsrv.smtp.events import NEED_ANSWER, NEED_DATA, Event, Kind, Limits, Need, Offer
from mailsrv.smtp.lines import FramingError, Input

_UNANSWERED = (events.DataChunk, events.FramingFault, events.Closed)


class _Mode(Enum):
    """What the next octets are."""

    COMMAND = "a command line"
    AUTH = "a response of a SASL exchange"
    DATA = "a message with dots"
    CHUNK = "octets of a chunk"
    DISCARD = "octets of a chunk that is refused"
    TLS = "not for this core: TLS begins"
    OVER = "of no interest any more"


class ServerSession:
    """One session. `commands` counts command lines, `refused` replies from 400 on, `talked_ahead` commands that had to be the last of their
    group and were not (RFC 2920), `discarded` octets thrown away because they came in clear behind STARTTLS."""

    def __init__(
        self, kind: Kind, hostname: str, session_id: str, limits: Limits, offer: Offer, *, tls: bool = False
    ) -> None:
        self.commands = 0
        self.refused = 0
        self.talked_ahead = 0
        self.discarded = 0
        self.hostname = hostname
        self._limits = limits
        self._suffix = f" id={session_id}"
        self._situation = Situation(kind, limits, offer, tls)
        self._rows = COMMANDS[kind]
        self._input = Input()
        self._output: list[bytes] = []
        self._pending: deque[Event] = deque((events.Connected(),))
        self._awaiting: Event | None = None
        self._mode = _Mode.COMMAND
        self._ended = False  # the client sends nothing more
        self._errors = 0
        self._junk = 0  # since the last message
        self._data = DataScanner(limits.message_size, limits.text_line)
        self._chunks: ChunkScanner | None = None  # of the message that comes by BDAT
        self._chunk = Chunk(0, last=False)  # the present one
        self._remaining = 0  # octets of it that have not come
        self._cancelled = replies.AUTH_CANCELLED
        self._silent = False  # the Reset that was given comes from EHLO, which has its answer already

    # What the pump asks

    @property
    def wants_tls(self) -> bool:
        """True from the 220 to STARTTLS until `tls_started`."""
        return self._mode is _Mode.TLS

    @property
    def in_data(self) -> bool:
        """True while octets of a message are awaited: large reads and the timeouts of messages are right."""
        return self._mode in (_Mode.DATA, _Mode.CHUNK, _Mode.DISCARD)

    @property
    def closed(self) -> bool:
        """True when nothing from the client is looked at any more; send what is left and close."""
        return self._mode is _Mode.OVER

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
        if self._mode is not _Mode.OVER:
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
            if not _READERS[self._mode](self):
                if not self._ended:
                    return NEED_DATA
                self._mode = _Mode.OVER
        event = self._pending.popleft()
        if not isinstance(event, _UNANSWERED):
            self._awaiting = event
        return event

    def answer(self, reply: Reply | list[Reply]) -> None:
        """Answer the event that was given last. Only DataEnd in LMTP takes a list (one Reply stands for all recipients)."""
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
        self._mode = _Mode.COMMAND

    # Reading, one method for each mode; each tells whether it got on (False: more octets are needed)

    def _read_command(self) -> bool:
        line = self._take_line(self._limits.command_line)
        if line is None:
            return False
        octets, too_long = line
        if self.closed:
            return True
        self.commands += 1
        if self.commands > self._limits.commands:
            self._send(replies.TOO_MANY_COMMANDS)
        elif too_long:
            self._send(replies.LINE_TOO_LONG)
        else:
            try:
                self._obey(octets.decode())
            except UnicodeDecodeError:
                self._send(replies.NOT_UTF8)
        return True

    def _take_line(self, limit: int) -> tuple[bytes, bool] | None:
        try:
            return self._input.take_line(limit, self._limits.auth_line)
        except FramingError as fault:
            self._fail(fault)
            return b"", False

    def _obey(self, line: str) -> None:
        """One command line, without its CRLF. Trailing white space is tolerated (RFC 5321 section 4.1.1)."""
        verb, _, argument = line.partition(" ")
        verb = grammar.upper(verb.rstrip("\t"))
        row = self._rows.get(verb)
        if row is None:
            if verb in HTTP_VERBS:
                self._send(replies.HTTP)
                self._mode = _Mode.OVER
            else:
                self._send(replies.UNKNOWN if line.strip() else replies.EMPTY)
            return
        argument = argument.strip(" \t")
        if row.ends_group and len(self._input):
            self.talked_ahead += 1
        if row.junk and not self._count_junk():
            return
        refusal = judge(row, self._situation)
        if refusal is not None and not row.octets_follow:
            self._send(refusal)
            return
        try:
            result = row.read(argument, self._situation)
        except replies.Refusal as error:
            self._send(error.reply)
            if row.octets_follow:  # nobody knows how many
                self._mode = _Mode.OVER
            return
        if isinstance(result, Chunk):
            self._begin_chunk(result, refusal or result.refusal)
        elif isinstance(result, Reply):
            self._send(result)
        else:
            self._pending.append(result)

    def _count_junk(self) -> bool:
        self._junk += 1
        if self._junk <= self._limits.junk_commands:
            return True
        self._send(replies.TOO_MUCH_JUNK)
        return False

    def _read_response(self) -> bool:
        """A client's line inside a SASL exchange (RFC 4954 section 4)."""
        line = self._take_line(self._limits.auth_line)
        if line is None:
            return False
        octets, too_long = line
        if self.closed:
            return True
        if too_long:
            self._cancel(replies.AUTH_TOO_LONG)
        elif octets == b"*":
            self._cancel(replies.AUTH_CANCELLED)
        else:
            try:
                self._pending.append(events.AuthResponse(grammar.read_base64(octets.decode("ascii", "replace"))))
            except GrammarError:
                self._cancel(replies.AUTH_BASE64)
        return True

    def _cancel(self, reply: Reply) -> None:
        self._cancelled = reply
        self._mode = _Mode.COMMAND
        self._pending.append(events.AuthCancelled(reply))

    def _read_data(self) -> bool:
        octets = self._input.take(-1)
        if not octets:
            return False
        try:
            piece, rest = self._data.feed(octets)
        except FramingError as fault:
            self._give(self._data.sound)
            self._fail(fault)
            return True
        self._give(piece)
        if rest is not None:
            self._input.give_back(rest)
            self._mode = _Mode.COMMAND
            self._pending.append(events.DataEnd(self._data.size, self._data.fault))
        return True

    def _read_chunk(self) -> bool:
        chunks = self._chunks
        octets = self._input.take(self._remaining)
        if chunks is None or self._remaining and not octets:
            return False
        self._remaining -= len(octets)
        try:
            self._give(chunks.feed(octets))
            if not self._remaining and self._chunk.last:
                self._give(chunks.finish())
        except FramingError as fault:
            self._give(chunks.sound)
            self._fail(fault)
            return True
        if not self._remaining:
            self._mode = _Mode.COMMAND
            if self._chunk.last:
                self._pending.append(events.DataEnd(chunks.size, chunks.fault))
            else:
                self._send(replies.chunk_taken(self._chunk.size))
        return True

    def _read_discarded(self) -> bool:
        octets = self._input.take(self._remaining)
        self._remaining -= len(octets)
        if not self._remaining:
            self._mode = _Mode.COMMAND
            return True
        return False

    def _read_nothing(self) -> bool:
        """TLS is about to begin."""
        return False

    def _read_the_end(self) -> bool:
        self._pending.append(events.Closed())
        return True

    def _give(self, octets: bytes) -> None:
        if octets:
            self._pending.append(events.DataChunk(octets))

    # BDAT

    def _begin_chunk(self, chunk: Chunk, refusal: Reply | None) -> None:
        self._chunk = chunk
        self._remaining = chunk.size
        if refusal is not None:
            # A transaction of which a chunk is lost cannot be finished, RFC 3030 section 2.
            if self._situation.state is State.CHUNKS:
                self._forget()
            self._discard(refusal)
        elif self._situation.state is State.CHUNKS:
            self._take_chunk()
        else:
            self._pending.append(events.DataStart(chunking=True))

    def _discard(self, refusal: Reply) -> None:
        self._mode = _Mode.DISCARD
        self._send(refusal)

    def _take_chunk(self) -> None:
        assert self._chunks is not None
        size = self._chunks.size + self._remaining
        if size > self._limits.message_size:
            self._mode = _Mode.DISCARD
            self._pending.append(events.DataEnd(size, replies.TOO_BIG))
        else:
            self._mode = _Mode.CHUNK

    def _forget(self) -> None:
        """Policy is told that the transaction is gone; what it answers goes nowhere, for the client has its reply already."""
        self._situation.begin(State.READY)
        self._silent = True
        self._pending.append(events.Reset())

    # Answers, one method for each event

    def _greet(self, event: Event, reply: Reply) -> None:
        self._send(reply)
        if reply.code == 220:
            self._situation.begin(State.START)
        else:
            self._mode = _Mode.OVER

    def _hello(self, event: Event, reply: Reply) -> None:
        assert isinstance(event, events.Hello)
        situation = self._situation
        text = reply.text
        if reply.is_positive:
            in_transaction = situation.state not in (State.START, State.READY)
            situation.hello = event.verb
            situation.begin(State.READY)
            if event.verb != "HELO":
                offer = situation.offer
                if situation.tls or situation.authenticated:
                    offer = Offer(offer.starttls and not situation.tls, () if situation.authenticated else offer.mechanisms)
                text = "\n".join((text, *extensions.offered(self._limits, offer)))
            if in_transaction:
                self._forget()
        self._send(Reply(reply.code, "", text))

    def _start_tls(self, event: Event, reply: Reply) -> None:
        self._send(reply)
        if reply.code == 220:
            self._mode = _Mode.TLS

    def _authenticate(self, event: Event, reply: Reply) -> None:
        self._mode = _Mode.AUTH if reply.code == 334 else _Mode.COMMAND
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
                self._mode = _Mode.DATA
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
        self._mode = _Mode.OVER

    # Replies

    def _write(self, reply: Reply) -> None:
        """Queue a reply. Text that is not ASCII goes only to clients that use SMTPUTF8 (RFC 6531 section 3.5)."""
        if not (self._situation.smtputf8 or reply.text.isascii()):
            reply = Reply(reply.code, reply.enhanced, reply.text.encode("ascii", "backslashreplace").decode())
        if reply.code >= 400:
            self.refused += 1
        self._output.append(reply.encode(self._suffix))

    def _send(self, reply: Reply) -> None:
        """Queue the reply to a command, and end the session where the reply or the count of errors says so.

        Only 5yz counts as an error: a client that is told to come back later has done nothing wrong.
        """
        self._write(reply)
        if reply.closes:
            self._mode = _Mode.OVER
        elif reply.code >= 500:
            self._errors += 1
            if self._errors >= self._limits.errors:
                self._write(replies.TOO_MANY_ERRORS)
                self._mode = _Mode.OVER

    def _fail(self, fault: FramingError) -> None:
        self._write(replies.FRAMING[fault.kind])
        self._pending.append(events.FramingFault(fault.kind))
        self._mode = _Mode.OVER


_READERS: dict[_Mode, Callable[[ServerSession], bool]] = {
    _Mode.COMMAND: ServerSession._read_command,
    _Mode.AUTH: ServerSession._read_response,
    _Mode.DATA: ServerSession._read_data,
    _Mode.CHUNK: ServerSession._read_chunk,
    _Mode.DISCARD: ServerSession._read_discarded,
    _Mode.TLS: ServerSession._read_nothing,
    _Mode.OVER: ServerSession._read_the_end,
}

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
