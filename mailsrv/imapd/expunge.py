"""EXPUNGE and UID EXPUNGE (RFC 9051 sections 6.4.3 and 6.4.9, RFC 7162 section 3.2.7).

The client hears which messages are gone with the news that follow each command; nothing is told here.

Diagnostics: MailboxGone and StorageError come from the store.
"""

from mailsrv.imap.answers import Status, ok
from mailsrv.imap.events import Command
from mailsrv.imap.message_arguments import Expunge
from mailsrv.imapd.state import State


def expunge(state: State, command: Command) -> Status:
    """Remove the messages with \\Deleted: all, or those among the UIDs named."""
    arguments = command.arguments
    assert isinstance(arguments, Expunge)
    view = state.selected
    uids = None if arguments.uids is None else view.uids_of(arguments.uids, uid=True)
    gone, modseq = view.box.expunge(uids)
    if gone and state.core.enabled & {"CONDSTORE", "QRESYNC"}:
        return ok("expunged", f"HIGHESTMODSEQ {modseq}")
    return ok("expunged" if gone else "nothing to be expunged")
