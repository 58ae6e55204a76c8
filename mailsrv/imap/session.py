"""The server's side of one IMAP session, pure: octets in, events out, answers in, octets out (RFC 9051 section 2).

The pump calls `receive_data`, takes events with `next_event`, has floor 4 answer each with `answer` (untagged data goes
before, with `send` and `send_segment`), and sends what `data_to_send` gives. One command is handed out at a time, so
pipelined ones never meet (RFC 9051 section 5.5). Nothing here waits, knows the time, or touches a socket or a file. The
same octets give the same events and output however they are split.

Diagnostics: nothing that a client sends raises. `answer` raises ValueError when no event waits for an answer, or one of
another kind: faults of the caller.
"""

from binascii import b2a_base64
from collections.abc import Callable

from mailsrv.imap import events, extensions
from mailsrv.imap.answers import Answer, Continue, Output, Segment, Status, Word
from mailsrv.imap.events import NEED_ANSWER, NEED_DATA, Event, Need
from mailsrv.imap.lines import Input
from mailsrv.imap.message_reading import make_start
from mailsrv.imap.reading import READERS, Reading
from mailsrv.imap.session_arguments import Enable
from mailsrv.imap.situation import Limits, Offer, State
from mailsrv.imap.skipping import GO_AHEAD, Mode

_UNANSWERED = (events.MessageChunk, events.MessageEnd, events.Aborted, events.Closed)


class ServerSession(Reading):
    """One session. `compressed` and the octets behind COMPRESS are the pump's: the core works on plain ones."""

    def __init__(self, limits: Limits, offer: Offer, *, tls: bool = False) -> None:
        super().__init__(limits, offer, tls)
        self._ending = False

    # What the pump and floor 4 ask

    @property
    def wants_tls(self) -> bool:
        """True from the OK to STARTTLS until `tls_started`."""
        return self._mode is Mode.TLS

    @property
    def wants_compression(self) -> bool:
        """True from the OK to COMPRESS until `compression_started`."""
        return self._mode is Mode.COMPRESSION

    @property
    def in_message(self) -> bool:
        """True while octets of a message are awaited: large reads and the timeouts of messages are right."""
        return self._mode is Mode.MESSAGE or self._mode is Mode.SKIP and self._situation.authenticated

    @property
    def idling(self) -> bool:
        """True from the Continue to IDLE until DONE: untagged data may be sent at any time."""
        return self._mode is Mode.IDLE

    @property
    def state(self) -> State:
        """Where the session stands."""
        return State.LOGOUT if self._ending or self._mode is Mode.OVER else self._situation.state

    @property
    def enabled(self) -> frozenset[str]:
        """What is enabled, in capitals."""
        return frozenset(self._situation.enabled)

    @property
    def utf8(self) -> bool:
        """True where names and texts are UTF-8 (mailsrv.imap.responses asks)."""
        return self._situation.utf8

    @property
    def offer(self) -> Offer:
        """What may be used now; may be set between events."""
        return self._situation.offer

    @offer.setter
    def offer(self, offer: Offer) -> None:
        self._situation.offer = offer

    def capabilities(self) -> str:
        """What CAPABILITY would tell now."""
        return extensions.told(self._situation)

    # Octets and events

    def receive_data(self, octets: bytes) -> None:
        """Take octets from the client; ignored once the session is over."""
        if self._mode is not Mode.OVER:
            self._input.append(octets)

    def eof(self) -> None:
        """The client sends nothing more: what is there is still processed, then comes Closed."""
        self._ended = True

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

    def send(self, octets: bytes) -> None:
        """Untagged data, whole lines; in the order of the calls."""
        self._output.append(octets)

    def send_segment(self, segment: Segment) -> None:
        """Octets that do not pass through here, in the same order."""
        self._output.append(segment)

    def data_to_send(self) -> list[Output]:
        """The output since the last call: octets and segments in order; neighbouring octets are one piece."""
        output = self._output
        if all(isinstance(piece, bytes) for piece in output):
            joined: list[Output] = [b"".join(output)] if output else []  # type: ignore[arg-type]
        else:
            joined = []
            octets: list[bytes] = []
            for piece in output:
                if isinstance(piece, bytes):
                    octets.append(piece)
                    continue
                if octets:
                    joined.append(b"".join(octets))
                    octets.clear()
                joined.append(piece)
            if octets:
                joined.append(b"".join(octets))
        output.clear()
        return joined

    # What happens outside

    def tls_started(self, offer: Offer) -> None:
        """The handshake is done: octets that came in clear are thrown away unread (RFC 9051 section 6.2.1)."""
        self.discarded += len(self._input)
        self._input = Input()
        situation = self._situation
        situation.tls, situation.offer = True, offer
        situation.enabled.clear()
        self._mode = Mode.COMMAND

    def compression_started(self) -> bytes:
        """From here on the pump inflates and deflates; what is returned came behind COMPRESS and is to be inflated
        first (RFC 4978 section 3)."""
        self._situation.compressed = True
        self._mode = Mode.COMMAND
        return self._input.take(-1)

    def enable(self, *names: str) -> None:
        """Count extensions as enabled that a command implies (CONDSTORE: RFC 7162 section 3.1)."""
        self._situation.enabled.update(name.upper() for name in names)

    def deselect(self) -> None:
        """The selected mailbox is gone: the session is in the authenticated state."""
        if self._situation.state is State.SELECTED:
            self._situation.state = State.AUTHENTICATED

    def end(self, words: Status) -> None:
        """Say BYE: the session is over behind the answer that is due, and where none is, now."""
        self._output.append(words.encode(b"*"))
        self._ending = True
        if self._awaiting is None:
            self._mode = Mode.OVER

    # Answers

    def answer(self, answer: Answer) -> None:
        """Answer the event that was given last."""
        self._settle(answer)
        if self._ending:
            self._mode = Mode.OVER

    def _settle(self, answer: Answer) -> None:
        event = self._awaiting
        if event is None:
            raise ValueError("no event waits for an answer")
        if isinstance(answer, Continue):
            go_on = _CONTINUED.get(event.row.name if isinstance(event, events.Command) else type(event))
            if go_on is None:
                raise ValueError(f"{type(event).__name__} is answered with a Status")
            self._awaiting = None
            go_on(self, answer)
            return
        if answer.word is Word.OK and _needs_continue(event):
            raise ValueError("a message is let in with Continue, and answered at AppendEnd")
        self._awaiting = None
        _ANSWERED[type(event)](self, event, answer)

    def _greet(self, event: Event, status: Status) -> None:
        self._tag = b"*"
        if status.word is Word.OK:
            self._situation.state = State.NOT_AUTHENTICATED
            status = self._with_capabilities(status)
        elif status.word is Word.PREAUTH:
            self._situation.state = State.AUTHENTICATED
            status = self._with_capabilities(status)
        self._reply(status)

    def _with_capabilities(self, status: Status) -> Status:
        return status if status.code else Status(status.word, status.text, f"CAPABILITY {self.capabilities()}")

    def _end_command(self, event: Event, status: Status) -> None:
        assert isinstance(event, events.Command)
        name = event.row.name
        if status.word is Word.OK:
            change = _CHANGES.get(name)
            if change is not None:
                status = change(self, event, status)
        elif name in ("SELECT", "EXAMINE"):
            self.deselect()  # RFC 9051 section 6.3.2: a mailbox that cannot be selected leaves none selected
        if event.row.streams:
            self._refuse_announced(status)
        else:
            self._reply(status)

    def _end_login(self, event: Event, status: Status) -> None:
        self._reply(self._logged_in(event, status) if status.word is Word.OK else status)

    def _logged_in(self, event: Event, status: Status) -> Status:
        self._situation.state = State.AUTHENTICATED
        return self._with_capabilities(status)

    def _selected(self, event: Event, status: Status) -> Status:
        self._situation.state = State.SELECTED
        return status

    def _left(self, event: Event, status: Status) -> Status:
        self.deselect()
        return status

    def _logged_out(self, event: Event, status: Status) -> Status:
        self._output.append(Status(Word.BYE, "until next time").encode(b"*"))
        self._mode = Mode.OVER
        return status

    def _enabled(self, event: Event, status: Status) -> Status:
        assert isinstance(event, events.Command) and isinstance(event.arguments, Enable)
        names = event.arguments.capabilities
        self.enable(*names)
        if "QRESYNC" in names:
            self.enable("CONDSTORE")  # RFC 7162 section 3.2.3
        self._output.append(b" ".join([b"* ENABLED", *(name.encode() for name in names)]) + b"\r\n")
        return status

    def _unauthenticated(self, event: Event, status: Status) -> Status:
        """RFC 8437 section 3: as before login; TLS and compression stay."""
        self._situation.state = State.NOT_AUTHENTICATED
        self._situation.enabled.clear()
        return self._with_capabilities(status)

    def _start_tls(self, event: Event, status: Status) -> Status:
        self._mode = Mode.TLS
        return status

    def _start_compression(self, event: Event, status: Status) -> Status:
        self._mode = Mode.COMPRESSION
        return status

    def _say_fault(self, event: Event, status: Status) -> None:
        """The core knows how the exchange or the idling ended; floor 4 may still end the session."""
        fault = event.status if isinstance(event, events.AuthCancelled) else None
        if isinstance(event, events.IdleEnd):
            fault = event.fault
        self._reply(status if fault is None or status.word is Word.BYE else fault)

    def _start_message(self, event: Event, status: Status) -> None:
        self._refuse_announced(status)

    def _refuse_announced(self, status: Status) -> None:
        announced = self._announcement
        self._refuse_message(status, announced.size if announced else 0)

    def _end_append(self, event: Event, status: Status) -> None:
        self._row = None
        self._reply(status)

    # Continues

    def _challenge(self, answer: Continue) -> None:
        self._output.append(b"+ %b\r\n" % b2a_base64(answer.octets, newline=False))
        self._mode = Mode.AUTH

    def _idle(self, answer: Continue) -> None:
        self._output.append(b"+ idling\r\n")
        self._mode = Mode.IDLE

    def _let_in(self, answer: Continue) -> None:
        announced = self._announcement
        assert announced is not None
        self._accepted = True
        self._pending.append(make_start(announced))

    def _take_message(self, answer: Continue) -> None:
        announced = self._announcement
        assert announced is not None
        if self._synchronizing:
            self._output.append(GO_AHEAD)
        self._remaining = announced.size
        self._mode = Mode.MESSAGE


def _needs_continue(event: Event) -> bool:
    return isinstance(event, events.MessageStart) or isinstance(event, events.Command) and event.row.streams


_CONTINUED: dict[str | type[Event], Callable[[ServerSession, Continue], None]] = {
    "AUTHENTICATE": ServerSession._challenge,
    events.AuthResponse: ServerSession._challenge,
    "IDLE": ServerSession._idle,
    "APPEND": ServerSession._let_in,
    "REPLACE": ServerSession._let_in,
    "UID REPLACE": ServerSession._let_in,
    events.MessageStart: ServerSession._take_message,
}

_ANSWERED: dict[type[Event], Callable[[ServerSession, Event, Status], None]] = {
    events.Connected: ServerSession._greet,
    events.Command: ServerSession._end_command,
    events.AuthResponse: ServerSession._end_login,
    events.AuthCancelled: ServerSession._say_fault,
    events.IdleEnd: ServerSession._say_fault,
    events.MessageStart: ServerSession._start_message,
    events.AppendEnd: ServerSession._end_append,
}

# What an OK changes, before it is said.
_CHANGES: dict[str, Callable[[ServerSession, Event, Status], Status]] = {
    "LOGIN": ServerSession._logged_in,
    "AUTHENTICATE": ServerSession._logged_in,
    "UNAUTHENTICATE": ServerSession._unauthenticated,
    "STARTTLS": ServerSession._start_tls,
    "COMPRESS": ServerSession._start_compression,
    "ENABLE": ServerSession._enabled,
    "SELECT": ServerSession._selected,
    "EXAMINE": ServerSession._selected,
    "CLOSE": ServerSession._left,
    "UNSELECT": ServerSession._left,
    "LOGOUT": ServerSession._logged_out,
}
