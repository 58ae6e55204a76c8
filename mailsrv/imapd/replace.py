"""REPLACE and UID REPLACE: a new message comes, and an old one of the selected mailbox goes (RFC 8508).

The new message is durable before the old one goes; a crash in between leaves both. The client is never told that the
old one is \\Deleted, and what it takes counts as free.

Diagnostics: as mailsrv.imapd.append; Refusal and MessageGone where the old message is not there (any more).
"""

from mailsrv.imap.answers import Answer, Continue, Refusal, Status, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.message_arguments import Replace
from mailsrv.imap.numbers import NumberSet, SequenceSet
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import MessageGone
from mailsrv.store.values import DELETED, Operation, Usage
from mailsrv.imapd.append import Upload
from mailsrv.imapd.copy import open_target
from mailsrv.imapd.shared_mailbox import TAKE, expect_rights, is_of_one
from mailsrv.imapd.state import State


class Replacement(Upload):
    """What one REPLACE holds; `uids` is the message that goes."""

    def __init__(self, box: OpenMailbox, target: OpenMailbox, uids: NumberSet, size: int) -> None:
        super().__init__(target, Usage(size, 1) if is_of_one(box, target) else None)
        self.uids = uids

    def finish(self, state: State) -> Status:
        """The new message came: store it, and let the old one go."""
        view = state.selected
        view.sync()
        if self.uids & view.gone:
            raise MessageGone("somebody else has expunged the old message, so the new one is not stored")
        code = self._store_in_place()
        state.send(b"* OK [%b] the new message is there\r\n" % code.encode())
        stored = view.box.store_flags(self.uids, Operation.ADD, DELETED)
        view.sync(stored.modseq if stored.changed else 0)
        view.box.expunge(self.uids)
        return ok("replaced")

    def _store_in_place(self) -> str:
        """Store the new message; the account may hold that much more for as long (RFC 8508 section 3.4)."""
        self.target.free(self.freed)
        try:
            return self.store()
        finally:
            self.target.free(Usage())


def replace(state: State, command: Command) -> Answer:
    """REPLACE is let in where there are both the old message and the mailbox for the new one."""
    arguments = command.arguments
    assert isinstance(arguments, Replace)
    view = state.selected
    expect_rights(view.box, TAKE)
    uids = view.uids_of(SequenceSet(((arguments.number, arguments.number),)), arguments.uid)
    rows = list(view.box.rows(uids, ("uid", "size"))) if uids else []
    if not rows:
        if arguments.uid and not view.number_of(arguments.number):
            raise Refusal(no("there is no such message"))
        raise MessageGone("the message does not exist any more")
    uid, size = rows[0]
    state.upload = Replacement(view.box, open_target(state, arguments.mailbox), NumberSet([(uid, uid)]), size)
    return Continue()
