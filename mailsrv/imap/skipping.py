"""The ground of a session: what it knows, how it answers, and how it skips what is not obeyed (RFC 9051 section 4.3,
RFC 7888).

A literal is part of the command that announces it, whatever is wrong with that command: its octets are skipped, never
obeyed. How many are skipped has a bound.

Diagnostics: nothing that a client sends raises.
"""

import re
from collections import deque
from enum import Enum

from mailsrv.imap import events
from mailsrv.imap.answers import Output, Status, Word, bye
from mailsrv.imap.commands import Row
from mailsrv.imap.events import Event
from mailsrv.imap.lines import TAIL, Input, Line, LineFault
from mailsrv.imap.message_arguments import Announcement
from mailsrv.imap.situation import Limits, Offer, Situation

GO_AHEAD = b"+ go ahead\r\n"

_TAG = rb"[^\x00-\x20(){%*\"\\\x7f-\xff+]{1,100}"
HEAD = re.compile(rb"(" + _TAG + rb") ((?i:UID )?[A-Za-z]+)(?= |\Z)")  # of a command: tag and name
TAG_ALONE = re.compile(rb"(" + _TAG + rb")(?: |\Z)")
_MARKER = re.compile(rb"~?\{([0-9]{1,50})(\+?)\}\Z")


def find_marker(line: Line) -> re.Match[bytes] | None:
    """The literal that a line announces: its size as group 1, `+` as group 2 where it comes without leave."""
    end = line.tail or line.octets
    return _MARKER.search(end, max(0, len(end) - TAIL)) if end.endswith(b"}") else None


class Mode(Enum):
    """What the next octets are."""

    COMMAND = "a command, or the rest of one behind a literal"
    LITERAL = "octets of a literal"
    SKIP = "octets of a literal of a command that is refused"
    SKIP_LINE = "the rest of a command that is refused"
    MESSAGE = "octets of a message"
    BEHIND_MESSAGE = "the rest of an APPEND"
    AUTH = "a response of a SASL exchange"
    IDLE = "DONE"
    TLS = "not for this core: TLS begins"
    COMPRESSION = "not for this core: compression begins"
    OVER = "of no interest any more"

    __hash__ = object.__hash__  # members are single: by identity, in C


class Skipping:
    """What a session knows, and how it reads. `commands` counts commands, `discarded` octets thrown away because they
    came in clear behind STARTTLS."""

    def __init__(self, limits: Limits, offer: Offer, tls: bool) -> None:
        self.commands = 0
        self.discarded = 0
        self._limits = limits
        self._situation = Situation(limits, offer, tls)
        self._input = Input()
        self._output: list[Output] = []
        self._pending: deque[Event] = deque((events.Connected(),))
        self._awaiting: Event | None = None
        self._mode = Mode.COMMAND
        self._ended = False  # the client sends nothing more
        self._errors = 0  # BAD since something went well
        self._tag = b"*"
        self._row: Row | None = None  # of the command that is being read
        self._parts: list[bytes] = []  # of it: lines and literals so far
        self._size = self._literals = 0  # octets and literals in them
        self._remaining = 0  # octets of a literal or message that have not come
        self._skipped = 0  # octets of literals of a refused command
        self._announcement: Announcement | None = None  # of the message that is awaited
        self._synchronizing = False  # it waits for leave
        self._accepted = False  # APPEND or REPLACE is let in, and not over
        self._messages = 0  # of it

    @property
    def closed(self) -> bool:
        """True when nothing from the client is looked at any more; send what is left and close."""
        return self._mode is Mode.OVER

    # What is not obeyed

    def _forget_parts(self) -> None:
        self._parts.clear()
        self._row = None
        self._size = self._literals = 0

    def _refuse_line(self, line: Line, status: Status) -> None:
        """A line that cannot be read: the client is told under its tag, as far as that can be seen."""
        if line.fault is LineFault.ENDLESS:
            self._end_with(bye(status.text))
            return
        if not self._parts:
            match = TAG_ALONE.match(line.octets)
            self._tag = match[1] if match else b"*"
        self._forget_parts()
        self._reply(status)
        self._skip_behind(line)

    def _skip_behind(self, line: Line) -> None:
        """What a line that is not obeyed announces is skipped."""
        marker = find_marker(line)
        if marker is not None:
            self._skip(int(marker[1]), not marker[2])
        elif self._mode is not Mode.OVER:
            self._mode = Mode.COMMAND
            self._skipped = 0

    def _skip(self, size: int, synchronizing: bool) -> None:
        """A literal of a command that is refused: a synchronizing one does not come, another one must be skipped."""
        if self._mode is Mode.OVER:
            return
        if synchronizing:
            self._mode = Mode.COMMAND
            self._skipped = 0
            return
        limits = self._limits
        self._skipped += size
        late = self._situation.authenticated
        if self._skipped > (max(limits.discard, limits.message_size) if late else limits.early_discard):
            self._end_with(bye("too many octets that nobody wants", "TOOBIG"))
            return
        self._remaining = size
        self._mode = Mode.SKIP

    def _read_skipped(self) -> bool:
        self._remaining -= len(self._input.take(self._remaining))
        if self._remaining:
            return False
        self._mode = Mode.SKIP_LINE
        return True

    def _read_skipped_line(self) -> bool:
        line = self._input.take_line(self._limits.line)
        if line is None:
            return False
        if line.fault is LineFault.ENDLESS:
            self._end_with(bye(line.fault.value))
        else:
            self._skipped += len(line.octets)  # lines of many empty literals come to an end, too
            self._skip_behind(line)
        return True

    def _read_nothing(self) -> bool:
        """TLS or compression is about to begin."""
        return False

    def _read_the_end(self) -> bool:
        if self._accepted:
            self._accepted = False
            self._pending.append(events.Aborted())
        self._pending.append(events.Closed())
        return True

    # Replies

    def _reply(self, status: Status) -> None:
        """Answer the command; too many BAD, or a BYE, end the session."""
        if status.word is Word.BYE:
            self._end_with(status)
            return
        self._output.append(status.encode(self._tag))
        if status.word is Word.BAD:
            self._errors += 1
            if self._errors >= self._limits.errors:
                self._end_with(bye("too many errors"))
        elif status.word is Word.OK:
            self._errors = 0

    def _end_with(self, status: Status) -> None:
        self._output.append(status.encode(b"*"))
        self._mode = Mode.OVER
