"""SELECT, EXAMINE, CLOSE and UNSELECT (RFC 9051 sections 6.3.2, 6.3.3, 6.4.1, 6.4.2; RFC 7162 sections 3.1.8 and 3.2.5;
RFC 8474 section 4.2, RFC 9586).

With QRESYNC the client tells what it knows, and is told what it does not: which messages are gone since, and which have
other flags. What it says about numbers it knows is not needed, for the store knows what vanished when.

Diagnostics: NoMailbox, MailboxGone and StorageError.
"""

from contextlib import suppress

from mailsrv.imap import responses
from mailsrv.imap.answers import Answer, ok
from mailsrv.imap.events import Command
from mailsrv.imap.mailbox_arguments import Qresync, Select
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.refusals import MailboxGone
from mailsrv.imapd.news import make_flag_lines
from mailsrv.imapd.state import State
from mailsrv.imapd.view import View

_CLOSED = b"* OK [CLOSED] the previous mailbox is closed\r\n"


def select(state: State, command: Command) -> Answer:
    """SELECT and EXAMINE."""
    arguments = command.arguments
    assert isinstance(arguments, Select)
    if state.view is not None:
        state.deselect()
        state.send(_CLOSED)
    if arguments.condstore:
        state.use_modseqs()
    box = state.mailboxes.open(arguments.mailbox)
    # RFC 4314 section 5.2: what may neither be added to nor changed is read-only.
    view = View(box, arguments.read_only or not set("iestw") & set(box.rights))
    if not view.read_only:
        view.flags.make_room()
    state.send(_describe(state, view))
    if arguments.qresync is not None:
        _resynchronize(state, view, arguments.qresync)
    state.view = view
    return ok("selected", "READ-ONLY" if view.read_only else "READ-WRITE")


def _describe(state: State, view: View) -> bytes:
    """What a client is told of a mailbox that it opens."""
    box = view.box
    lines = [make_flag_lines(view), responses.exists(len(view.uids))]
    if not state.rev2:
        lines.append(responses.recent())
        # A message number, and behind ENABLE UIDONLY there are none (RFC 9586).
        unseen = 0 if "UIDONLY" in state.core.enabled else view.number_of(box.first_unseen())
        if unseen:
            lines.append(b"* OK [UNSEEN %d] first unseen\r\n" % unseen)
    lines += [
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n" % box.uidvalidity,
        b"* OK [UIDNEXT %d] predicted\r\n" % view.uidnext,
        b"* OK [HIGHESTMODSEQ %d] highest\r\n" % view.modseq,
        b"* OK [MAILBOXID (%b)] id\r\n" % box.mailboxid.encode(),
    ]
    if state.rev2:
        lines.append(responses.listed((), box.name, state.core.utf8))
    return b"".join(lines)


def _resynchronize(state: State, view: View, known: Qresync) -> None:
    """Tell what has changed since the client was here; nothing where its UIDs are those of another time."""
    if known.uidvalidity != view.box.uidvalidity:
        return
    changes = view.box.changes(known.modseq)
    while not view.flags.hold([word for _, word, _ in changes.flags]):
        changes = view.box.changes(known.modseq)
    if view.flags.changed:
        state.send(make_flag_lines(view))
    # What goes right now still has its number here: it is told later, with VANISHED that takes the number away.
    vanished = changes.vanished & NumberSet([(1, max(view.uidnext - 1, 1))]) - NumberSet.of_sorted(view.uids)
    if known.known_uids is not None:
        vanished = vanished & known.known_uids
    if vanished:
        state.send(responses.vanished(vanished, earlier=True))
    told = changes.flags
    if known.known_uids is not None:
        told = [change for change in told if change[0] in known.known_uids]
    numbered = [(number, change) for change in told if (number := view.number_of(change[0]))]
    text = view.flags.text
    if "UIDONLY" in state.core.enabled:
        lines = [
            b"* %d UIDFETCH (FLAGS (%b) MODSEQ (%d))\r\n" % (uid, text(word), at) for _, (uid, word, at) in numbered
        ]
    else:
        lines = [
            b"* %d FETCH (UID %d FLAGS (%b) MODSEQ (%d))\r\n" % (number, uid, text(word), at)
            for number, (uid, word, at) in numbered
        ]
    state.send(b"".join(lines))


def close(state: State, command: Command) -> Answer:
    """CLOSE: expunge what is marked as deleted and say nothing of it."""
    view = state.selected
    if not view.read_only and "e" in view.box.rights:
        with suppress(MailboxGone):  # deleted meanwhile: closed it is
            view.box.expunge()
    state.deselect()
    return ok("closed")


def unselect(state: State, command: Command) -> Answer:
    """UNSELECT: expunge nothing."""
    state.deselect()
    return ok("nothing is selected")
