"""An open mailbox: its messages by UID, as one account's sessions see and change them.

It holds no connection and no lock: each method is one or few statements of its own, and whoever has the mailbox open at
the same time sees the result at once. Sequence numbers are not known here. Sets of UIDs may name UIDs that do not exist
(any more): these are passed over.

Diagnostics: MailboxGone from every method when the mailbox was deleted or its UIDs are no longer valid; the other
reasons of mailsrv.store.refusals where a method names them; StorageError when the disk or the index refuses.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mailsrv.errors import StorageFull
from mailsrv.system.disk import Missing, UnnamedFile
from mailsrv.system.openfile import OpenFile
from mailsrv.imap.numbers import NumberSet
from mailsrv.store import adopt, changes, flags, keywords, transfer
from mailsrv.store.append import append
from mailsrv.store.expunge import expunge
from mailsrv.store.filling import Filler
from mailsrv.store.index import Index, Key, MailboxRow
from mailsrv.store.numbering import Uids
from mailsrv.store.refusals import MailboxGone, MessageGone
from mailsrv.store.rows import CUR, LEAVES
from mailsrv.store.search import Searcher
from mailsrv.store.search_budget import Budget
from mailsrv.store.values import (
    DELETED,
    EVERY_FLAG,
    EVERY_RIGHT,
    KEYWORDS,
    Changes,
    Incoming,
    MailboxInfo,
    MailboxStatus,
    NamedFlags,
    Operation,
    Stored,
    Usage,
)


class Household:
    """What the mailboxes of one account share: its index, what it may store, and who is to hear of changes.

    `counted` is told octets and messages that were added or removed otherwise than by delivery. `account` is its name.
    `find_limits` gives what holds now for what the configuration says; `freed` may be stored on top of that, while a
    command lasts that gives it back.
    """

    def __init__(
        self,
        index: Index,
        limits: Usage,
        announce: Callable[[], None],
        counted: Callable[[int, int], None],
        account: str = "",
        find_limits: Callable[[Usage], Usage] = lambda configured: configured,
    ) -> None:
        self.account = account
        self.index = index
        self.configured = limits
        self.announce = announce
        self.counted = counted
        self.freed = Usage()
        self._find_limits = find_limits

    @property
    def limits(self) -> Usage:
        """What the account may store now, 0 for no limit."""
        limits, freed = self._find_limits(self.configured), self.freed
        if not freed.octets and not freed.messages:
            return limits
        return Usage(
            limits.octets + freed.octets if limits.octets else 0,
            limits.messages + freed.messages if limits.messages else 0,
        )


class OpenMailbox:
    """`name` is what it was opened by; `directory`, `uidvalidity` and `mailboxid` stay while it lives. What may be done
    with it is all to the account itself; floor 4 has mailboxes of others that allow less."""

    def __init__(self, household: Household, info: MailboxInfo, row: MailboxRow) -> None:
        self._household = household
        self._index = household.index
        self._key = Key(row.id, row.uidvalidity)
        self._path = household.index.path(row)
        self.name = info.name
        self.directory = row.directory
        self.uidvalidity = row.uidvalidity
        self.mailboxid = info.mailboxid
        self.id = row.id

    @property
    def owner(self) -> str:
        """The account whose mailbox it is."""
        return self._household.account

    @property
    def limits(self) -> Usage:
        """What its account may store."""
        return self._household.limits

    def free(self, usage: Usage) -> None:
        """Let its account store so much more, which goes again soon; nothing more with Usage()."""
        self._household.freed = usage

    def usage(self) -> Usage:
        """What its account stores."""
        return usage_of(self._index)

    @property
    def rights(self) -> str:
        """What the session may do with it, letters of EVERY_RIGHT."""
        return EVERY_RIGHT

    @property
    def settable(self) -> int:
        """The flag word of the flags that the session may change."""
        return EVERY_FLAG

    def refresh(self, force: bool = False) -> bool:
        """Adopt new files, notice those that were renamed or removed by other programs: where directory times say so,
        or anyway. True when something changed, and it was this call that has found it."""
        if force:
            changed = adopt.refresh(self._index, self._key, force=True)
        else:
            changed = self._index.looks.look(self._key, lambda: adopt.refresh(self._index, self._key))
        if changed:
            self._household.announce()
        return changed

    def status(self) -> MailboxStatus:
        """The counters."""
        row = self._index.mailbox(self._key)
        return status_of(row, self.mailboxid)

    def view(self) -> tuple[Uids, int, int]:
        """All UIDs, ascending; highestmodseq; uidnext. `changes` of that modseq tells the rest."""
        return self._index.numberings.read(self._index.read, self._key)

    def share(self, uids: Uids) -> Uids:
        """The same UIDs, held once for all that have the mailbox open."""
        return self._index.numberings.share(self._key, uids)

    def changes(self, since: int, uids: NumberSet | None = None) -> Changes:
        """What changed after a modseq, of the messages `uids` (None: all)."""
        return changes.since(self._index, self._key, since, uids)

    def rows(self, uids: NumberSet | None, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The columns of messages, by ascending UID. Columns: uid, flags, modseq, size, received, saved (seconds),
        emailid (str), content (id of the octets, shared by copies), base, path (see `open_path`), and those of the
        table `ready` (None while they are not computed): header_size, envelope, structure, fields, preview."""
        return changes.rows(self._index, self._key, uids, columns)

    def some_rows(self, uids: NumberSet, columns: Sequence[str], most: int) -> tuple[list[tuple[Any, ...]], bool]:
        """The same, uid first, all in memory, but only about `most` octets of them. False: there are more."""
        return changes.some_rows(self._index, self._key, uids, columns, most)

    def flag_words(self, first: int, last: int) -> list[str]:
        """The flag words of all messages with these UIDs, by ascending UID, in digits."""
        return changes.flag_words(self._index, self._key, first, last)

    def fill(self, uid: int, limit: int) -> int:
        """Compute what is missing of the ready octets of up to `limit` messages, from `uid` on; gives how many were
        looked at."""
        return Filler(self._index).fill_from(self._key, uid, limit)

    def searcher(self, budget: Budget) -> Searcher:
        """What searches in it, for one command."""
        return Searcher(self._index, self, budget)

    def first_unseen(self) -> int:
        """The smallest UID without the flag Seen; 0: none."""
        return changes.first_unseen(self._index, self._key)

    def keyword_table(self) -> keywords.Table:
        """The mailbox's keywords with the count that tells whether flag words were read with them: words that are read
        after one table, and before another of the same count, are made of these."""
        return keywords.table(self._index, self._key)

    def keywords(self) -> list[tuple[int, str]]:
        """The mailbox's keywords as (flag word with its one bit, name)."""
        return self.keyword_table().keywords

    def named_rows(
        self, uids: NumberSet | None, columns: Sequence[str]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]]]:
        """Rows, all in memory, and the keywords that their flag words are made of."""
        before = self.keyword_table()
        while True:
            found = list(self.rows(uids, columns))
            # It has the keywords too that came meanwhile; the count says whether bits have changed hands.
            after = self.keyword_table()
            if after.forgotten == before.forgotten:
                return found, after.keywords
            before = after

    def keyword_bit(self, name: str, create: bool = False) -> int:
        """The flag word with the one bit of a keyword, in any letters; 0 when the mailbox does not know it. With
        `create` it does afterwards, until it is forgotten because no message has it; raises TooMany."""
        return self.keyword_word([name], create)

    def keyword_word(self, names: Sequence[str], create: bool = False) -> int:
        """The flag word of several keywords; with `create` all of them are made, or none: raises TooMany."""
        return keywords.keyword_word(self._index, self._key, names, create)

    def forget_keywords(self) -> bool:
        """Forget the keywords that no message has, where there is room for no more; True when some were."""
        return keywords.forget_unused(self._index, self._key, KEYWORDS - 1)

    def store_flags(
        self, uids: NumberSet, operation: Operation, flags_: int | NamedFlags, unchanged_since: int | None = None
    ) -> Stored:
        """Change flags. Keywords are named, and made where they are to be set (raises TooMany): in a flag word their
        bits may have become those of others since it was read."""
        system = flags_ if isinstance(flags_, int) else flags_.system

        def work() -> Stored:
            return flags.store(self._index, self._key, uids, operation, flags_, unchanged_since)

        # What is marked as Deleted goes next.
        removes = bool(system & DELETED) and operation is not Operation.REMOVE
        stored = self._index.with_room(work) if removes else work()
        if stored.changed:
            self._household.announce()
        return stored

    def expunge(self, uids: NumberSet | None = None) -> tuple[NumberSet, int]:
        """Remove the messages that have the flag Deleted (of `uids`, or all); gives their UIDs and the modseq."""
        gone, modseq, octets = self._index.with_room(lambda: expunge(self._index, self._key, uids))
        if gone:
            self._household.counted(-octets, -len(gone))
            self._household.announce()
        return gone, modseq

    def new_file(self) -> UnnamedFile:
        """A file for the octets of a message to be appended: `write` to it, and close it when it is not used. Raises
        StorageFull also while the last room is left to those who remove messages."""
        reserve = self._index.reserve
        if reserve is not None and reserve.is_given_up():
            raise StorageFull(f"{self._path}: the disk was full, and what room there is serves to remove messages")
        try:
            return self._index.disk.open_unnamed(f"{self._path}/{LEAVES[CUR]}")
        except Missing as error:
            raise MailboxGone("the mailbox was deleted") from error

    def append(self, messages: Sequence[Incoming]) -> list[int]:
        """Add messages, all or none; they are durable afterwards. Gives their UIDs. Raises OverQuota."""
        uids = append(self._index, self._key, messages, self._household.limits)
        self._household.counted(sum(message.file.size for message in messages), len(messages))
        self._household.announce()
        return uids

    def copy(self, uids: NumberSet, target: "OpenMailbox") -> list[tuple[int, int]]:
        """Copy messages to another mailbox of the account, or this one, all or none: (uid, new uid), ascending. Raises
        OverQuota, TooMany (keywords)."""
        pairs = transfer.copy(self._index, self._key, uids, target._key, self._household.limits)
        if pairs:
            new = NumberSet.of_sorted([uid for _, uid in pairs])
            self._household.counted(sum(size for (size,) in target.rows(new, ("size",))), len(pairs))
            self._household.announce()
        return pairs

    def move(self, uids: NumberSet, target: "OpenMailbox") -> list[tuple[int, int]]:
        """Move messages to another mailbox of the account, all or none: (uid, new uid), ascending. Raises TooMany."""
        pairs = transfer.move(self._index, self._key, uids, target._key)
        if pairs:
            self._household.announce()
        return pairs

    def open_file(self, uid: int) -> OpenFile:
        """The message's octets: descriptor (fileno) and size; close it. Raises MessageGone."""
        for path in self._find_path(uid):
            return self.open_path(uid, path)
        raise MessageGone("the message was expunged")

    def open_path(self, uid: int, path: str) -> OpenFile:
        """The same by the `path` that a row has told; it is looked up anew when the file has another name by now."""
        disk = self._index.disk
        for again in (False, True):
            try:
                return disk.open_file(f"{self._path}/{path}")
            except Missing:
                # Flags were written into the name since; or another program has changed it.
                for path in self._find_path(uid):
                    try:
                        return disk.open_file(f"{self._path}/{path}")
                    except Missing:
                        break
                if not again:
                    self.refresh(force=True)
        raise MessageGone("the message was expunged")

    def _find_path(self, uid: int) -> list[str]:
        return [path for (path,) in self.rows(NumberSet([(uid, uid)]), ("path",))]


def usage_of(index: Index) -> Usage:
    """What an account stores, as far as somebody has looked."""
    octets, messages = index.read("SELECT octets, messages FROM account")[0]
    return Usage(octets, messages)


def status_of(row: MailboxRow, mailboxid: str) -> MailboxStatus:
    """The counters of a row."""
    return MailboxStatus(
        row.messages,
        row.unseen,
        row.deleted,
        row.octets,
        row.uidnext,
        row.uidvalidity,
        row.highestmodseq,
        mailboxid,
    )
