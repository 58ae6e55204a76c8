"""CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 9051 section 6.3, RFC 6154 section 3, RFC 8474 section 4.1).

A mailbox that others have selected may be deleted and renamed: renamed, they go on with it; deleted, their selection
ends (RFC 2180 sections 3.3 and 3.4; see mailsrv.imapd.telling).

Diagnostics: the reasons of mailsrv.store.refusals, and StorageError.
"""

from mailsrv.imap import responses
from mailsrv.imap.answers import Answer, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.mailbox_arguments import Create, Delete, Rename, Subscribe
from mailsrv.store.layout import SEPARATOR, normalize
from mailsrv.store.values import INBOX
from mailsrv.imapd.metadata import copy_values
from mailsrv.imapd.state import State
from mailsrv.imapd.telling import close_deleted


def create(state: State, command: Command) -> Answer:
    """CREATE. A separator at the end only says that mailboxes will be below (RFC 9051 section 6.3.4)."""
    arguments = command.arguments
    assert isinstance(arguments, Create)
    if len(arguments.uses) > 1:
        return no("a mailbox has one special use at most", "USEATTR")
    name = normalize(arguments.mailbox.removesuffix(SEPARATOR))
    info = state.mailboxes.create(name, arguments.uses[0] if arguments.uses else "")
    if name != arguments.mailbox and state.rev2:
        # The name was made regular: RFC 9051 section 6.3.9.7.
        old = responses.old_name(arguments.mailbox, state.core.utf8)
        state.send(responses.listed((), name, state.core.utf8, [old]))
    return ok("created", f"MAILBOXID ({info.mailboxid})" if info.mailboxid else "")


def delete(state: State, command: Command) -> Answer:
    """DELETE; mailboxes below stay."""
    arguments = command.arguments
    assert isinstance(arguments, Delete)
    deleted = state.mailboxes.delete(arguments.mailbox)
    if state.view is not None and state.view.box.mailboxid == deleted.mailboxid:
        close_deleted(state)
    return ok("deleted")


def rename(state: State, command: Command) -> Answer:
    """RENAME, with all that is below; INBOX gives its messages to the new mailbox and stays."""
    arguments = command.arguments
    assert isinstance(arguments, Rename)
    old, new = normalize(arguments.mailbox), normalize(arguments.new_name.removesuffix(SEPARATOR))
    state.mailboxes.rename(old, new)
    if old == INBOX:
        copy_values(state, INBOX, new)  # RFC 5464 section 4.1
    if state.rev2:
        state.send(responses.listed((), new, state.core.utf8, [responses.old_name(old, state.core.utf8)]))
    return ok("renamed")


def subscribe(state: State, command: Command) -> Answer:
    """SUBSCRIBE and UNSUBSCRIBE."""
    arguments = command.arguments
    assert isinstance(arguments, Subscribe)
    state.mailboxes.subscribe(arguments.mailbox, arguments.subscribed)
    return ok("subscribed" if arguments.subscribed else "no longer subscribed")
