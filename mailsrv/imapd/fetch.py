"""FETCH and UID FETCH: which messages are told of, and the answer (RFC 9051 section 6.4.5, RFC 7162 sections 3.1.4 and
3.2.6, RFC 9394 section 3.3).

Messages that others have expunged and the client has not been told of are left out, and NO [EXPUNGEISSUED] says so (RFC
2180 section 4.1.2); UIDs that are gone are no matter.

Diagnostics: MailboxGone and StorageError, from the index; TooMany for a command that costs too much; Refusal for
numbers that the client cannot know.
"""

from mailsrv.imap.answers import Answer, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.fetch_items import Fetch, Item
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.responses import vanished
from mailsrv.store.numbering import pick
from mailsrv.imapd.fetch_blocks import Work
from mailsrv.imapd.state import State


def fetch(state: State, command: Command) -> Answer:
    """FETCH and UID FETCH."""
    arguments = command.arguments
    assert isinstance(arguments, Fetch)
    items = arguments.items
    if arguments.changed_since is not None and Item.MODSEQ not in items:
        items = (*items, Item.MODSEQ)
    if Item.MODSEQ in items:
        state.use_modseqs()
    work = Work(state, command.tag, items, arguments.sees)
    work.send_all(_choose(state, arguments))
    if work.unknown_encoding:
        return no("a part has a transfer encoding that is not known here", "UNKNOWN-CTE")
    if work.gone and not arguments.uid:
        return no("some of these messages no longer exist", "EXPUNGEISSUED")
    return ok("FETCH done")


def _choose(state: State, arguments: Fetch) -> NumberSet:
    """The UIDs of the messages to be told of; those that are gone are told of here."""
    view = state.selected
    uids = view.uids_of(arguments.numbers, arguments.uid)
    if arguments.partial is not None:
        uids = NumberSet.of_sorted(arguments.partial.cut(pick(view.uids, uids.slices(view.uids))))
    if arguments.changed_since is None:
        return uids
    # UIDs up to the last one that was given out may be gone, `*` is the last one that is known.
    asked = uids
    if arguments.vanished and not arguments.numbers.saved:
        asked = arguments.numbers.resolve(max(view.uidnext - 1, 1))
    changes = view.box.changes(arguments.changed_since, asked)
    if arguments.vanished:
        # What still has a number here is told with VANISHED, which takes it away.
        gone = changes.vanished - NumberSet.of_sorted(view.uids)
        if gone:
            state.send(vanished(gone, earlier=True))
    return NumberSet.of_sorted([uid for uid, _, _ in changes.flags]) & uids
