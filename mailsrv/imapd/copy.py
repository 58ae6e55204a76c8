"""COPY and MOVE with their UID forms (RFC 9051 sections 6.4.7 and 6.4.8, RFC 6851, RFC 4315 section 3, RFC 2180 section
4.4).

All messages go, or none. Where a client names numbers of messages that others have expunged, none goes: it would take
other ones for copied. The new UIDs of MOVE are told before the old messages vanish.

Diagnostics: Refusal with EXPUNGEISSUED, TRYCREATE and, with BAD, for numbers that the client cannot know; OverQuota,
TooMany, MailboxGone and StorageError come from the store.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mailsrv.errors import StorageError
from mailsrv.imap.answers import Refusal, Status, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.extended_responses import copy_uid
from mailsrv.imap.message_arguments import Copy, Move
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import MailboxGone, NoMailbox
from mailsrv.imapd import refusals
from mailsrv.imapd.flags import GONE
from mailsrv.imapd.shared_mailbox import copy_messages, move_messages
from mailsrv.imapd.state import State


def copy(state: State, command: Command) -> Status:
    """Copy messages to the end of a mailbox."""
    arguments = command.arguments
    assert isinstance(arguments, Copy)
    uids = _choose(state, arguments)
    target = open_target(state, arguments.mailbox)
    with into(target):
        pairs = copy_messages(state.selected.box, uids, target) if uids else []
    return ok("copied", copy_uid(target.uidvalidity, pairs)) if pairs else ok("no message to be copied")


def move(state: State, command: Command) -> Status:
    """Move messages to the end of a mailbox."""
    arguments = command.arguments
    assert isinstance(arguments, Move)
    uids = _choose(state, arguments)
    target = open_target(state, arguments.mailbox)
    view = state.selected
    with into(target):
        pairs = move_messages(view.box, uids, target) if uids else []
    if not pairs:
        return ok("no message to be moved")
    state.send(b"* OK [%b] moved\r\n" % copy_uid(target.uidvalidity, pairs).encode())
    if state.core.enabled & {"CONDSTORE", "QRESYNC"}:
        view.sync()
        return ok("moved", f"HIGHESTMODSEQ {view.modseq}")  # RFC 6851 section 4.4
    return ok("moved")


def open_target(state: State, name: str) -> OpenMailbox:
    """The mailbox that messages go to; a client may create one that is missing and try again."""
    try:
        return state.mailboxes.open(name, needed="i", look=False)
    except NoMailbox as error:
        raise Refusal(refusals.refusal(error, try_create=True)) from None


@contextmanager
def into(target: OpenMailbox) -> Iterator[None]:
    """A mailbox that messages go to may be deleted meanwhile: that does not end the one that is selected. Should it be
    the selected one itself, its session finds out behind this command. Raises MailboxGone where another one is gone,
    that which they come from."""
    try:
        yield
    except MailboxGone:
        if _is_there(target):
            raise
        raise Refusal(no(f"the mailbox {target.name} was deleted meanwhile", "TRYCREATE")) from None


def _is_there(box: OpenMailbox) -> bool:
    try:
        box.refresh(force=True)
        box.status()
    except MailboxGone:
        return False
    except StorageError:
        return True  # as far as is known
    return True


def _choose(state: State, arguments: Copy | Move) -> NumberSet:
    view = state.selected
    uids = view.uids_of(arguments.numbers, arguments.uid)
    if not arguments.uid:
        view.sync()
        if uids & view.gone:
            raise Refusal(no(GONE, "EXPUNGEISSUED"))
    return uids
