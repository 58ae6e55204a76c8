"""Flags of messages: STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3) and the keywords of a mailbox.

A change is one pass over the rows it changes, whatever their number; names of files follow later (store/tidy). A row
that has the flags already is not changed and keeps its modseq.

Diagnostics: TooMany when a mailbox has as many keywords as there are bits; MailboxGone, StorageError.
"""

from collections.abc import Sequence
from typing import Any

from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.store.index import Delta, Index, Key, Writing, selections
from mailsrv.store.refusals import TooMany
from mailsrv.store.values import DELETED, FIRST_KEYWORD, KEYWORDS, LAST_KEYWORD, SEEN, Operation, Stored

# What each operation makes of `flags` with the flag word ?1, and which rows it changes.
_STATEMENTS = {
    Operation.ADD: ("flags | ?1", "flags & ?1 <> ?1"),
    Operation.REMOVE: ("flags & ~?1", "flags & ?1 <> 0"),
    Operation.REPLACE: ("?1", "flags <> ?1"),
}


def store(
    index: Index, key: Key, uids: NumberSet, operation: Operation, flags: int, unchanged_since: int | None = None
) -> Stored:
    """Change flags; see OpenMailbox.store_flags."""
    result, changes = _STATEMENTS[operation]
    failed: list[int] = []
    delta = Delta()
    changed = 0
    with index.write() as writing:
        row = writing.mailbox(key)
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
                f"UPDATE message SET flags = {result}, modseq = {writing.modseq} {where} AND {changes}{limit}",
                arguments,
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


def keywords(index: Index, key: Key) -> list[tuple[int, str]]:
    """The keywords of a mailbox: (flag word with its bit, name)."""
    index.mailbox(key)
    rows = index.read("SELECT bit, name FROM keyword WHERE mailbox = ? ORDER BY bit", (key.id,))
    return [(1 << bit, name) for bit, name in rows]


def keyword_word(index: Index, key: Key, names: Sequence[str], create: bool) -> int:
    """The flag word of keywords, whatever their letters' case. One that is not known counts for nothing, or is made
    with `create`: all of them or none, so that what is refused leaves no keyword behind."""
    known = {name.lower(): mask for mask, name in keywords(index, key)}
    masks = [known.get(name.lower(), 0) for name in names]
    if create and not all(masks):
        with index.write() as writing:
            writing.mailbox(key)
            masks = add_keywords(writing, key.id, list(names))
    word = 0
    for mask in masks:
        word |= mask
    return word


def add_keywords(writing: Writing, mailbox: int, names: list[str]) -> list[int]:
    """The flag words of keywords, in their order; those that the mailbox does not know get a bit. Raises TooMany."""
    rows = writing.execute("SELECT bit, name FROM keyword WHERE mailbox = ?", (mailbox,)).fetchall()
    known = {name.lower(): bit for bit, name in rows}
    taken = set(known.values())
    masks = []
    for name in names:
        bit = known.get(name.lower())
        if bit is None:
            bit = next((bit for bit in range(FIRST_KEYWORD, LAST_KEYWORD + 1) if bit not in taken), None)
            if bit is None:
                raise TooMany(f"a mailbox has at most {KEYWORDS} keywords")
            writing.execute("INSERT INTO keyword VALUES (?, ?, ?)", (mailbox, bit, name))
            known[name.lower()] = bit
            taken.add(bit)
        masks.append(1 << bit)
    return masks


def translate(writing: Writing, source: int, target: int, words: set[int]) -> dict[int, int]:
    """Flag words of one mailbox as those of another, which learns the keywords that occur. Raises TooMany."""
    if source == target:
        return {word: word for word in words}
    occurring = 0
    for word in words:
        occurring |= word
    system = (1 << FIRST_KEYWORD) - 1
    if not occurring & ~system:
        return {word: word for word in words}
    rows = writing.execute("SELECT bit, name FROM keyword WHERE mailbox = ? ORDER BY bit", (source,)).fetchall()
    rows = [(bit, name) for bit, name in rows if occurring >> bit & 1]
    masks = add_keywords(writing, target, [name for _, name in rows])
    pairs = [(1 << bit, mask) for (bit, _), mask in zip(rows, masks, strict=True)]
    return {word: word & system | sum(mask for bit, mask in pairs if word & bit) for word in words}
