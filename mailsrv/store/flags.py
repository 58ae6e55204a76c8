"""Flags of messages: STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3).

A change is one pass over the rows it changes, whatever their number; names of files follow later (store/tidy). A row
that has the flags already is not changed and keeps its modseq.

Diagnostics: TooMany (mailsrv.store.keywords), MailboxGone, StorageError.
"""

from typing import Any

from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.store.index import MANY, Delta, Index, Key, Writing, selections
from mailsrv.store.keywords import flag_word
from mailsrv.store.values import DELETED, SEEN, NamedFlags, Operation, Stored

# What each operation makes of `flags` with the flag word ?1, and which rows it changes.
_STATEMENTS = {
    Operation.ADD: ("flags | ?1", "flags & ?1 <> ?1"),
    Operation.REMOVE: ("flags & ~?1", "flags & ?1 <> 0"),
    Operation.REPLACE: ("?1", "flags <> ?1"),
}


def store(
    index: Index,
    key: Key,
    uids: NumberSet,
    operation: Operation,
    change: int | NamedFlags,
    unchanged_since: int | None = None,
) -> Stored:
    """Change flags; see OpenMailbox.store_flags."""
    result, changes = _STATEMENTS[operation]
    failed: list[int] = []
    delta = Delta()
    changed = 0
    with index.write(bulk=len(uids) >= MANY) as writing:
        row = writing.mailbox(key)
        flags = flag_word(writing, row.id, change, operation is not Operation.REMOVE)
        limit = "" if unchanged_since is None else f" AND modseq <= {int(unchanged_since)}"
        for condition, values in selections(uids):
            where = f"WHERE mailbox = ?2 AND {condition}"
            arguments = (flags, row.id, *values)
            if limit:
                found = writing.execute(
                    f"SELECT uid FROM message WHERE mailbox = ? AND {condition} AND modseq > ? ORDER BY uid",
                    (row.id, *values, unchanged_since),
                )
                failed += [uid for (uid,) in found]
            unseen, deleted = _count(writing, operation, flags, f"{where} AND {changes}{limit}", arguments)
            count = writing.execute(
                f"UPDATE message SET flags = {result}, modseq = ?3 {where} AND {changes}{limit}",
                (flags, row.id, writing.modseq, *values),
            ).rowcount
            changed += count
            delta.unseen += _after(operation, flags, SEEN, unseen, count, bare=True)
            delta.deleted += _after(operation, flags, DELETED, deleted, count, bare=False)
        if changed:
            writing.touch(row.id, uids & NumberSet([(1, row.uidnext)]), delta)
        modseq = writing.modseq if changed else row.highestmodseq
    return Stored(changed, NumberSet.of_sorted(failed) if failed else EMPTY, modseq, row.highestmodseq)


def _count(
    writing: Writing, operation: Operation, flags: int, where: str, arguments: tuple[Any, ...]
) -> tuple[int | None, int | None]:
    """How many of the rows that will be changed have not Seen, and have Deleted; None where that follows from their
    number: one flag is added to those that do not have it, and removed from those that do."""
    if operation is not Operation.REPLACE and (not flags & (SEEN | DELETED) or flags in (SEEN, DELETED)):
        return None, None
    unseen, deleted = writing.execute(
        f"SELECT coalesce(sum(flags & {SEEN} = 0), 0), coalesce(sum(flags & {DELETED} <> 0), 0) FROM message {where}",
        arguments,
    ).fetchall()[0]
    return unseen, deleted


def _after(operation: Operation, flags: int, flag: int, before: int | None, count: int, bare: bool) -> int:
    """By how much the messages with a flag (`bare`: without it) become more, when `count` rows were changed, of which
    `before` were such."""
    if operation is not Operation.REPLACE and not flags & flag:
        return 0
    will = (bool(flags & flag) and operation is not Operation.REMOVE) != bare
    if before is None:
        return count if will else -count
    return (count if will else 0) - before
