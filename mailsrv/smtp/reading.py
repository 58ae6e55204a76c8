"""From octets to events: what the next octets are, and what is made of them (RFC 5321, RFC 3030, RFC 4954).

The half of a session that reads; mailsrv.smtp.session has the half that is answered, and changes the state. There is
one method for each mode, chosen by the mode alone. What a client sends changes no state here, with one exception:
a chunk that is refused between others ends its transaction (RFC 3030 section 2).

Diagnostics: nothing that a client sends raises.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.mail.reply import Reply
from mailsrv.smtp import events, grammar, replies
from mailsrv.smtp.commands import COMMANDS, HTTP_VERBS, Chunk, Situation, State, judge
from mailsrv.smtp.data import ChunkScanner, DataScanner
from mailsrv.smtp.events import Event, Kind, Limits, Offer
from mailsrv.smtp.lines import FramingError, Input


class Mode(Enum):
    """What the next octets are."""

    COMMAND = "a command line"
    AUTH = "a response of a SASL exchange"
    DATA = "a message with dots"
    CHUNK = "octets of a chunk"
    DISCARD = "octets of a chunk that is refused"
    TLS = "not for this core: TLS begins"
    OVER = "of no interest any more"

    __hash__ = object.__hash__  # members are single: by identity, in C; Enum's own is Python and on every message's way


class Reading:
    """What a session knows, and how it reads.

    `commands` counts command lines, `refused` replies from 400 on, `talked_ahead` commands that had to be the last of
    their group and were not (RFC 2920 section 3.1), `discarded` octets thrown away because they came in clear behind
    STARTTLS.
    """

    def __init__(self, kind: Kind, session_id: str, limits: Limits, offer: Offer, tls: bool) -> None:
        self.commands = 0
        self.refused = 0
        self.talked_ahead = 0
        self.discarded = 0
        self._limits = limits
        self._suffix = f" id={session_id}"
        self._situation = Situation(kind, limits, offer, tls)
        self._rows = COMMANDS[kind]
        self._input = Input()
        self._output: list[bytes] = []
        self._pending: deque[Event] = deque((events.Connected(),))
        self._awaiting: Event | None = None
        self._mode = Mode.COMMAND
        self._ended = False  # the client sends nothing more
        self._errors = 0
        self._junk = 0  # since the last message
        self._data = DataScanner(limits.message_size, limits.text_line)
        self._chunks: ChunkScanner | None = None  # of the message that comes by BDAT
        self._chunk = Chunk(0, last=False)  # the present one
        self._remaining = 0  # octets of it that have not come
        self._cancelled = replies.AUTH_CANCELLED
        self._silent = False  # the Reset that was given comes from EHLO, which has its answer already

    @property
    def closed(self) -> bool:
        """True when nothing from the client is looked at any more; send what is left and close."""
        return self._mode is Mode.OVER

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
                self._mode = Mode.OVER
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
                self._mode = Mode.OVER
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
        self._mode = Mode.COMMAND
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
            self._mode = Mode.COMMAND
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
            self._mode = Mode.COMMAND
            if self._chunk.last:
                self._pending.append(events.DataEnd(chunks.size, chunks.fault))
            else:
                self._send(replies.chunk_taken(self._chunk.size))
        return True

    def _read_discarded(self) -> bool:
        octets = self._input.take(self._remaining)
        self._remaining -= len(octets)
        if not self._remaining:
            self._mode = Mode.COMMAND
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
        self._mode = Mode.DISCARD
        self._send(refusal)

    def _take_chunk(self) -> None:
        assert self._chunks is not None
        size = self._chunks.size + self._remaining
        if size > self._limits.message_size:
            self._mode = Mode.DISCARD
            self._pending.append(events.DataEnd(size, replies.TOO_BIG))
        else:
            self._mode = Mode.CHUNK

    def _forget(self) -> None:
        """Policy is told that the transaction is gone; what it answers goes nowhere, for the client has its reply
        already."""
        self._situation.begin(State.READY)
        self._silent = True
        self._pending.append(events.Reset())

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
            self._mode = Mode.OVER
        elif reply.code >= 500:
            self._errors += 1
            if self._errors >= self._limits.errors:
                self._write(replies.TOO_MANY_ERRORS)
                self._mode = Mode.OVER

    def _fail(self, fault: FramingError) -> None:
        self._write(replies.FRAMING[fault.kind])
        self._pending.append(events.FramingFault(fault.kind))
        self._mode = Mode.OVER


READERS: dict[Mode, Callable[[Reading], bool]] = {
    Mode.COMMAND: Reading._read_command,
    Mode.AUTH: Reading._read_response,
    Mode.DATA: Reading._read_data,
    Mode.CHUNK: Reading._read_chunk,
    Mode.DISCARD: Reading._read_discarded,
    Mode.TLS: Reading._read_nothing,
    Mode.OVER: Reading._read_the_end,
}
