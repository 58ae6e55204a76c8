"""Which mailboxes NOTIFY and ESEARCH mean: filters by kind and name (RFC 5465 section 6, RFC 7377 section 2.2).

Diagnostics: `read_filter` raises GrammarError with what was expected.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.imap.grammar import read_mailbox
from mailsrv.imap.tokens import Cursor

MAX_MAILBOXES = 1000  # in one filter


class FilterKind(Enum):
    """The words of RFC 5465 section 6, in capitals."""

    SELECTED = b"SELECTED"
    SELECTED_DELAYED = b"SELECTED-DELAYED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    SUBTREE_ONE = b"SUBTREE-ONE"
    MAILBOXES = b"MAILBOXES"

    __hash__ = object.__hash__  # members are single: by identity, in C


_KINDS = {kind.value: kind for kind in FilterKind}
_NAMED = frozenset({FilterKind.SUBTREE, FilterKind.SUBTREE_ONE, FilterKind.MAILBOXES})


@dataclass(frozen=True, slots=True)
class MailboxFilter:
    """A kind, with names where it has some."""

    kind: FilterKind
    mailboxes: tuple[str, ...] = ()


def read_filter(cursor: Cursor, allowed: frozenset[FilterKind]) -> MailboxFilter:
    """A filter of one of the allowed kinds."""
    what = "a filter like personal or mailboxes INBOX"
    start = cursor.at
    kind = cursor.expect_choice(_KINDS, what)
    if kind not in allowed:
        cursor.at = start
        raise cursor.fault(what)
    if kind not in _NAMED:
        return MailboxFilter(kind)
    cursor.expect_space("a mailbox name or a list of them")
    if cursor.peek(b"("):
        return MailboxFilter(kind, tuple(dict.fromkeys(cursor.expect_list(read_mailbox, "mailboxes", MAX_MAILBOXES))))
    return MailboxFilter(kind, (read_mailbox(cursor),))
