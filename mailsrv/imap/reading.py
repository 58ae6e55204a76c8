"""From octets to events: command lines, literals, SASL responses and IDLE (RFC 9051 sections 2.2 and 4.3, RFC 7888).

With message_reading and skipping the half of a session that reads; mailsrv.imap.session has the half that is answered,
and changes the state. There is one method for each mode, chosen by the mode alone.

Diagnostics: nothing that a client sends raises.
"""

import re
from collections.abc import Callable

from mailsrv.errors import GrammarError
from mailsrv.imap import events, extensions
from mailsrv.imap.answers import Refusal, Status, Word, bad, bye
from mailsrv.imap.commands import COMMANDS, Row, judge
from mailsrv.imap.lines import Line, LineFault
from mailsrv.imap.message_reading import MessageReading
from mailsrv.imap.session_arguments import read_base64
from mailsrv.imap.skipping import GO_AHEAD, HEAD, TAG_ALONE, Mode, find_marker
from mailsrv.imap.tokens import Cursor

MAX_LITERALS = 1000  # in one command
TLS_RECORD = b"\x16"  # the first octet of a client that begins with TLS, on the wrong port
_HTTP = re.compile(rb"[A-Z]+ \S+ HTTP/[0-9]")
_DONE_LINE = 1024  # octets of what ends IDLE


class Reading(MessageReading):
    """The modes of commands, literals and lines that are no commands."""

    # Commands

    def _read_command(self) -> bool:
        early = not self._situation.authenticated
        limits = self._limits
        if not self.commands and self._input.begins_with(TLS_RECORD):
            self._end_with(bye("TLS begins with STARTTLS here"))
            return True
        line = self._input.take_line(limits.early_line if early else limits.line)
        if line is None:
            return False
        if not self._parts:
            self.commands += 1
            if early and self.commands > limits.early_commands:
                self._end_with(bye("too many commands before login"))
                return True
        if line.fault is not None:
            self._refuse_line(line, bad(line.fault.value))
        elif (marker := find_marker(line)) is not None:
            self._announce(line, marker)
        else:
            octets = line.octets.rstrip(b" ")  # some clients leave spaces there, and they can mean nothing
            if self._parts:
                self._parts.append(octets)
                octets = b"".join(self._parts)
                self._forget_parts()
            self._obey(octets)
        return True

    def _obey(self, octets: bytes) -> None:
        """One whole command, without its last CRLF."""
        found = self._find_row(octets)
        if found is None:
            return
        row, at = found
        try:
            arguments = row.read(Cursor(octets, at, self._situation.utf8), self._situation)
        except Refusal as refusal:
            self._reply(refusal.status)
        except GrammarError as error:
            self._reply(bad(f"{row.name}: {error}"))
        else:
            if row is _CAPABILITY:
                self._output.append(b"* CAPABILITY %b\r\n" % extensions.told(self._situation).encode())
                self._reply(_CAPABILITIES_TOLD)
            else:
                self._pending.append(events.Command(self._tag.decode(), row, arguments))

    def _find_row(self, octets: bytes) -> tuple[Row, int] | None:
        """The row of a command that is right now, and where its arguments begin; else the client is told."""
        match = HEAD.match(octets)
        if match is None:
            self._complain(octets)
            return None
        self._tag = match[1]
        row = COMMANDS.get(match[2].upper())
        if row is None:
            self._reply(bad("there is no such command"))
            return None
        complaint = judge(row, self._situation)
        if complaint is not None:
            text, code = complaint
            self._reply(bad(f"{row.name}: {text}", code))
            return None
        return row, match.end()

    def _complain(self, octets: bytes) -> None:
        """Tell the client that this is no command."""
        match = TAG_ALONE.match(octets)
        self._tag = match[1] if match else b"*"
        if match and _HTTP.match(octets):
            self._end_with(bye("this is IMAP, not HTTP"))
        else:
            self._reply(bad("expected a command" if match else "expected a tag and a command"))

    # Literals

    def _announce(self, line: Line, marker: re.Match[bytes]) -> None:
        """A line that ends with the announcement of a literal."""
        size, synchronizing = int(marker[1]), not marker[2]
        if not self._parts:
            # Before a client is told to go on, its command must be known, and right now.
            found = self._find_row(line.octets)
            if found is None:
                self._skip(size, synchronizing)
                return
            self._row = found[0]
        if self._row is not None and self._row.streams and self._announce_message(line.octets, size, synchronizing):
            return
        limits = self._limits
        late = self._situation.authenticated
        largest, whole = (limits.literal, limits.command) if late else (limits.early_literal, limits.early_command)
        self._size += len(line.octets) + 2 + size
        self._literals += 1
        if size > largest or self._size > whole or self._literals > MAX_LITERALS:
            self._forget_parts()
            self._reply(bad("the literal is too large", "TOOBIG"))
            self._skip(size, synchronizing)
            return
        self._parts.append(line.octets + b"\r\n")
        self._remaining = size
        self._mode = Mode.LITERAL
        if synchronizing:
            self._output.append(GO_AHEAD)

    def _read_literal(self) -> bool:
        octets = self._input.take(self._remaining)
        if octets:
            self._parts.append(octets)
            self._remaining -= len(octets)
        if self._remaining:
            return False
        self._mode = Mode.COMMAND
        return True

    # SASL and IDLE

    def _read_response(self) -> bool:
        line = self._input.take_line(self._limits.auth_line)
        if line is None:
            return False
        self._mode = Mode.COMMAND
        if line.fault is LineFault.ENDLESS:
            self._end_with(bye(line.fault.value))
        elif line.fault is not None:
            self._pending.append(events.AuthCancelled(bad(line.fault.value)))
        elif line.octets == b"*":
            self._pending.append(events.AuthCancelled(bad("authentication cancelled")))
        else:
            try:
                self._pending.append(events.AuthResponse(read_base64(line.octets)))
            except GrammarError:
                self._pending.append(events.AuthCancelled(bad("this is not base64")))
        return True

    def _read_idle(self) -> bool:
        line = self._input.take_line(_DONE_LINE)
        if line is None:
            return False
        if line.fault is LineFault.ENDLESS:
            self._end_with(bye(line.fault.value))
            return True
        done = line.fault is None and line.octets.upper() == b"DONE"
        self._pending.append(events.IdleEnd(None if done else bad("expected DONE")))
        self._skip_behind(line)
        return True


_CAPABILITY = COMMANDS[b"CAPABILITY"]
_CAPABILITIES_TOLD = Status(Word.OK, "that is all")

READERS: dict[Mode, Callable[[Reading], bool]] = {
    Mode.COMMAND: Reading._read_command,
    Mode.LITERAL: Reading._read_literal,
    Mode.SKIP: Reading._read_skipped,
    Mode.SKIP_LINE: Reading._read_skipped_line,
    Mode.MESSAGE: Reading._read_message,
    Mode.BEHIND_MESSAGE: Reading._read_behind_message,
    Mode.AUTH: Reading._read_response,
    Mode.IDLE: Reading._read_idle,
    Mode.TLS: Reading._read_nothing,
    Mode.COMPRESSION: Reading._read_nothing,
    Mode.OVER: Reading._read_the_end,
}
