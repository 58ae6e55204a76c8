"""APPEND with one message or many, and how messages come in for REPLACE too (RFC 9051 section 6.3.12, RFC 3502, RFC
7889, RFC 4315 section 3, RFC 3516, RFC 6855).

Messages are written to files without names as they come, and never held in memory; all of them are stored at the end of
the command, or none. What is refused early (quota, a mailbox that is missing) is refused before its octets come. A file
that cannot be written is told at the end, for octets on their way cannot be answered.

Diagnostics: what answers raises Refusal, the reasons of mailsrv.store.refusals, and StorageError; `take_chunk`,
`end_message` and `abort` raise nothing.
"""

from dataclasses import dataclass

from mailsrv.errors import StorageError
from mailsrv.system.disk import UnnamedFile
from mailsrv.imap.answers import Answer, Continue, Refusal, Status, no, ok
from mailsrv.imap.events import Aborted, AppendEnd, Command, MessageChunk, MessageEnd, MessageStart
from mailsrv.imap.extended_responses import append_uid
from mailsrv.imap.message_arguments import Append
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import OverQuota
from mailsrv.store.values import Incoming, Usage
from mailsrv.imapd import refusals
from mailsrv.imapd.copy import into, open_target
from mailsrv.imapd.flag_names import flags_of
from mailsrv.imapd.flags import check_system_flags
from mailsrv.imapd.state import State

MOST_FILES = 100  # messages of one APPEND: each is an open file until the end

_NUL = no("a message has no octets that are 0 here", "CANNOT")
# RFC 3516 section 4.4 names this code where a mailbox cannot hold binary octets.
_NUL_IN_BINARY = no("a message has no octets that are 0 here: encode them", "UNKNOWN-CTE")


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way, or complete."""

    start: MessageStart
    file: UnnamedFile


class Upload:
    """What one APPEND holds.

    `failure` is what will be answered at the end, whatever comes until then; `freed` is what the command takes away
    from the account when it succeeds.
    """

    def __init__(self, target: OpenMailbox, freed: Usage | None = None) -> None:
        self.target = target
        self.freed = freed or Usage()
        self.messages: list[Message] = []
        self.failure: Status | None = None

    @property
    def announced(self) -> int:
        """The octets of all messages so far."""
        return sum(message.start.size for message in self.messages)

    def store(self) -> str:
        """Store all messages that came, durably; gives the response code with their UIDs."""
        if self.failure is not None:
            raise Refusal(self.failure)
        target = self.target
        with into(target):
            incoming = [
                Incoming(message.file, flags_of(message.start.flags), message.start.date)
                for message in self.messages
            ]
            self.messages.clear()  # the store closes the files
            uids = target.append(incoming)
        return append_uid(target.uidvalidity, NumberSet.of(uids))

    def finish(self, state: State) -> Status:
        """What the end of the command does."""
        return ok("appended", self.store())

    def close(self) -> None:
        """Keep nothing; a second call does nothing."""
        for message in self.messages:
            message.file.close()
        self.messages.clear()


def append(state: State, command: Command) -> Answer:
    """APPEND is let in where there is such a mailbox."""
    arguments = command.arguments
    assert isinstance(arguments, Append)
    state.upload = Upload(open_target(state, arguments.mailbox))
    return Continue()


# What comes behind


def start_message(state: State, event: MessageStart) -> Answer:
    """A message is let in where there is room for it, as far as can be known now."""
    upload = _upload_of(state)
    if upload.failure is not None:
        return upload.failure
    if len(upload.messages) >= MOST_FILES:
        return no(f"at most {MOST_FILES} messages at once", "LIMIT")
    check_system_flags(event.flags)
    _check_room(upload, event.size)
    with into(upload.target):
        file = upload.target.new_file()
    upload.messages.append(Message(event, file))
    return Continue()


def take_chunk(state: State, event: MessageChunk) -> None:
    """Write octets as they are."""
    upload = _upload_of(state)
    if upload.failure is not None:
        return
    message = upload.messages[-1]
    if b"\0" in event.octets:
        upload.failure = _NUL_IN_BINARY if message.start.binary else _NUL
        return
    try:
        message.file.write([event.octets])
    except StorageError as error:
        state.house.complaints.storage(state.account, error)
        upload.failure = refusals.failure(error)


def end_message(state: State, event: MessageEnd) -> None:
    """Nothing is done before all messages are there."""


def finish(state: State, event: AppendEnd) -> Status:
    """All messages came."""
    upload = _upload_of(state)
    count = len(upload.messages)
    try:
        answer = upload.finish(state)
        state.stored += count
        return answer
    finally:
        state.upload = None
        upload.close()


def abort(state: State, event: Aborted) -> None:
    """Keep nothing of what came; the client was told, or is gone."""
    upload, state.upload = state.upload, None
    if upload is not None:
        upload.close()


def _upload_of(state: State) -> Upload:
    """What the running command holds."""
    assert isinstance(state.upload, Upload)  # the core gives no message before the command was let in
    return state.upload


def _check_room(upload: Upload, size: int) -> None:
    """Raise OverQuota where so many octets more cannot be stored."""
    limits, freed = upload.target.limits, upload.freed
    if not limits.octets and not limits.messages:
        return
    usage = upload.target.usage()
    if limits.octets and usage.octets - freed.octets + upload.announced + size > limits.octets:
        raise OverQuota("the account has no room for so many octets")
    if limits.messages and usage.messages - freed.messages + len(upload.messages) >= limits.messages:
        raise OverQuota("the account has no room for another message")
