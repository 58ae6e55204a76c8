"""Filters of mailboxes."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter, read_filter
from mailsrv.imap.tokens import Cursor

ALL = frozenset(FilterKind)


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b"selected", MailboxFilter(FilterKind.SELECTED)),
        (b"Selected-Delayed", MailboxFilter(FilterKind.SELECTED_DELAYED)),
        (b"inboxes", MailboxFilter(FilterKind.INBOXES)),
        (b"subscribed", MailboxFilter(FilterKind.SUBSCRIBED)),
        (b"subtree Lists", MailboxFilter(FilterKind.SUBTREE, ("Lists",))),
        (b'mailboxes (inbox "a b" INBOX)', MailboxFilter(FilterKind.MAILBOXES, ("INBOX", "a b"))),
    ],
)
def test_filters(octets: bytes, found: MailboxFilter) -> None:
    assert read_filter(Cursor(octets), ALL) == found


@pytest.mark.parametrize("octets", [b"", b"foo", b"mailboxes", b"mailboxes ()", b"subtree (a", b"(selected)"])
def test_what_is_no_filter(octets: bytes) -> None:
    with pytest.raises(GrammarError):
        read_filter(Cursor(octets), ALL)


def test_only_what_is_allowed() -> None:
    with pytest.raises(GrammarError, match="expected a filter like personal"):
        read_filter(Cursor(b"selected"), ALL - {FilterKind.SELECTED})
