"""One account as IMAP sees it: its mailboxes, by name. What is in one of them is OpenMailbox's.

Cheap to make; threads may share it, and several processes may have readers of one account at once. The names are in the
file `mailboxes` (store/mailboxes), everything else is in the index (store/index). Opening a mailbox or asking for its
status adopts what was delivered since the last look.

Diagnostics: the reasons of mailsrv.store.refusals (nothing was changed then), and StorageError when the disk or the
index refuses.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from mailsrv.errors import StorageFull
from mailsrv.imap.numbers import NumberSet
from mailsrv.store import adopt, keywords, places, tidy, verify
from mailsrv.store.database import Damaged
from mailsrv.store.index import Index, Key
from mailsrv.store.layout import check_name, check_own_name, normalize
from mailsrv.store.mailboxes import Mailboxes
from mailsrv.store.opened import Household, OpenMailbox, usage_of
from mailsrv.store.refusals import MailboxGone, NoMailbox, TooMany
from mailsrv.store.rows import FEW
from mailsrv.store.values import INBOX, MailboxInfo, MailboxStatus, Usage

_CROWD = 1000  # messages in new/ of a mailbox, beyond which it is cleared soon
_MOVED_AT_ONCE = 10_000  # messages of INBOX, when it is renamed


class Reader:
    """`account`: its name. `limits`: what it may store by the configuration, 0 for no limit; `find_limits`: what holds
    instead, now."""

    def __init__(
        self,
        account: str,
        index: Index,
        limits: Usage,
        announce: Callable[[], None],
        counted: Callable[[int, int], None],
        find_limits: Callable[[Usage], Usage],
    ) -> None:
        self.account = account
        self._index = index
        self._mailboxes = Mailboxes(index.disk, index.clock, index.layout)
        self._household = Household(index, limits, announce, counted, account, find_limits)

    @property
    def limits(self) -> Usage:
        """What the account may store now, 0 for no limit."""
        return self._household.limits

    @limits.setter
    def limits(self, limits: Usage) -> None:
        """What the configuration says, anew."""
        self._household.configured = limits

    def mailboxes(self) -> list[MailboxInfo]:
        """Every mailbox and every name that is only subscribed, sorted by name, INBOX first."""
        return list(self._mailboxes.load())

    def find(self, name: str) -> MailboxInfo:
        """One mailbox; raises NoMailbox. INBOX in any letters."""
        name = normalize(name)
        for line in self._mailboxes.load():
            if line.name == name and line.exists:
                return line
        raise NoMailbox(f"there is no mailbox {name}")

    def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """Make a mailbox and those above it that are missing; raises MailboxThere, WrongName, UseTaken, TooMany."""
        name = normalize(name)
        check_own_name(name)
        with self._mailboxes.change() as listing:
            line = places.create(self._index, listing, name, special_use)
        self._household.announce()
        return line

    def delete(self, name: str) -> None:
        """Delete a mailbox, not those below it. Raises NoMailbox; WrongName for INBOX."""
        name = normalize(name)
        try:
            places.delete(self._index, self._mailboxes, name)
        except StorageFull:
            if not self._index.make_room():
                raise
            # Its directory may have its other name by now; then the line goes by itself.
            with suppress(NoMailbox):
                places.delete(self._index, self._mailboxes, name)
            places.forget_strangers(self._index, self._mailboxes)
        self._household.announce()

    def rename(self, old: str, new: str) -> None:
        """Give a mailbox and all below it another name. INBOX: its messages move to a new mailbox, and it stays, as do
        those below it. Raises NoMailbox, MailboxThere, WrongName."""
        old, new = normalize(old), normalize(new)
        if old == INBOX:
            self._empty_inbox(new)
        else:
            check_own_name(new)  # the old one may be of those that are not made any more
            with self._mailboxes.change() as listing:
                places.rename(self._index, listing, old, new)
        self._household.announce()

    def _empty_inbox(self, new: str) -> None:
        self.create(new)
        source, target = self.open(INBOX), self.open(new)
        uids, _, _ = source.view()
        for start in range(0, len(uids), _MOVED_AT_ONCE):
            source.move(NumberSet.of_sorted(uids[start : start + _MOVED_AT_ONCE]), target)

    def subscribe(self, name: str, on: bool = True) -> None:
        """Subscribe to a name, whether there is such a mailbox or not, or end that (also of a name that is not)."""
        name = normalize(name)
        with self._mailboxes.change() as listing:
            line = listing.find(name)
            if line is not None and (line.exists or on):
                listing.put(replace(line, subscribed=on))
            elif line is not None:
                listing.lines.remove(line)
            elif on:
                check_name(name)
                if len(listing.lines) >= places.MAX_MAILBOXES:
                    raise TooMany(f"an account has at most {places.MAX_MAILBOXES} mailboxes")
                listing.put(MailboxInfo(name, exists=False, subscribed=True))
        self._household.announce()

    def set_special_use(self, name: str, special_use: str) -> None:
        """Give a mailbox a special use, or none with ""; raises NoMailbox, UseTaken."""
        name = normalize(name)
        with self._mailboxes.change() as listing:
            line = places.expect(listing, name)
            places.check_use(listing, name, special_use)
            listing.put(replace(line, special_use=special_use))

    def announce(self) -> None:
        """Let those who listen know that something about the account's mailboxes has changed."""
        self._household.announce()

    def status(self, name: str) -> MailboxStatus:
        """The counters of a mailbox, new messages included; raises NoMailbox."""
        return self.open(name).status()

    def open(self, name: str, look: bool = True) -> OpenMailbox:
        """Look into a mailbox, new messages included; raises NoMailbox. Costs nothing to keep and need not be closed.

        `look` False: only to add messages to it, so files that nobody has seen yet stay unseen.
        """
        try:
            info, row = places.attach(self._index, self._mailboxes, normalize(name))
        except Damaged:
            # It was set aside, or else the same is said again.
            info, row = places.attach(self._index, self._mailboxes, normalize(name))
        if not look:
            # While a client appends, cur/ is always young, and to read it again for each message would cost the square.
            return OpenMailbox(self._household, info, row)
        try:
            changed = adopt.refresh(self._index, Key(row.id, row.uidvalidity), row=row)
        except MailboxGone:
            # Another session has deleted it meanwhile, or a program has removed new/ or cur/ of it.
            info, row = places.repair(self._index, self._mailboxes, normalize(name))
            changed = adopt.refresh(self._index, Key(row.id, row.uidvalidity))
        if changed:
            self._household.announce()
        return OpenMailbox(self._household, info, row)

    def adopt(self) -> None:
        """Look into every mailbox: what was delivered is there when somebody asks. For the background."""
        for line in self._mailboxes.load():
            if line.exists:
                with suppress(NoMailbox, MailboxGone):  # another session deletes it just now
                    self.open(line.name)

    def usage(self) -> Usage:
        """What the account stores, as far as somebody has looked."""
        return usage_of(self._index)

    def check(self, quick: bool = False, told: verify.Told = verify.silent) -> list[str]:
        """What is wrong with the account, a sentence each; see store.verify."""
        return verify.check(self._index, self._mailboxes, quick, told)

    def repair(self, quick: bool = False, told: verify.Told = verify.silent) -> verify.Repairs:
        """Make that right."""
        repairs = verify.repair(self._index, self._mailboxes, quick, told)
        if repairs.done:
            self._household.announce()
        return repairs

    def clear_new(self, most: int = 200) -> bool:
        """Where new/ of a mailbox holds so many messages that to look at it for each delivery takes long, move about
        `most` to cur/. For the background, also while others are busy; True when there is more to do."""
        more = False
        for number, uidvalidity in self._index.read(
            "SELECT id, uidvalidity FROM mailbox AS b WHERE EXISTS"
            f" (SELECT 1 FROM message INDEXED BY {FEW} WHERE mailbox = b.id AND leaf = 0 LIMIT 1 OFFSET {_CROWD})"
        ):
            with suppress(MailboxGone):
                more = tidy.write_back(self._index, self._index.mailbox(Key(number, uidvalidity)), most) or more
        return more

    def tidy(self, most: int = 1000) -> bool:
        """Do what can wait, about `most` files of each kind: write flags back to the names, remove files of what was
        expunged and deleted. For idle moments; True when there is more to do."""
        more = self._index.with_room(lambda: tidy.remove_files(self._index, most))
        places.forget_strangers(self._index, self._mailboxes)
        for number, uidvalidity in self._index.read(
            "SELECT id, uidvalidity FROM mailbox WHERE highestmodseq > written OR doubt"
        ):
            key = Key(number, uidvalidity)
            with suppress(MailboxGone):  # another session deletes it just now
                if tidy.write_back(self._index, self._index.mailbox(key), most):
                    more = True
                    continue
                more = tidy.trim(self._index, self._index.mailbox(key)) or more
                keywords.forget_unused(self._index, key)
                if adopt.refresh(self._index, key, settle=True):
                    self._household.announce()
                    more = True
        return places.remove_deleted(self._index, most) or more
