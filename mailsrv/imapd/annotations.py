"""Unsolicited METADATA behind ENABLE METADATA or ENABLE METADATA-SERVER: which entries others have changed (RFC 5464
section 4.4.2).

What the session knows is compared with what is, before a command, and within IDLE when somebody rings; while the files
of values stay as they are that costs a stat of each. Names of entries are told and no values. A client that uses NOTIFY
says there what it wants to hear, and hears nothing by this way.

Diagnostics: StorageError never leaves: what cannot be found out is told another time.
"""

from collections.abc import Mapping
from contextlib import suppress

from mailsrv.errors import StorageError
from mailsrv.system.disk import Stamp
from mailsrv.imap import extended_responses
from mailsrv.store.refusals import NoMailbox
from mailsrv.imapd.library import is_of_others
from mailsrv.imapd.metadata import find_values
from mailsrv.imapd.state import State

Values = Mapping[str, bytes]

_SERVER = ""  # in place of a mailbox's id


class Annotations:
    """What one session has been told of. `mailboxes`: not only what is about the server."""

    def __init__(self, state: State, mailboxes: bool) -> None:
        self._mailboxes = mailboxes
        self._stamps: list[Stamp | None] = []
        self._known: dict[str, Values] = {}
        self.remember(state)

    def look(self, state: State) -> None:
        """Tell what has changed since the last time. Nothing is told of a mailbox that was not there then."""
        with suppress(StorageError):
            stamps = self._find_stamps(state)
            if stamps == self._stamps:
                return
            old, found = self._known, self._find(state)
            self._stamps, self._known = stamps, {key: values for key, (_, values) in found.items()}
            if state.notices is not None:
                return
            for key, (name, values) in found.items():
                before = old.get(key, values)
                changed = sorted(entry for entry in {*before, *values} if before.get(entry) != values.get(entry))
                if changed:
                    state.send(extended_responses.metadata_changed(name, changed, state.core.utf8))

    def remember(self, state: State) -> None:
        """What is now is not told: the session has changed it itself."""
        with suppress(StorageError):
            self._stamps = self._find_stamps(state)
            self._known = {key: values for key, (_, values) in self._find(state).items()}

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
