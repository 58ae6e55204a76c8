"""Flags of messages: STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3) and the keywords of a mailbox.

A change is one pass over the rows it changes, whatever their number; names of files follow later (store/tidy). A row
that has the flags already is not changed and keeps its modseq.

Diagnostics: TooMany when a mailbox has as many keywords as there are bits; MailboxGone, StorageError.
"""

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
        touched: list[tuple[int, int]] = []
        for condition, values in selections(uids):
            where = f"WHERE mailbox = ?2 AND {condition}"
            arguments = (flags, row.id, *values)
            if limit:
                found = writing.execute(
                    f"SELECT uid FROM message {where.replace('?2', '?')} AND modseq > ? ORDER BY uid",
                    (row.id, *values, unchanged_since),
                )
                failed += [uid for (uid,) in found]
            count, unseen, deleted, first, last = writing.execute(
                f"SELECT count(*), sum(flags & {SEEN} = 0), sum(flags & {DELETED} <> 0), min(uid), max(uid)"
                f" FROM message {where} AND {changes}{limit}",
                arguments,
            ).fetchall()[0]
            if not count:
                continue
            writing.execute(
                f"UPDATE message SET flags = {result}, modseq = {writing.modseq} {where} AND {changes}{limit}",
                arguments,
            )
            changed += count
            touched.append((first, last))
            delta.unseen += _after(operation, flags, SEEN, unseen, count, bare=True) - unseen
            delta.deleted += _after(operation, flags, DELETED, deleted, count, bare=False) - deleted
        if changed:
            writing.touch(row.id, (NumberSet(touched) & uids), delta)
        modseq = writing.modseq if changed else row.highestmodseq
    return Stored(changed, NumberSet.of_sorted(failed) if failed else EMPTY, modseq)


def _after(operation: Operation, flags: int, flag: int, before: int, count: int, bare: bool) -> int:
    """How many of `count` changed rows have a flag afterwards (`bare`: have it not), of which `before` did so."""
    if operation is not Operation.REPLACE and not flags & flag:
        return before
    has = bool(flags & flag) and operation is not Operation.REMOVE
    return count if has != bare else 0


def keywords(index: Index, key: Key) -> list[tuple[int, str]]:
    """The keywords of a mailbox: (flag word with its bit, name)."""
    index.mailbox(key)
    rows = index.read("SELECT bit, name FROM keyword WHERE mailbox = ? ORDER BY bit", (key.id,))
    return [(1 << bit, name) for bit, name in rows]


def keyword_bit(index: Index, key: Key, name: str, create: bool) -> int:
    """The flag word of one keyword, whatever its letters' case; 0 when it is not known and not to be."""
    wanted = name.lower()
    for mask, known in keywords(index, key):
        if known.lower() == wanted:
            return mask
    if not create:
        return 0
    with index.write() as writing:
        writing.mailbox(key)
        return add_keywords(writing, key.id, [name])[0]


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
