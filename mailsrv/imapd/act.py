"""What answers each command: one table of functions by the names of mailsrv.imap.commands.

An action gets the session's state and the command, sends untagged data by `state.send`, and gives the answer. A form
with UID has the same action as the one without; its arguments say which it is. Text of the client selects nothing here.
What surrounds every command (reasons of the store as NO, news before the answer) is in mailsrv.imapd.telling.

Diagnostics: `perform` raises what the pump raises when the client is gone, and what is a bug.
"""

from collections.abc import Callable
from typing import Any

from mailsrv.imap.answers import Answer, no
from mailsrv.imap.commands import Row
from mailsrv.imap.events import Aborted, AppendEnd, Command, MessageChunk, MessageEnd, MessageStart
from mailsrv.imapd import (
    access,
    append,
    copy,
    expunge,
    fetch,
    flags,
    idle,
    listing,
    login,
    mailboxes,
    metadata,
    multisearch,
    notify,
    quota,
    replace,
    search,
    select,
    session_commands,
    sort,
    status,
)
from mailsrv.imapd.state import State
from mailsrv.imapd.telling import guard

Action = Callable[[State, Command], Answer]

# By the name of the row, without UID. CAPABILITY is the core's own.
ACTIONS: dict[str, Action] = {
    "APPEND": append.append,
    "AUTHENTICATE": login.authenticate,
    "CHECK": session_commands.noop,
    "CLOSE": select.close,
    "COMPRESS": session_commands.compress,
    "COPY": copy.copy,
    "CREATE": mailboxes.create,
    "DELETE": mailboxes.delete,
    "DELETEACL": access.delete_rights,
    "ENABLE": session_commands.enable,
    "ESEARCH": multisearch.esearch,
    "EXAMINE": select.select,
    "EXPUNGE": expunge.expunge,
    "FETCH": fetch.fetch,
    "GETACL": access.get_rights,
    "GETMETADATA": metadata.get_metadata,
    "GETQUOTA": quota.get_quota,
    "GETQUOTAROOT": quota.get_quota_root,
    "ID": session_commands.identify,
    "IDLE": idle.begin,
    "LIST": listing.list_mailboxes,
    "LISTRIGHTS": access.list_rights,
    "LOGIN": login.login,
    "LOGOUT": session_commands.logout,
    "LSUB": listing.list_subscribed,
    "MOVE": copy.move,
    "MYRIGHTS": access.my_rights,
    "NAMESPACE": session_commands.namespace,
    "NOOP": session_commands.noop,
    "NOTIFY": notify.notify,
    "RENAME": mailboxes.rename,
    "REPLACE": replace.replace,
    "SEARCH": search.search,
    "SELECT": select.select,
    "SETACL": access.set_rights,
    "SETMETADATA": metadata.set_metadata,
    "SETQUOTA": quota.set_quota,
    "SORT": sort.sort,
    "STARTTLS": session_commands.start_tls,
    "STATUS": status.ask_status,
    "STORE": flags.store,
    "SUBSCRIBE": mailboxes.subscribe,
    "THREAD": sort.thread,
    "UNAUTHENTICATE": login.unauthenticate,
    "UNSELECT": select.unselect,
    "UNSUBSCRIBE": mailboxes.subscribe,
}

# What the events behind an accepted APPEND or REPLACE do, by type: those that are answered, and those that are not. All
# from mailsrv.imapd.append.
STREAMED: dict[type[Any], Callable[[State, Any], Answer]] = {
    MessageStart: append.start_message,
    AppendEnd: append.finish,
}
TAKEN: dict[type[Any], Callable[[State, Any], None]] = {
    MessageChunk: append.take_chunk,
    MessageEnd: append.end_message,
    Aborted: append.abort,
}

# Commands that change what NOTIFY tells of mailboxes and values, and not of messages.
OWN_NEWS = frozenset({"CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "SETACL", "DELETEACL", "SETMETADATA"})

# Those that change values, or which can be seen, and what ENABLE METADATA tells of them.
OWN_VALUES = frozenset({"DELETE", "RENAME", "SETACL", "DELETEACL", "SETMETADATA"})

READ_ONLY = no("this mailbox is selected read-only", "READ-ONLY")


def name_of(row: Row) -> str:
    """The name of a row in ACTIONS."""
    return row.name.removeprefix("UID ")


def perform(state: State, command: Command) -> Answer:
    """Answer one command."""
    row = command.row
    if row.changes_mailbox and state.view is not None and state.view.read_only:
        return READ_ONLY
    name = name_of(row)
    notices, annotations = state.notices if name in OWN_NEWS else None, state.annotations
    # What others did is told before, so that what this command does need not be told to who gives it.
    if annotations is not None:
        annotations.look(state)
    if notices is not None:
        notices.look(state)
    answer = guard(state, lambda: ACTIONS[name](state, command), row.may_renumber)
    if notices is not None:
        notices.remember(state)
    if annotations is not None and name in OWN_VALUES:
        annotations.remember(state)
    return answer

