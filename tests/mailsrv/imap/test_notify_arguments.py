"""NOTIFY: the examples of RFC 5465, and what it forbids."""

import pytest

from mailsrv.imap.fetch_items import Item
from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter
from mailsrv.imap.notify_arguments import EventGroup, Notify, NotifyEvent
from tests.mailsrv.imap.parsing import complain, read

NEW = frozenset({NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE})
SELECTED = MailboxFilter(FilterKind.SELECTED)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"NONE", Notify()),
        (
            b"SET STATUS (selected MessageNew (FLAGS UID) MessageExpunge)",
            None,
        ),
        (
            b"set status (selected (MessageNew (uid flags) MessageExpunge FlagChange)) (personal (MailboxName))",
            Notify(
                (
                    EventGroup(SELECTED, NEW | {NotifyEvent.FLAG_CHANGE}, (Item.UID, Item.FLAGS)),
                    EventGroup(MailboxFilter(FilterKind.PERSONAL), frozenset({NotifyEvent.MAILBOX_NAME})),
                ),
                status=True,
            ),
        ),
        (
            b"SET (selected-delayed (MessageNew MessageExpunge)) (mailboxes INBOX NONE)",
            Notify(
                (
                    EventGroup(MailboxFilter(FilterKind.SELECTED_DELAYED), NEW),
                    EventGroup(MailboxFilter(FilterKind.MAILBOXES, ("INBOX",)), frozenset()),
                )
            ),
        ),
        (
            b"SET (subtree (a b) (SubscriptionChange FancyEvent))",
            Notify(
                (
                    EventGroup(
                        MailboxFilter(FilterKind.SUBTREE, ("a", "b")),
                        frozenset({NotifyEvent.SUBSCRIPTION_CHANGE}),
                        (),
                        ("FANCYEVENT",),
                    ),
                )
            ),
        ),
    ],
)
def test_notify(text: bytes, found: Notify | None) -> None:
    if found is None:
        assert "expected" in complain("NOTIFY", text)
    else:
        assert read("NOTIFY", text) == found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "expected a space and SET or NONE"),
        (b"FOO", "expected SET or NONE"),
        (b"NONE x", "expected the end of the command"),
        (b"SET", "expected a space and STATUS or a group"),
        (b"SET STATUS", "expected a space and a group of events"),
        (b"SET ()", "expected a filter"),
        (b"SET (subtree-one a (MailboxName))", "expected a filter"),
        (b"SET (personal)", "expected a space and a list of events or NONE"),
        (b"SET (personal ())", "expected an event like MessageNew"),
        (b"SET (personal (MessageNew))", "expected MessageNew and MessageExpunge together"),
        (b"SET (personal (MessageExpunge))", "expected MessageNew and MessageExpunge together"),
        (b"SET (personal (FlagChange))", "expected MessageNew and MessageExpunge beside FlagChange"),
        (b"SET (selected (MailboxName))", "expected events of messages for the selected mailbox"),
        (b"SET (personal (MessageNew (UID) MessageExpunge))", "expected items of new messages for the selected"),
        (b"SET (selected NONE) (selected-delayed NONE)", "expected selected or selected-delayed, once"),
        (b"SET " + b" ".join([b"(personal NONE)"] * 102), "at most 100 groups"),
    ],
)
def test_what_is_wrong(text: bytes, complaint: str) -> None:
    assert complaint in complain("NOTIFY", text)
