"""Commands about the session itself: NOOP, CHECK, LOGOUT, STARTTLS, COMPRESS, ENABLE, ID, NAMESPACE (RFC 9051 section
6.1, RFC 4978, RFC 5161, RFC 2971, RFC 2342).

CAPABILITY is the core's own; the state changes there. Nothing of a message is read here.

Diagnostics: StorageError where NOOP looks into the selected mailbox.
"""

from contextlib import suppress

from mailsrv import __version__
from mailsrv.imap import responses
from mailsrv.imap.answers import Answer, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.extended_responses import identity
from mailsrv.imap.session_arguments import Enable
from mailsrv.store.layout import BELOW_OTHERS
from mailsrv.store.refusals import MailboxGone
from mailsrv.imapd.annotations import Annotations
from mailsrv.imapd.state import State

_MODSEQS = frozenset({"CONDSTORE", "QRESYNC"})
_VALUES = frozenset({"METADATA", "METADATA-SERVER"})  # ask for word of values that change (RFC 5464 section 4.1)


def noop(state: State, command: Command) -> Answer:
    """NOOP and CHECK: look for new files; the news follow by themselves. Nothing makes them fail but a disk that does
    (RFC 9051 section 6.1.2)."""
    if state.view is not None:
        with suppress(MailboxGone):  # which is news, too
            state.view.box.refresh()
    return ok("nothing more is new")


def logout(state: State, command: Command) -> Answer:
    """LOGOUT."""
    state.drop()
    return ok("logged out")


def start_tls(state: State, command: Command) -> Answer:
    """STARTTLS, where the core has seen that it is offered."""
    return ok("begin TLS now") if state.house.tls else no("TLS is not available", "UNAVAILABLE")


def compress(state: State, command: Command) -> Answer:
    """COMPRESS DEFLATE."""
    return ok("DEFLATE active")


def enable(state: State, command: Command) -> Answer:
    """ENABLE; the core keeps and tells what is on."""
    arguments = command.arguments
    assert isinstance(arguments, Enable)
    if not _MODSEQS.isdisjoint(arguments.capabilities):
        state.use_modseqs()
    if not _VALUES.isdisjoint(arguments.capabilities):
        mailboxes = "METADATA" in state.core.enabled or "METADATA" in arguments.capabilities
        state.annotations = Annotations(state, mailboxes)
    return ok("enabled")


def identify(state: State, command: Command) -> Answer:
    """ID. What the client says is not kept: it is not to be believed (RFC 2971 section 1)."""
    state.send(identity([("name", "mailsrv"), ("version", __version__)]))
    return ok("pleased to meet you")


def namespace(state: State, command: Command) -> Answer:
    """NAMESPACE: the account's own mailboxes have no prefix, those that others share have theirs."""
    state.send(responses.namespace([""], [BELOW_OTHERS], None, state.core.utf8))
    return ok("these are all")
