"""The mailboxes that one account can reach: its own, and below "Other Users/NAME/" those that others share with it (RFC
2342 section 5, RFC 4314 section 4).

All commands ask here for mailboxes by name, so that this is the one place which decides what an account may do with
mailboxes as a whole; for what is in one of them, SharedMailbox does. Whoever may not even see a mailbox is told that
there is none. Subscriptions to mailboxes of others are kept among the account's own.

Diagnostics: the reasons of mailsrv.store.refusals, NoPermission among them, and StorageError.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from mailsrv.store.access import Access
from mailsrv.store.layout import BELOW_OTHERS, OTHERS, SEPARATOR, is_of_others, normalize, parents
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.reader import Reader
from mailsrv.store.refusals import NoMailbox, NoPermission, UseTaken, WrongName
from mailsrv.store.values import INBOX, MailboxInfo, MailboxStatus
from mailsrv.imapd.shared_mailbox import SharedMailbox


@dataclass(frozen=True, slots=True)
class Place:
    """What a name means: the mailbox `name` of `owner`, as the owner calls it."""

    owner: str
    reader: Reader
    name: str


class Library:
    """`own`: the account's own mailboxes. `find_reader` gives those of another account by its name, None where there is
    no such account. For one session; its thread alone uses it."""

    def __init__(self, own: Reader, find_reader: Callable[[str], Reader | None], access: Access) -> None:
        self.account = own.account
        self.access = access
        self.own = own
        self._find_reader = find_reader
        self._others: dict[str, Reader] = {}

    # Which mailboxes there are

    def mailboxes(self) -> list[MailboxInfo]:
        """Every mailbox that the account may see and every name that is only subscribed, INBOX first."""
        own = self.own.mailboxes()
        owners = self.access.owners()
        if not owners and not any(is_of_others(info.name) for info in own):
            return own
        subscribed = {info.name for info in own if is_of_others(info.name) and info.subscribed}
        found = [info for info in own if not is_of_others(info.name)]
        for info in self._shared(owners):
            found.append(replace(info, subscribed=info.name in subscribed))
            subscribed.discard(info.name)
        found += [MailboxInfo(name, exists=False, subscribed=True) for name in subscribed]
        return sorted(found, key=lambda info: (info.name != INBOX, info.name))

    def owners(self) -> list[str]:
        """The accounts that share anything with this one."""
        shared = (info.name[len(BELOW_OTHERS) :].partition(SEPARATOR)[0] for info in self._shared(self.access.owners()))
        return list(dict.fromkeys(shared))

    def _shared(self, owners: list[str]) -> Iterator[MailboxInfo]:
        for owner in owners:
            grants = self.access.grants(owner)
            visible = {mailboxid for mailboxid in grants if "l" in self.access.rights(self.account, owner, mailboxid)}
            reader = self._reader_of(owner) if visible and owner != self.account else None
            if reader is None:
                continue
            for info in reader.mailboxes():
                if info.exists and info.mailboxid in visible:
                    yield MailboxInfo(f"{BELOW_OTHERS}{owner}{SEPARATOR}{info.name}", mailboxid=info.mailboxid)

    def find(self, name: str, needed: str = "") -> tuple[Place, MailboxInfo]:
        """What a name means, where the account has at least one of the rights `needed` there. Raises NoMailbox, also
        for what the account may not see, and NoPermission."""
        place = self.place(name)
        info = place.reader.find(place.name)
        rights = self.rights_of(place, info)
        if any(right in rights for right in needed):
            return place, info
        if "l" not in rights:
            raise NoMailbox(f"there is no mailbox {name}")
        if needed:
            raise NoPermission(f"{place.owner} does not allow this with {name} (the right {' or '.join(needed)})")
        return place, info

    def rights_of(self, place: Place, info: MailboxInfo) -> str:
        """What the account may do there."""
        return self.access.rights(self.account, place.owner, info.mailboxid)

    def place(self, name: str) -> Place:
        """What a name means, whether there is such a mailbox or not. Raises NoMailbox for a name below "Other Users"
        that can be nobody's."""
        name = normalize(name)
        if not is_of_others(name):
            return Place(self.account, self.own, name)
        owner, _, inner = name[len(BELOW_OTHERS) :].partition(SEPARATOR)
        reader = self._reader_of(owner) if inner and owner != self.account else None
        if reader is None:
            raise NoMailbox(f"there is no mailbox {name}")
        return Place(owner, reader, normalize(inner))

    def spell(self, place: Place, name: str) -> str:
        """What this account calls the mailbox `name` of a place's owner."""
        return name if place.owner == self.account else f"{BELOW_OTHERS}{place.owner}{SEPARATOR}{name}"

    def reader_of(self, owner: str) -> Reader | None:
        """All of an account's mailboxes, whatever it shares; None where there is no such account."""
        return self.own if owner == self.account else self._reader_of(owner)

    def _reader_of(self, owner: str) -> Reader | None:
        reader = self._others.get(owner)
        if reader is None:
            reader = self._find_reader(owner)
            if reader is not None:
                self._others[owner] = reader
        return reader

    # What is done with them

    def open(self, name: str, needed: str = "r", look: bool = True) -> OpenMailbox:
        """Look into a mailbox; see Reader.open. Raises NoPermission."""
        if not is_of_others(name):
            return self.own.open(name, look)
        place, info = self.find(name, needed)
        box = place.reader.open(place.name, look)
        return SharedMailbox(box, self.spell(place, info.name), lambda: self.rights_of(place, info))

    def status(self, name: str) -> MailboxStatus:
        """See Reader.status."""
        return self.open(name).status()

    def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """See Reader.create. What is granted on the mailbox above holds for the new one too (RFC 4314 section 4)."""
        place = self._place_for(name)
        above = self._nearest(place)
        if place.owner != self.account:
            if above is None or "k" not in self.rights_of(place, above):
                raise NoPermission(f"{place.owner} does not allow to create {name}")
            if special_use:
                raise UseTaken("a mailbox of another account has no special use here")
        there = {info.name for info in place.reader.mailboxes() if info.exists}
        made = place.reader.create(place.name, special_use)
        if above is not None and self.access.grants(place.owner).get(above.mailboxid):
            self._inherit(place, above, {made.name, *parents(made.name)} - there)
        return replace(made, name=self.spell(place, made.name))

    def delete(self, name: str) -> MailboxInfo:
        """See Reader.delete; gives what was deleted."""
        place, info = self.find(name, "x")
        place.reader.delete(place.name)
        return info

    def rename(self, old: str, new: str) -> None:
        """See Reader.rename. What is granted on a mailbox stays with it."""
        place, _ = self.find(old, "x")
        target = self._place_for(new)
        if place.owner != target.owner:
            raise WrongName("a mailbox stays in its account: create one there and move the messages")
        if place.owner != self.account:
            if place.name == INBOX:
                raise WrongName("the INBOX of another account cannot be renamed")
            above = self._nearest(target)
            if above is None or "k" not in self.rights_of(target, above):
                raise NoPermission(f"{place.owner} does not allow to create {new}")
        place.reader.rename(place.name, target.name)

    def subscribe(self, name: str, on: bool = True) -> None:
        """See Reader.subscribe."""
        if is_of_others(name) and on:
            place, info = self.find(name, "l")
            name = self.spell(place, info.name)
        self.own.subscribe(name, on)

    # What is granted

    def entries(self, place: Place, info: MailboxInfo) -> Mapping[str, str]:
        """Rights by identifier, without the owner's."""
        return self.access.grants(place.owner).get(info.mailboxid, {})

    def grant(self, place: Place, info: MailboxInfo, identifier: str, edit: Callable[[str], str]) -> None:
        """Change the rights of one identifier: `edit` makes the new ones of those that were. What was granted on
        mailboxes that are no more is forgotten."""
        alive = {line.mailboxid for line in place.reader.mailboxes()}
        with self.access.change(place.owner) as grants:
            for mailboxid in grants.keys() - alive:
                del grants[mailboxid]
            entries = grants.setdefault(info.mailboxid, {})
            entries[identifier] = edit(entries.get(identifier, ""))
        place.reader.announce()

    def _place_for(self, name: str) -> Place:
        try:
            return self.place(name)
        except NoMailbox as error:
            raise WrongName(f"names below {OTHERS} are those of mailboxes of other accounts") from error

    def _nearest(self, place: Place) -> MailboxInfo | None:
        """The nearest mailbox above a name."""
        infos = {info.name: info for info in place.reader.mailboxes() if info.exists}
        return next((infos[name] for name in reversed(parents(place.name)) if name in infos), None)

    def _inherit(self, place: Place, above: MailboxInfo, names: set[str]) -> None:
        new = [info.mailboxid for info in place.reader.mailboxes() if info.name in names]
        with self.access.change(place.owner) as grants:
            for mailboxid in new:
                grants.setdefault(mailboxid, {}).update(grants.get(above.mailboxid, {}))
