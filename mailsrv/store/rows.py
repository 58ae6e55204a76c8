"""How messages get rows: by adoption, appending, copying and moving alike; and how they lose them.

Within a transaction of the index, and on it alone: no file is touched here. What is removed leaves a row in `removal`
for each file that must go, which is debris until it has gone: it is not adopted again.

Diagnostics: TooMany when a mailbox has no UIDs left.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.index import MAX_UID, Delta, MailboxRow, Writing, selections
from mailsrv.store.message import flags_of, hash_of
from mailsrv.store.refusals import TooMany
from mailsrv.store.values import DELETED, SEEN

NEW, CUR = 0, 1  # `leaf`
LEAVES = ("new", "cur")
FEW = "message_new"  # the index of the rows of files in new/; see mailsrv.store.index


class Found(NamedTuple):
    """A message that is to get a row: its file's names, flags, octets, content (0: a new one) and internal date."""

    base: str
    leaf: int
    tail: str
    flags: int
    size: int
    content: int
    received: int

    @property
    def path(self) -> str:
        """Relative to the mailbox's Maildir."""
        return f"{LEAVES[self.leaf]}/{self.base}{self.tail}"


class Gone(NamedTuple):
    """A message that is to lose its row."""

    uid: int
    flags: int
    size: int
    content: int
    hash: int
    base: str
    leaf: int
    tail: str


GONE = "uid, flags, size, content, hash, base, leaf, tail"


def emailid_of(base: str) -> str:
    """The object id (RFC 8474 section 5) of what lies under a base name; copies of it keep it."""
    return f"M{hashlib.sha256(base.encode()).hexdigest()[:24]}"


def insert(
    writing: Writing, mailbox: MailboxRow, messages: Sequence[Found], now: float, moved: bool = False
) -> list[int]:
    """Give messages the next UIDs, in their order; once for each row that was read within the transaction. `moved`:
    their contents have a row each that goes now. Raises TooMany."""
    count = len(messages)
    if not count:
        return []
    first = mailbox.uidnext
    if first + count > MAX_UID:
        raise TooMany("the mailbox has no UIDs left: move its messages to a new one")
    fresh = sum(not message.content for message in messages)
    delta = Delta(messages=count, octets=sum(message.size for message in messages))
    content = writing.count(delta, fresh)
    modseq = writing.modseq
    contents, copied, rows = [], [], []
    for uid, message in enumerate(messages, first):
        base, leaf, tail, flags, size, shared, received = message
        if shared:
            copied.append((shared,))
        else:
            shared = content
            content += 1
            contents.append((shared, emailid_of(base)))
        rows.append(
            (
                mailbox.id, uid, flags, modseq, size, shared, hash_of(base), base, leaf, tail, flags_of(tail),
                received, int(now),
            )
        )  # fmt: skip
        delta.unseen += not flags & SEEN
        delta.deleted += bool(flags & DELETED)
    writing.connection.executemany("INSERT INTO content (id, emailid, copies) VALUES (?, ?, 1)", contents)
    writing.connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    if not moved:
        writing.connection.executemany("UPDATE content SET copies = copies + 1 WHERE id = ?", copied)
    writing.touch(mailbox.id, NumberSet([(first, first + count - 1)]), delta, first + count)
    return list(range(first, first + count))


def remove(writing: Writing, mailbox: MailboxRow, messages: Sequence[Gone]) -> None:
    """Take rows away, remember their UIDs, and let their files be removed; until they are, their contents stay."""
    _leave_debris(writing, mailbox, messages, "content")
    forget(writing, mailbox, messages)


def remove_moved(writing: Writing, mailbox: MailboxRow, messages: Sequence[Gone], debris: bool) -> None:
    """The same for messages that other rows were inserted for as `moved`. `debris`: their files have other names."""
    if debris:
        _leave_debris(writing, mailbox, messages, "0")
    forget(writing, mailbox, messages)


def _leave_debris(writing: Writing, mailbox: MailboxRow, messages: Sequence[Gone], content: str) -> None:
    for condition, values in _conditions(messages):
        writing.execute(
            "INSERT INTO removal (hash, directory, base, leaf, tail, content)"
            f" SELECT hash, ?, base, leaf, tail, {content} FROM message WHERE mailbox = ? AND {condition}",
            (mailbox.directory, mailbox.id, *values),
        )


def _conditions(messages: Sequence[Gone]) -> list[tuple[str, tuple[Any, ...]]]:
    """As `selections`: few statements for many rows."""
    return selections(NumberSet.of_sorted([message.uid for message in messages]))


def forget(writing: Writing, mailbox: MailboxRow, messages: Sequence[Gone]) -> None:
    """Take rows away, by ascending UID, and remember their UIDs; their files are gone, or are somebody else's
    business."""
    modseq = writing.modseq
    for condition, values in _conditions(messages):
        where = f"FROM message WHERE mailbox = ? AND {condition}"
        writing.execute(
            f"INSERT OR IGNORE INTO expunged SELECT mailbox, ?, uid {where}", (modseq, mailbox.id, *values)
        )
        writing.execute(f"DELETE {where}", (mailbox.id, *values))
    delta = Delta(
        messages=-len(messages),
        unseen=-sum(not message.flags & SEEN for message in messages),
        deleted=-sum(bool(message.flags & DELETED) for message in messages),
        octets=-sum(message.size for message in messages),
    )
    writing.count(delta)
    writing.touch(mailbox.id, NumberSet(), delta)
