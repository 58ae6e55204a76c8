"""NOTIFY: what happens in mailboxes is told without being asked for, between commands too (RFC 5465).

The selected mailbox is told of as in IDLE (mailsrv.imapd.telling asks here for what is wanted); the others by comparing
what they were with what they are, whenever somebody rings. Whatever is not told at once is told at the next ring, and
nothing that happens meanwhile is forgotten; what the client itself did to messages elsewhere may be told too. Mailboxes
are known by their object ids, so that a new name hides nothing of what else happened to one.

Diagnostics: Refusal for events that nobody knows (BADEVENT) and for too many mailboxes (NOTIFICATIONOVERFLOW);
StorageError, NoMailbox and MailboxGone never leave `look`: what cannot be found out is told another time.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from mailsrv.errors import StorageError
from mailsrv.imap import extended_responses, responses
from mailsrv.imap.answers import Answer, Refusal, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.fetch_items import Item
from mailsrv.imap.mailbox_arguments import StatusItem
from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter
from mailsrv.imap.notify_arguments import EventGroup, Notify, NotifyEvent
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.layout import SEPARATOR, is_of_others, parents
from mailsrv.store.refusals import MailboxGone, NoMailbox
from mailsrv.store.values import INBOX, MailboxInfo, MailboxStatus
from mailsrv.imapd import idle
from mailsrv.imapd.fetch_blocks import Work
from mailsrv.imapd.metadata import find_values
from mailsrv.imapd.state import State

MOST_MAILBOXES = 200  # whose messages are watched: each costs a look at every ring

_KNOWN = frozenset(NotifyEvent) - {NotifyEvent.ANNOTATION_CHANGE}
_SELECTED = frozenset({FilterKind.SELECTED, FilterKind.SELECTED_DELAYED})
_NONE = EventGroup(MailboxFilter(FilterKind.SELECTED), frozenset())

_FLAG_CHANGE = NotifyEvent.FLAG_CHANGE
_NAME = NotifyEvent.MAILBOX_NAME
_SUBSCRIPTION = NotifyEvent.SUBSCRIPTION_CHANGE
_MESSAGES = frozenset({NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE})

Values = Mapping[str, bytes]


def notify(state: State, command: Command) -> Answer:
    """NOTIFY SET and NOTIFY NONE. The answer comes with what is new in the selected mailbox, as that of NOOP."""
    arguments = command.arguments
    assert isinstance(arguments, Notify)
    if any(group.unknown or not group.events <= _KNOWN for group in arguments.groups):
        known = extended_responses.bad_event(event.value for event in NotifyEvent if event in _KNOWN)
        raise Refusal(no("these are the events", known))
    notices = Notices(arguments)
    watched = notices.choose(state, _MESSAGES)
    if len(watched) > MOST_MAILBOXES:
        raise Refusal(no(f"messages of {MOST_MAILBOXES} mailboxes at most are watched", "NOTIFICATIONOVERFLOW"))
    state.notices = notices
    idle.listen(state)  # before the first look, so that nothing falls between them
    if state.view is not None:
        state.view.box.refresh()
    notices.remember(state)
    notices.begin(state, watched, arguments.status)
    return ok("you will hear")


class Notices:
    """What one session wants to hear, and what it has been told of."""

    def __init__(self, wanted: Notify) -> None:
        selected = [group for group in wanted.groups if group.filter.kind in _SELECTED]
        self._selected = selected[0] if selected else _NONE
        self._groups = [group for group in wanted.groups if group.filter.kind not in _SELECTED]
        self._counters: dict[str, tuple[str, MailboxStatus]] = {}  # by object id: the name then, and what was told
        self._infos: dict[str, MailboxInfo] = {}  # by object id, or name
        self._values: dict[str, Values] = {}  # by object id; "" is the server

    # The selected mailbox: see telling.tell

    @property
    def tells_selected(self) -> bool:
        """Whether news of the selected mailbox are told at all."""
        return bool(self._selected.events)

    @property
    def tells_flags(self) -> bool:
        """Whether changes of flags are among them."""
        return _FLAG_CHANGE in self._selected.events

    @property
    def delays(self) -> bool:
        """Whether EXPUNGE waits for a command that allows it."""
        return self._selected.filter.kind is FilterKind.SELECTED_DELAYED

    def fetch_new(self, state: State, uids: NumberSet) -> None:
        """Tell what is wanted of messages that have just been told as new. It makes none of them Seen."""
        if self._selected.items:
            others = tuple(item for item in self._selected.items if item is not Item.UID)
            with suppress(MailboxGone, StorageError):  # found out with the next command
                Work(state, "", (Item.UID, *others), sees=False).send_all(uids)

    # The others

    def look(self, state: State) -> None:
        """Tell what has happened since the last time."""
        try:
            self._look_at_names(state)
            self._look_at_messages(state)
            self._look_at_values(state)
        except StorageError:
            return  # its line in the log is written by whoever asks for the mailbox itself

    def remember(self, state: State) -> None:
        """The names and values that are now are not told."""
        self._infos = self._find_infos(state)
        self._values, _ = self._find_values(state)

    def choose(self, state: State, events: frozenset[NotifyEvent]) -> list[MailboxInfo]:
        """The mailboxes of which any of these events is wanted."""
        return [info for info in state.mailboxes.mailboxes() if info.exists and self._events_of(info) & events]

    def _events_of(self, info: MailboxInfo) -> frozenset[NotifyEvent]:
        found: frozenset[NotifyEvent] = frozenset()
        for group in self._groups:
            if _FILTERS[group.filter.kind](info, group.filter.mailboxes):
                found |= group.events
        return found

    # Messages

    def begin(self, state: State, watched: Iterable[MailboxInfo], is_told: bool) -> None:
        """Take the counters that are now as told, or tell them; those of the selected mailbox are known."""
        for info in watched:
            now = _count(state, info.name)
            if now is None:
                continue
            self._counters[info.mailboxid] = info.name, now
            if is_told and info.mailboxid != _selected(state):
                self._send_status(state, info, now)

    def _look_at_messages(self, state: State) -> None:
        """What was told of a selected mailbox by STATUS stays as it is until another is selected: whatever its view
        had no time to tell is told then."""
        watched = self.choose(state, _MESSAGES)[:MOST_MAILBOXES]
        known = {name: key for key, (name, _) in self._counters.items()}
        for info in watched:
            key = info.mailboxid
            if key == _selected(state) or (now := _count(state, info.name)) is None:
                continue
            _, old = self._counters.get(key, ("", None))
            self._counters[key] = info.name, now
            # One that comes with messages brings news (also when they are gone again); so does another of this name.
            is_other = known.get(info.name, key) != key or old is None and now.uidnext > 1
            if is_other or old is not None and _numbers(old) != _numbers(now):
                self._send_status(state, info, now)
            elif old is not None and old.highestmodseq != now.highestmodseq and _FLAG_CHANGE in self._events_of(info):
                self._send_flags(state, info.name, old, now)
        alive = {info.mailboxid for info in watched}
        for key in self._counters.keys() - alive:
            del self._counters[key]

    def _send_status(self, state: State, info: MailboxInfo, counters: MailboxStatus) -> None:
        """Tell counters (RFC 5465 section 3.1)."""
        told: list[tuple[StatusItem, int | str | None]] = [
            (StatusItem.MESSAGES, counters.messages),
            (StatusItem.UIDNEXT, counters.uidnext),
            (StatusItem.UIDVALIDITY, counters.uidvalidity),
        ]
        if _FLAG_CHANGE in self._events_of(info):
            told.append((StatusItem.UNSEEN, counters.unseen))
        if state.core.enabled & {"CONDSTORE", "QRESYNC"}:
            told.append((StatusItem.HIGHESTMODSEQ, counters.highestmodseq))
        state.send(responses.status(info.name, told, state.core.utf8))

    def _send_flags(self, state: State, name: str, old: MailboxStatus, now: MailboxStatus) -> None:
        told: list[tuple[StatusItem, int | str | None]] = [(StatusItem.UIDVALIDITY, now.uidvalidity)]
        if old.unseen != now.unseen:
            told.append((StatusItem.UNSEEN, now.unseen))
        if state.core.enabled & {"CONDSTORE", "QRESYNC"}:
            told.append((StatusItem.HIGHESTMODSEQ, now.highestmodseq))
        if len(told) > 1:
            state.send(responses.status(name, told, state.core.utf8))

    # Names and subscriptions

    def _look_at_names(self, state: State) -> None:
        old, new = self._infos, self._find_infos(state)
        self._infos = new
        if old == new:
            return
        renamed = {
            (old[key].name, info.name) for key, info in new.items() if key in old and old[key].name != info.name
        }
        # Those that are gone come first: another may have their name now.
        for key in [*(key for key in old if key not in new), *new]:
            before, after = old.get(key), new.get(key)
            info = after or before
            if before == after or info is None:
                continue
            wanted = self._events_of(info) | (self._events_of(before) if before is not None else frozenset())
            if before is None or after is None or before.exists != after.exists:
                if _NAME in wanted or _SUBSCRIPTION in wanted and not (before or info).exists:
                    self._send_name(state, info, after is not None and after.exists)
                    if _NAME in wanted and info.exists:
                        self._send_parent(state, info.name)
            elif before.name != after.name:
                if _NAME in wanted and not _is_below(before.name, after.name, renamed):
                    self._send_name(state, after, True, before.name)
            elif before.subscribed != after.subscribed and _SUBSCRIPTION in wanted:
                self._send_name(state, after, after.exists)

    def _find_infos(self, state: State) -> dict[str, MailboxInfo]:
        if not any(group.events & {_NAME, _SUBSCRIPTION} for group in self._groups):
            return {}
        return {info.mailboxid or info.name: info for info in state.mailboxes.mailboxes()}

    def _send_parent(self, state: State, name: str) -> None:
        """A mailbox that comes or goes is news of that above it (RFC 5465 section 5.4)."""
        for above in parents(name)[-1:]:
            info = next((info for info in self._infos.values() if info.name == above), None)
            if info is not None and _NAME in self._events_of(info):
                self._send_name(state, info, info.exists)

    def _send_name(self, state: State, info: MailboxInfo, exists: bool, old_name: str = "") -> None:
        below = info.name + SEPARATOR
        has_children = any(other.exists and other.name.startswith(below) for other in self._infos.values())
        attributes = [] if exists else ["\\NonExistent"]
        attributes.append("\\HasChildren" if has_children else "\\HasNoChildren")
        if any(other.name == info.name and other.subscribed for other in self._infos.values()):
            attributes.append("\\Subscribed")
        if exists and info.special_use:
            attributes.append(info.special_use)
        extended = [responses.old_name(old_name, state.core.utf8)] if old_name else []
        state.send(responses.listed(attributes, info.name, state.core.utf8, extended))

    # Values

    def _look_at_values(self, state: State) -> None:
        old, (new, names) = self._values, self._find_values(state)
        self._values = new
        for key, values in new.items():
            before = old.get(key, {})
            changed = sorted(entry for entry in {*before, *values} if before.get(entry) != values.get(entry))
            if changed:
                state.send(extended_responses.metadata_changed(names[key], changed, state.core.utf8))

    def _find_values(self, state: State) -> tuple[dict[str, Values], dict[str, str]]:
        """The values, and the names of the mailboxes they belong to."""
        infos = self.choose(state, frozenset({NotifyEvent.MAILBOX_METADATA_CHANGE}))
        names = {info.mailboxid: info.name for info in infos}
        if any(NotifyEvent.SERVER_METADATA_CHANGE in group.events for group in self._groups):
            names[""] = ""
        found: dict[str, Values] = {}
        for key, name in names.items():
            with suppress(NoMailbox):
                found[key] = find_values(state, name)[1]
        return found, names


def _selected(state: State) -> str:
    return state.view.box.mailboxid if state.view is not None else ""


def _numbers(counters: MailboxStatus) -> tuple[int, int, int]:
    return counters.messages, counters.uidnext, counters.uidvalidity


def _count(state: State, name: str) -> MailboxStatus | None:
    try:
        return state.mailboxes.status(name)
    except (NoMailbox, MailboxGone):
        return None


def _is_below(old: str, new: str, renamed: Iterable[tuple[str, str]]) -> bool:
    """Whether a mailbox was renamed only since one above it was."""
    return any(
        old.startswith(above + SEPARATOR) and new == become + old[len(above) :] for above, become in renamed
    )


def _is_in(name: str, tops: Iterable[str]) -> bool:
    return any(name == top or name.startswith(top + SEPARATOR) for top in tops)


_FILTERS: dict[FilterKind, Callable[[MailboxInfo, tuple[str, ...]], bool]] = {
    # Delivery knows two places.
    FilterKind.INBOXES: lambda info, _: info.name == INBOX or info.special_use == "\\Junk",
    FilterKind.PERSONAL: lambda info, _: not is_of_others(info.name),
    FilterKind.SUBSCRIBED: lambda info, _: info.subscribed,
    FilterKind.SUBTREE: lambda info, names: _is_in(info.name, names),
    FilterKind.MAILBOXES: lambda info, names: info.name in names,
}
