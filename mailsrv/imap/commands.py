"""The commands of IMAP as one table of named rows (RFC 9051 section 6 and the extensions named at each room of
arguments).

A row says where a command is legal, reads its arguments into a frozen dataclass, and tells what floor 4 must know
before it acts. Text from the client selects a row here and nothing else. Readers judge what an argument may be only
after ENABLE.

Diagnostics: readers raise GrammarError (BAD, with what was expected) and Refusal (its Status); nothing else leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mailsrv.imap import access_arguments as access
from mailsrv.imap import entries
from mailsrv.imap import list_arguments as lists
from mailsrv.imap import mailbox_arguments as mailboxes
from mailsrv.imap import message_arguments as messages
from mailsrv.imap import search_arguments as searches
from mailsrv.imap import session_arguments as sessions
from mailsrv.imap.fetch_grammar import read_fetch
from mailsrv.imap.notify_arguments import read_notify
from mailsrv.imap.situation import Situation, State
from mailsrv.imap.tokens import Cursor

Reader = Callable[[Cursor, Situation], object]

_ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
_BEFORE_LOGIN = frozenset({State.NOT_AUTHENTICATED})
_AFTER_LOGIN = frozenset({State.AUTHENTICATED, State.SELECTED})
_SELECTED = frozenset({State.SELECTED})


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One command.

    `uses_numbers`: has message numbers among its arguments or results, so that none may change before it is done.
    `may_renumber`: EXPUNGE or VANISHED may be sent with its answer (RFC 9051 section 7.5.1). `changes_mailbox`: changes
    the selected mailbox, which must not be read-only. `streams`: messages follow as events.
    """

    name: str
    read: Reader
    states: frozenset[State] = _AFTER_LOGIN
    uses_numbers: bool = False
    may_renumber: bool = False
    changes_mailbox: bool = False
    streams: bool = False


def _both(name: str, read: Callable[..., object], *, renumber: bool = False, change: bool = False) -> tuple[Row, Row]:
    """A command on messages, and its UID form, in which EXPUNGE may be sent (RFC 9051 section 7.5.1)."""
    return (
        Row(name, read, _SELECTED, uses_numbers=True, may_renumber=renumber, changes_mailbox=change),
        Row(f"UID {name}", partial(read, uid=True), _SELECTED, may_renumber=True, changes_mailbox=change),
    )


_ROWS = (
    Row("CAPABILITY", sessions.read_nothing, _ANY, may_renumber=True),
    Row("NOOP", sessions.read_nothing, _ANY, may_renumber=True),
    Row("LOGOUT", sessions.read_nothing, _ANY),
    Row("ID", sessions.read_id, _ANY, may_renumber=True),
    Row("STARTTLS", sessions.read_starttls, _BEFORE_LOGIN),
    Row("LOGIN", sessions.read_login, _BEFORE_LOGIN),
    Row("AUTHENTICATE", sessions.read_authenticate, _BEFORE_LOGIN),
    Row("ENABLE", sessions.read_enable, may_renumber=True),
    Row("COMPRESS", sessions.read_compress),
    Row("UNAUTHENTICATE", sessions.read_nothing),
    Row("IDLE", sessions.read_nothing, may_renumber=True),
    Row("NAMESPACE", sessions.read_nothing, may_renumber=True),
    Row("NOTIFY", read_notify, may_renumber=True),
    # Mailboxes
    Row("SELECT", mailboxes.read_select),
    Row("EXAMINE", partial(mailboxes.read_select, read_only=True)),
    Row("CREATE", mailboxes.read_create, may_renumber=True),
    Row("DELETE", mailboxes.read_delete, may_renumber=True),
    Row("RENAME", mailboxes.read_rename, may_renumber=True),
    Row("SUBSCRIBE", mailboxes.read_subscribe, may_renumber=True),
    Row("UNSUBSCRIBE", partial(mailboxes.read_subscribe, subscribed=False), may_renumber=True),
    Row("LIST", lists.read_list, may_renumber=True),
    Row("LSUB", lists.read_lsub, may_renumber=True),
    Row("STATUS", mailboxes.read_status, may_renumber=True),
    Row("GETMETADATA", entries.read_get_metadata, may_renumber=True),
    Row("SETMETADATA", entries.read_set_metadata, may_renumber=True),
    Row("GETACL", access.read_get_acl, may_renumber=True),
    Row("SETACL", access.read_set_acl, may_renumber=True),
    Row("DELETEACL", access.read_delete_acl, may_renumber=True),
    Row("LISTRIGHTS", access.read_list_rights, may_renumber=True),
    Row("MYRIGHTS", access.read_my_rights, may_renumber=True),
    Row("GETQUOTA", access.read_get_quota, may_renumber=True),
    Row("GETQUOTAROOT", access.read_get_quota_root, may_renumber=True),
    Row("SETQUOTA", access.read_set_quota, may_renumber=True),
    Row("ESEARCH", searches.read_esearch, may_renumber=True),
    # Messages
    Row("APPEND", messages.read_append, may_renumber=True, streams=True),
    Row("CHECK", sessions.read_nothing, _SELECTED, may_renumber=True),
    Row("CLOSE", sessions.read_nothing, _SELECTED),
    Row("UNSELECT", sessions.read_nothing, _SELECTED),
    Row("EXPUNGE", messages.read_expunge, _SELECTED, may_renumber=True, changes_mailbox=True),
    Row("UID EXPUNGE", messages.read_uid_expunge, _SELECTED, may_renumber=True, changes_mailbox=True),
    # While FETCH, STORE and SEARCH run, nothing is renumbered (RFC 9051 section 7.5.1), nor while their results sort.
    *_both("FETCH", read_fetch),
    *_both("STORE", messages.read_store, change=True),
    *_both("SEARCH", searches.read_search),
    *_both("SORT", searches.read_sort),
    *_both("THREAD", searches.read_thread),
    *_both("COPY", messages.read_copy, renumber=True),
    *_both("MOVE", messages.read_move, renumber=True, change=True),
    Row("REPLACE", messages.read_replace, _SELECTED, uses_numbers=True, changes_mailbox=True, streams=True),
    Row(
        "UID REPLACE",
        partial(messages.read_replace, uid=True),
        _SELECTED,
        may_renumber=True,
        changes_mailbox=True,
        streams=True,
    ),
)

# By name as octets in capitals, as the client's words are looked up.
COMMANDS: dict[bytes, Row] = {row.name.encode(): row for row in _ROWS}


def judge(row: Row, situation: Situation) -> tuple[str, str] | None:
    """Why a command is wrong now, whatever its arguments, as text and code of BAD; None where it is right."""
    if situation.state not in row.states:
        if situation.state is State.NOT_AUTHENTICATED:
            return "log in first", ""
        return ("select a mailbox first" if State.SELECTED in row.states else "you are logged in already"), ""
    if row.uses_numbers and situation.uid_only:
        return "message numbers are not used behind ENABLE UIDONLY", "UIDREQUIRED"
    return None
