"""An open mailbox: its messages by UID, as one account's sessions see and change them.

It holds no connection and no lock: each method is one or few statements of its own, and whoever has the mailbox open at
the same time sees the result at once. Sequence numbers are not known here. Sets of UIDs may name UIDs that do not exist
(any more): these are passed over.

Diagnostics: MailboxGone from every method when the mailbox was deleted or its UIDs are no longer valid; the other
reasons of mailsrv.store.refusals where a method names them; StorageError when the disk or the index refuses.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from mailsrv.system.disk import UnnamedFile
from mailsrv.system.openfile import OpenFile
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.values import Changes, Incoming, MailboxStatus, Operation, Stored


class OpenMailbox:
    """`name` is what it was opened by; `directory`, `uidvalidity` and `mailboxid` stay while it lives."""

    name: str
    directory: str
    uidvalidity: int
    mailboxid: str
    id: int

    def refresh(self, force: bool = False) -> bool:
        """Adopt new files, notice those that were renamed or removed by other programs: where directory times say so,
        or anyway. True when something changed."""
        raise NotImplementedError

    def status(self) -> MailboxStatus:
        """The counters."""
        raise NotImplementedError

    def view(self) -> "tuple[array[int], int, int]":
        """All UIDs, ascending, as an array of "I"; highestmodseq; uidnext. `changes` of that modseq tells the rest."""
        raise NotImplementedError

    def changes(self, since: int, uids: NumberSet | None = None) -> Changes:
        """What changed after a modseq, of the messages `uids` (None: all)."""
        raise NotImplementedError

    def rows(self, uids: NumberSet | None, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The columns of messages, by ascending UID. Columns: uid, flags, modseq, size, received, saved (seconds),
        emailid (str), content (id of the octets, shared by copies), base, path (relative to the account)."""
        raise NotImplementedError

    def first_unseen(self) -> int:
        """The smallest UID without the flag Seen; 0: none."""
        raise NotImplementedError

    def keywords(self) -> list[tuple[int, str]]:
        """The mailbox's keywords as (flag word with its one bit, name)."""
        raise NotImplementedError

    def keyword_bit(self, name: str, create: bool = False) -> int:
        """The flag word with the one bit of a keyword, in any letters; 0 when the mailbox does not know it. With
        `create` it does afterwards; raises TooMany."""
        raise NotImplementedError

    def store_flags(
        self, uids: NumberSet, operation: Operation, flags: int, unchanged_since: int | None = None
    ) -> Stored:
        """Change flags. `flags` is a flag word, of system flags and of this mailbox's keywords."""
        raise NotImplementedError

    def expunge(self, uids: NumberSet | None = None) -> tuple[NumberSet, int]:
        """Remove the messages that have the flag Deleted (of `uids`, or all); gives their UIDs and the modseq."""
        raise NotImplementedError

    def new_file(self) -> UnnamedFile:
        """A file for the octets of a message to be appended: `write` to it, and close it when it is not used."""
        raise NotImplementedError

    def append(self, messages: Sequence[Incoming]) -> list[int]:
        """Add messages, all or none; they are durable afterwards. Gives their UIDs. Raises OverQuota."""
        raise NotImplementedError

    def copy(self, uids: NumberSet, target: "OpenMailbox") -> list[tuple[int, int]]:
        """Copy messages to another mailbox of the account, or this one, all or none: (uid, new uid), ascending. Raises
        OverQuota, TooMany (keywords)."""
        raise NotImplementedError

    def move(self, uids: NumberSet, target: "OpenMailbox") -> list[tuple[int, int]]:
        """Move messages to another mailbox of the account, all or none: (uid, new uid), ascending. Raises TooMany."""
        raise NotImplementedError

    def open_file(self, uid: int) -> OpenFile:
        """The message's octets: descriptor (fileno) and size; close it. Raises MessageGone."""
        raise NotImplementedError

    def open_path(self, uid: int, path: str) -> OpenFile:
        """The same by the path that a row has told, which is looked up anew when the file has another name by now."""
        raise NotImplementedError
