"""The messages of APPEND and REPLACE: announced, handed on as they come, never held (RFC 9051 section 6.3.12, RFC 3502,
RFC 7889, RFC 8508).

Diagnostics: nothing that a client sends raises.
"""

from typing import cast

from mailsrv.errors import GrammarError
from mailsrv.imap import events
from mailsrv.imap.answers import Refusal, Status, Word, bad, bye
from mailsrv.imap.lines import LineFault
from mailsrv.imap.message_arguments import Announcement, read_next_message
from mailsrv.imap.skipping import HEAD, Mode, Skipping, find_marker
from mailsrv.imap.tokens import Cursor, Incomplete


class MessageReading(Skipping):
    """The modes of messages and of what stands between them."""

    def _announce_message(self, octets: bytes, size: int, synchronizing: bool) -> bool:
        """Whether the announced literal is a message, or nothing that can be read: then all is done here."""
        row = self._row
        assert row is not None
        whole = b"".join((*self._parts, octets))
        match = HEAD.match(whole)
        assert match is not None
        try:
            pair = row.read(Cursor(whole, match.end(), self._situation.utf8), self._situation)
            arguments, announcement = cast(tuple[object, Announcement], pair)  # rows that stream give both
        except Incomplete:
            return False
        except Refusal as refusal:
            status: Status | None = refusal.status
        except GrammarError as error:
            status = bad(f"{row.name}: {error}")
        else:
            status = self._judge_message(announcement)
        self._forget_parts()
        self._synchronizing = synchronizing
        if status is not None:
            self._refuse_message(status, size)
            return True
        self._announcement = announcement
        self._row = row
        self._messages = 1
        self._pending.append(events.Command(self._tag.decode(), row, arguments))
        return True

    def _judge_message(self, announcement: Announcement) -> Status | None:
        if announcement.size > self._limits.message_size:
            return Status(Word.NO, f"a message has at most {self._limits.message_size} octets", "TOOBIG")
        if not announcement.size:
            return Status(Word.NO, "an empty message is none, so nothing is stored")  # RFC 3502 section 3: it cancels
        return None

    def _refuse_message(self, status: Status, size: int) -> None:
        """The command ends here: what was let in is off, and the message is not taken."""
        if self._accepted:
            self._accepted = False
            self._pending.append(events.Aborted())
        self._announcement = self._row = None
        self._reply(status)
        self._skip(size, self._synchronizing)

    def _read_message(self) -> bool:
        octets = self._input.take(self._remaining)
        if octets:
            self._remaining -= len(octets)
            self._pending.append(events.MessageChunk(octets))
        if not self._remaining:
            self._mode = Mode.BEHIND_MESSAGE
            self._pending.append(events.MessageEnd())
            return True
        return bool(octets)

    def _read_behind_message(self) -> bool:
        line = self._input.take_line(self._limits.line)
        if line is None:
            return False
        announced, row = self._announcement, self._row
        assert announced is not None and row is not None
        if line.fault is LineFault.ENDLESS:
            self._refuse_message(bye(line.fault.value), 0)
            return True
        marker = find_marker(line)
        self._synchronizing = marker is None or not marker[2]
        cursor = Cursor(line.octets if marker else line.octets.rstrip(b" "), 0, self._situation.utf8)
        try:
            if line.fault is not None:
                raise GrammarError(line.fault.value)
            if announced.utf8:
                cursor.expect_octets(b")", "the end of UTF8 (")
            following = read_next_message(cursor, self._situation)
            status = None
            if following is not None:
                self._messages += 1
                if row.name != "APPEND" or self._messages > self._limits.messages:
                    raise GrammarError("expected no more messages")
                status = self._judge_message(following)
        except Refusal as refusal:
            status, following = refusal.status, None
        except GrammarError as error:
            status, following = bad(f"{row.name}: {error}"), None
        self._mode = Mode.COMMAND
        if status is not None:
            self._refuse_message(status, int(marker[1]) if marker else 0)
        elif following is None:
            self._announcement, self._accepted = None, False
            self._pending.append(events.AppendEnd())
        else:
            self._announcement = following
            self._pending.append(make_start(following))
        return True


def make_start(announcement: Announcement) -> events.MessageStart:
    """The event of an announcement."""
    return events.MessageStart(
        announcement.flags, announcement.date, announcement.size, announcement.binary, announcement.utf8
    )
