"""A mailbox of another account, with what its owner allows (RFC 4314 section 4), and messages that go from one account
to another.

This is the one place that keeps to rights on what is in a mailbox; which mailboxes there are is the business of
mailsrv.imapd.library. Rights are looked up at every call: what the owner takes back is gone at once, and a mailbox that
may not be read any more is gone for the session that has it. Between accounts octets are copied, and no file is shared.

Diagnostics: NoPermission where a right is missing; MailboxGone where the right to read is taken back meanwhile; what
the store raises.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mailsrv.errors import MailsrvError
from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.store.numbering import Uids
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import MailboxGone, NoPermission
from mailsrv.store.values import (
    DELETED,
    EVERY_FLAG,
    SEEN,
    SYSTEM,
    Changes,
    Incoming,
    NamedFlags,
    Operation,
    Stored,
    limit,
)

_FILES = 50  # messages that are copied at once: each is an open file until they are stored
_BLOCK = 1 << 20

TAKE = "te"  # what taking a message away needs: to mark it as Deleted, and to expunge it

# Which flags each right lets change; "w" all others (RFC 4314 section 4).
_SETTABLE = {"s": SEEN, "t": DELETED, "w": EVERY_FLAG & ~SEEN & ~DELETED}


class SharedMailbox(OpenMailbox):
    """`box`: the owner's own view of it; `name`: what this account calls it; `rights` asks for what is allowed now."""

    def __init__(self, box: OpenMailbox, name: str, rights: Callable[[], str]) -> None:
        self._household = box._household
        self._index = box._index
        self._key = box._key
        self._path = box._path
        self.directory = box.directory
        self.uidvalidity = box.uidvalidity
        self.mailboxid = box.mailboxid
        self.id = box.id
        self.name = name
        self._ask = rights

    @property
    def rights(self) -> str:
        return self._ask()

    @property
    def settable(self) -> int:
        rights = self.rights
        return sum(flags for right, flags in _SETTABLE.items() if right in rights)

    def refresh(self, force: bool = False) -> bool:
        self._expect_readable()
        return super().refresh(force)

    def view(self) -> tuple[Uids, int, int]:
        self._expect_readable()
        return super().view()

    def changes(self, since: int, uids: NumberSet | None = None) -> Changes:
        self._expect_readable()
        return super().changes(since, uids)

    def keyword_word(self, names: Sequence[str], create: bool = False) -> int:
        """No keyword is made by whoever may not set it."""
        return super().keyword_word(names, create and "w" in self.rights)

    def store_flags(
        self, uids: NumberSet, operation: Operation, flags_: int | NamedFlags, unchanged_since: int | None = None
    ) -> Stored:
        """Flags that may not be changed stay as they are, without a word (RFC 4314 section 4)."""
        settable = self.settable
        if settable == EVERY_FLAG:
            return super().store_flags(uids, operation, flags_, unchanged_since)
        if not settable:
            return Stored(0, EMPTY, self.status().highestmodseq)
        if operation is not Operation.REPLACE:
            return super().store_flags(uids, operation, limit(flags_, settable), unchanged_since)
        added = super().store_flags(uids, Operation.ADD, limit(flags_, settable), unchanged_since)
        # What another session has changed since is left alone; what was just changed here is not.
        others = settable & ~flags_ if isinstance(flags_, int) else replace(flags_, besides=settable)
        removed = super().store_flags(uids - added.failed, Operation.REMOVE, others)
        return Stored(added.changed + removed.changed, added.failed, removed.modseq)

    def expunge(self, uids: NumberSet | None = None) -> tuple[NumberSet, int]:
        self._expect("e")
        return super().expunge(uids)

    def append(self, messages: Sequence[Incoming]) -> list[int]:
        """Flags that may not be set are not, and the message comes all the same (RFC 4314 section 4)."""
        try:
            self._expect("i")
        except NoPermission:
            for message in messages:
                message.file.close()
            raise
        settable = self.settable
        return super().append([replace(message, flags=limit(message.flags, settable)) for message in messages])

    def _expect(self, needed: str) -> None:
        """Raise NoPermission when one of these rights is missing."""
        rights = self.rights
        for right in needed:
            if right not in rights:
                raise NoPermission(f"{self.owner} does not allow this in {self.name} (the right {right})")

    def _expect_readable(self) -> None:
        if "r" not in self.rights:
            raise MailboxGone(f"{self.owner} does not share {self.name} any more")


# Messages that go from one mailbox to another, whosesoever they are


def copy_messages(box: OpenMailbox, uids: NumberSet, target: OpenMailbox) -> list[tuple[int, int]]:
    """Copy messages, all or none: (uid, new uid), ascending. Raises what OpenMailbox.copy does, and NoPermission."""
    expect_rights(target, "i")
    if is_of_one(box, target) and target.settable == EVERY_FLAG:
        return box.copy(uids, target)
    return _carry(box, uids, target)


def move_messages(box: OpenMailbox, uids: NumberSet, target: OpenMailbox) -> list[tuple[int, int]]:
    """Move messages, all or none: (uid, new uid), ascending. To take them away needs the rights to mark them as
    Deleted and to expunge (RFC 6851 section 4.1). Between accounts they are durable there before they go here; a crash
    in between leaves both."""
    expect_rights(target, "i")
    expect_rights(box, TAKE)
    if is_of_one(box, target) and target.settable == EVERY_FLAG:
        return box.move(uids, target)
    pairs = _carry(box, uids, target)
    if pairs:
        taken = NumberSet.of_sorted([uid for uid, _ in pairs])
        box.store_flags(taken, Operation.ADD, DELETED)
        box.expunge(taken)
    return pairs


def is_of_one(box: OpenMailbox, other: OpenMailbox) -> bool:
    """Whether two mailboxes are of one account."""
    return box.owner == other.owner


def expect_rights(box: OpenMailbox, needed: str) -> None:
    """Raise NoPermission where one of these rights is missing; an account's own mailboxes lack none."""
    if isinstance(box, SharedMailbox):
        box._expect(needed)


def _carry(box: OpenMailbox, uids: NumberSet, target: OpenMailbox) -> list[tuple[int, int]]:
    """Copy octets, some messages at a time; what was stored is removed again when the rest fails."""
    rows, keywords = box.named_rows(uids, ("uid", "flags", "received"))
    pairs: list[tuple[int, int]] = []
    with _taken_back(target, pairs):
        for start in range(0, len(rows), _FILES):
            some = rows[start : start + _FILES]
            incoming: list[Incoming] = []
            try:
                for uid, flags, received in some:
                    incoming.append(_read(box, uid, target, _translate(flags, keywords), received))
            except BaseException:
                for message in incoming:
                    message.file.close()
                raise
            new = target.append(incoming)
            pairs += [(row[0], uid) for row, uid in zip(some, new, strict=True)]
    return pairs


@contextmanager
def _taken_back(target: OpenMailbox, pairs: list[tuple[int, int]]) -> Iterator[None]:
    try:
        yield
    except MailsrvError:
        if pairs:
            # By the owner's own hand: who may insert a message need not have the right to remove one.
            new = NumberSet.of_sorted([uid for _, uid in pairs])
            OpenMailbox.store_flags(target, new, Operation.ADD, DELETED)
            OpenMailbox.expunge(target, new)
        raise


def _translate(flags: int, keywords: list[tuple[int, str]]) -> NamedFlags:
    """A flag word of one mailbox for another."""
    return NamedFlags(flags & SYSTEM, tuple(name for mask, name in keywords if flags & mask))


def _read(box: OpenMailbox, uid: int, target: OpenMailbox, flags: NamedFlags, received: int) -> Incoming:
    with box.open_file(uid) as source:
        file = target.new_file()
        try:
            for start in range(0, source.size, _BLOCK):
                file.write([source.read_at(start, min(_BLOCK, source.size - start))])
        except BaseException:
            file.close()
            raise
    return Incoming(file, flags, received)
