"""Unsolicited METADATA behind ENABLE METADATA or ENABLE METADATA-SERVER: which entries others have changed (RFC 5464
section 4.4.2).

What the session knows is compared with what is, before a command, and within IDLE when somebody rings; while the files
of values stay as they are that costs a stat of each. Names of entries are told and no values. A client that uses NOTIFY
says there what it wants to hear, and hears nothing by this way.

What a session knows are digests, as it may be silent for long while values come and go, and then each session would
keep its own: a digest of each value, as far as there is room for the names of the entries, else one of all values of a
mailbox. All that such a mailbox has then is told when one of them changes: more than has changed, and never less but
for an entry that was removed.

Diagnostics: StorageError never leaves: what cannot be found out is told another time.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress

from mailsrv.errors import StorageError
from mailsrv.system.disk import Stamp
from mailsrv.imap import extended_responses
from mailsrv.store.layout import is_of_others
from mailsrv.store.refusals import NoMailbox
from mailsrv.imapd.metadata import find_values
from mailsrv.imapd.state import State

Values = Mapping[str, bytes]
Known = Values | bytes  # digests by entry, or that of all values

_SERVER = ""  # in place of a mailbox's id
_ROOM = 64 << 10  # octets that one session uses for digests by entry
_ENTRY = 200  # octets that an entry takes beside its name, at most
_EMPTY: Values = {}


class Annotations:
    """What one session has been told of. `mailboxes`: not only what is about the server."""

    def __init__(self, state: State, mailboxes: bool) -> None:
        self._mailboxes = mailboxes
        self._stamps: list[Stamp | None] = []
        self._known: dict[str, Known] = {}
        self.remember(state)

    def look(self, state: State) -> None:
        """Tell what has changed since the last time. Nothing is told of a mailbox that was not there then."""
        with suppress(StorageError):
            stamps = self._find_stamps(state)
            if stamps == self._stamps:
                return
            old, found = self._known, self._find(state)
            self._stamps, self._known = stamps, _shorten(found)
            if state.notices is not None:
                return
            for key, (name, values) in found.items():
                changed = _compare(old[key], values) if key in old else []
                if changed:
                    state.send(extended_responses.metadata_changed(name, changed, state.core.utf8))

    def remember(self, state: State) -> None:
        """What is now is not told: the session has changed it itself."""
        with suppress(StorageError):
            self._stamps = self._find_stamps(state)
            self._known = _shorten(self._find(state))

    def _find_stamps(self, state: State) -> list[Stamp | None]:
        owners = state.mailboxes.owners() if self._mailboxes else []
        return [state.house.metadata.stamp(account) for account in (state.account, *owners)]

    def _find(self, state: State) -> dict[str, tuple[str, Values]]:
        """The session's name for each mailbox, and its values, by its id."""
        found = {_SERVER: find_values(state, "")}
        if not self._mailboxes:
            return found
        for info in state.mailboxes.mailboxes():
            if not info.exists:
                continue
            if is_of_others(info.name):
                with suppress(NoMailbox):  # or the right to know its values
                    found[info.mailboxid] = find_values(state, info.name)
            else:
                found[info.mailboxid] = (info.name, state.house.metadata.values(state.account, info.mailboxid))
        return found


def _shorten(found: Mapping[str, tuple[str, Values]]) -> dict[str, Known]:
    """What is remembered of all values."""
    room = _ROOM
    known: dict[str, Known] = {}
    for key, (_, values) in found.items():
        needed = sum(len(entry) + _ENTRY for entry in values)
        known[key] = _digest_each(values) if needed <= room else _digest_all(values)
        room -= needed if needed <= room else 0
    return known


def _compare(before: Known, values: Values) -> list[str]:
    """The entries of which something is to be told."""
    if isinstance(before, bytes):
        return sorted(values) if _digest_all(values) != before else []
    now = _digest_each(values)
    return sorted(entry for entry in {*before, *now} if before.get(entry) != now.get(entry))


def _digest_each(values: Values) -> Values:
    return {entry: _digest((value,)) for entry, value in values.items()} if values else _EMPTY


def _digest_all(values: Values) -> bytes:
    return _digest(part for entry, value in sorted(values.items()) for part in (entry.encode(), _digest((value,))))


def _digest(parts: Iterable[bytes]) -> bytes:
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(part)
    return made.digest()
