"""NOTIFY: which events of which mailboxes a client wants to hear of (RFC 5465).

Diagnostics: `read_notify` raises GrammarError with what was expected.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.errors import GrammarError
from mailsrv.imap.fetch_grammar import MAX_FETCH_ITEMS, read_item
from mailsrv.imap.fetch_items import FetchItem
from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter, read_filter
from mailsrv.imap.situation import Situation
from mailsrv.imap.tokens import Cursor

MAX_GROUPS = 100
MAX_EVENTS = 20


class NotifyEvent(Enum):
    """The events of RFC 5465 section 5, as they are written."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    ANNOTATION_CHANGE = "AnnotationChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"

    __hash__ = object.__hash__  # members are single: by identity, in C


_EVENTS = {event.value.upper().encode(): event for event in NotifyEvent}
_FILTERS = frozenset(FilterKind) - {FilterKind.SUBTREE_ONE}
_SELECTED = frozenset({FilterKind.SELECTED, FilterKind.SELECTED_DELAYED})
_OF_MESSAGES = frozenset(
    {
        NotifyEvent.MESSAGE_NEW,
        NotifyEvent.MESSAGE_EXPUNGE,
        NotifyEvent.FLAG_CHANGE,
        NotifyEvent.ANNOTATION_CHANGE,
    }
)


@dataclass(frozen=True, slots=True)
class EventGroup:
    """A filter, its events, what is fetched of a new message, and the names of events that nobody knows: they are to be
    refused with BADEVENT (RFC 5465 section 5)."""

    filter: MailboxFilter
    events: frozenset[NotifyEvent]
    items: tuple[FetchItem, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notify:
    """NOTIFY SET, or NONE where `groups` is empty; `status` asks for STATUS of each mailbox now."""

    groups: tuple[EventGroup, ...] = ()
    status: bool = False


def read_notify(cursor: Cursor, situation: Situation) -> Notify:
    """NOTIFY NONE, or NOTIFY SET [STATUS] group ..."""
    cursor.expect_space("SET or NONE")
    if cursor.try_word(b"NONE"):
        cursor.expect_end()
        return Notify()
    if not cursor.try_word(b"SET"):
        raise cursor.fault("SET or NONE")
    cursor.expect_space("STATUS or a group of events")
    status = cursor.try_word(b"STATUS")
    if status:
        cursor.expect_space("a group of events")
    groups = [_read_group(cursor)]
    while cursor.try_octets(b" "):
        groups.append(_read_group(cursor))
        if len(groups) > MAX_GROUPS:
            raise GrammarError(f"expected at most {MAX_GROUPS} groups of events")
    cursor.expect_end()
    if sum(group.filter.kind in _SELECTED for group in groups) > 1:
        raise GrammarError("expected selected or selected-delayed, once")
    return Notify(tuple(groups), status)


def _read_group(cursor: Cursor) -> EventGroup:
    cursor.expect_octets(b"(", "a group of events")
    found = read_filter(cursor, _FILTERS)
    cursor.expect_space("a list of events or NONE")
    if cursor.try_word(b"NONE"):
        cursor.expect_octets(b")", "the end of a group")
        return EventGroup(found, frozenset())
    pairs = cursor.expect_list(_read_event, "events", MAX_EVENTS)
    cursor.expect_octets(b")", "the end of a group")
    events = frozenset(event for event, _ in pairs if isinstance(event, NotifyEvent))
    unknown = tuple(event for event, _ in pairs if isinstance(event, str))
    items = tuple(dict.fromkeys(item for _, some in pairs for item in some))
    _check(found, events, items)
    return EventGroup(found, events, items, unknown)


def _read_event(cursor: Cursor) -> tuple[NotifyEvent | str, tuple[FetchItem, ...]]:
    word = cursor.expect_word("an event like MessageNew")
    event = _EVENTS.get(word)
    if event is NotifyEvent.MESSAGE_NEW and cursor.try_octets(b" ("):
        cursor.at -= 1
        return event, cursor.expect_list(read_item, "items", MAX_FETCH_ITEMS)
    return event or word.decode(), ()


def _check(found: MailboxFilter, events: frozenset[NotifyEvent], items: tuple[FetchItem, ...]) -> None:
    """What RFC 5465 sections 5 and 8 demand of a group."""
    both = {NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE}
    if len(both & events) == 1:
        raise GrammarError("expected MessageNew and MessageExpunge together")
    if {NotifyEvent.FLAG_CHANGE, NotifyEvent.ANNOTATION_CHANGE} & events and not both <= events:
        raise GrammarError("expected MessageNew and MessageExpunge beside FlagChange")
    if found.kind in _SELECTED and not events <= _OF_MESSAGES:
        raise GrammarError("expected events of messages for the selected mailbox")
    if items and found.kind not in _SELECTED:
        raise GrammarError("expected items of new messages for the selected mailbox only")
