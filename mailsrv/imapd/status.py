"""STATUS: counters of a mailbox that need not be selected (RFC 9051 section 6.3.11, RFC 7162, RFC 8474, RFC 7889, RFC
9208).

Diagnostics: NoMailbox and StorageError.
"""

from collections.abc import Callable

from mailsrv.imap import responses
from mailsrv.imap.answers import Answer, ok
from mailsrv.imap.events import Command
from mailsrv.imap.mailbox_arguments import AskStatus, StatusItem
from mailsrv.store.values import DELETED, MailboxStatus
from mailsrv.imapd.state import State

Value = int | str | None

_FROM_COUNTERS: dict[StatusItem, Callable[[MailboxStatus], Value]] = {
    StatusItem.MESSAGES: lambda it: it.messages,
    StatusItem.UIDNEXT: lambda it: it.uidnext,
    StatusItem.UIDVALIDITY: lambda it: it.uidvalidity,
    StatusItem.UNSEEN: lambda it: it.unseen,
    StatusItem.DELETED: lambda it: it.deleted,
    StatusItem.SIZE: lambda it: it.octets,
    StatusItem.RECENT: lambda it: 0,
    StatusItem.HIGHESTMODSEQ: lambda it: it.highestmodseq,
    StatusItem.MAILBOXID: lambda it: it.mailboxid,
}


def ask_status(state: State, command: Command) -> Answer:
    """STATUS."""
    arguments = command.arguments
    assert isinstance(arguments, AskStatus)
    state.send(make_status(state, arguments.mailbox, arguments.items))
    return ok("that is all")


def make_status(state: State, name: str, items: tuple[StatusItem, ...]) -> bytes:
    """The STATUS response of a mailbox, new messages counted. Raises NoMailbox."""
    if StatusItem.HIGHESTMODSEQ in items:
        state.use_modseqs()
    counters = state.mailboxes.status(name)
    values = [(item, _find(state, name, item, counters)) for item in items]
    return responses.status(name, values, state.core.utf8)


def _find(state: State, name: str, item: StatusItem, counters: MailboxStatus) -> Value:
    from_counters = _FROM_COUNTERS.get(item)
    if from_counters is not None:
        return from_counters(counters)
    if item is StatusItem.APPENDLIMIT:
        return state.house.config.limits.message_size
    # DELETED-STORAGE: what an EXPUNGE would free, which nobody counts all the time.
    if not counters.deleted:
        return 0
    rows = state.mailboxes.open(name).rows(None, ("flags", "size"))
    return sum(int(size) for flags, size in rows if flags & DELETED)
