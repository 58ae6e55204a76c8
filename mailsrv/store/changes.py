"""What has changed in a mailbox since a modseq (RFC 7162), and rows by UID.

Only reads. Each answer may know more than it was asked for (a change that came between two statements), never less:
what is asked with its modseq the next time repeats the difference.

Diagnostics: MailboxGone, StorageError.
"""

from collections.abc import Iterator, Sequence

from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.store.database import Row
from mailsrv.store.index import Index, Key, MailboxRow, selections
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.values import SEEN, Changes

# What `rows` can be asked for: name -> (expression, table to be joined).
_COLUMNS = {
    "uid": ("m.uid", ""),
    "flags": ("m.flags", ""),
    "modseq": ("m.modseq", ""),
    "size": ("m.size", ""),
    "received": ("m.received", ""),
    "saved": ("m.saved", ""),
    "content": ("m.content", ""),
    "base": ("m.base", ""),
    "path": ("CASE m.leaf WHEN 0 THEN 'new/' ELSE 'cur/' END || m.base || m.tail", ""),
    "emailid": ("content.emailid", "LEFT JOIN content ON content.id = m.content"),
    **{
        name: (f"ready.{name}", "LEFT JOIN ready ON ready.content = m.content")
        for name in ("header_size", "envelope", "structure", "fields", "preview")
    },
}
COLUMNS = frozenset(_COLUMNS)

_BATCH = 5000  # rows that are in memory at once


def since(index: Index, key: Key, modseq: int, uids: NumberSet | None = None) -> Changes:
    """What changed after `modseq` among `uids` (None: all)."""
    row = index.mailbox(key)
    if row.highestmodseq <= modseq:
        return Changes(row.highestmodseq, row.uidnext, [], EMPTY)
    touched = uids
    if modseq >= row.logged:
        logged = index.read("SELECT uids FROM change WHERE mailbox = ? AND modseq > ?", (key.id, modseq))
        touched = _parse(",".join(text for (text,) in logged))
        if uids is not None:
            touched = touched & uids
    flags: list[tuple[int, int, int]] = []
    for condition, values in selections(touched):
        flags += index.read(
            f"SELECT uid, flags, modseq FROM message WHERE mailbox = ? AND {condition} AND modseq > ? ORDER BY uid",
            (key.id, *values, modseq),
        )
    vanished = _vanished(index, row, modseq)
    return Changes(row.highestmodseq, row.uidnext, flags, vanished if uids is None else vanished & uids)


def _vanished(index: Index, row: MailboxRow, modseq: int) -> NumberSet:
    if modseq >= row.remembered:
        gone = index.read("SELECT uid FROM expunged WHERE mailbox = ? AND modseq > ?", (row.id, modseq))
        return NumberSet.of(uid for (uid,) in gone) if gone else EMPTY
    # Too long ago: everything that could have been there and is not (RFC 7162 section 3.2.6 allows it).
    there = index.read("SELECT uid FROM message WHERE mailbox = ? ORDER BY uid", (row.id,))
    return NumberSet([(1, row.uidnext - 1)] if row.uidnext > 1 else []) - NumberSet.of_sorted([u for (u,) in there])


def first_unseen(index: Index, key: Key) -> int:
    """The smallest UID without the flag Seen; 0: none. What was found before is remembered: a mailbox whose first
    messages have been read for long is not looked through at each SELECT."""
    row = index.mailbox(key)
    if not row.unseen:
        return 0
    modseq, start = index.numberings.unseen.get(key, (0, 1))
    if modseq == row.highestmodseq:
        return start
    if modseq > row.highestmodseq:  # the index of an older time
        start = 1
    found = 0
    if start > 1:  # what comes before it was seen then
        earlier = since(index, key, modseq, NumberSet([(1, start - 1)])).flags
        found = next((uid for uid, flags, _ in earlier if not flags & SEEN), 0)
    if not found:
        statement = f"SELECT min(uid) FROM message WHERE mailbox = ? AND uid >= ? AND flags & {SEEN} = 0"
        found = index.read(statement, (key.id, start))[0][0] or 0
    if found:
        index.numberings.unseen[key] = row.highestmodseq, found
    return found


def _parse(text: str) -> NumberSet:
    pairs = [part.partition(":") for part in text.split(",")] if text else []
    return NumberSet((int(first), int(last or first)) for first, _, last in pairs)


# Those of COLUMNS whose values may be large.
_WIDE = ("envelope", "structure", "fields", "preview")


def some_rows(
    index: Index, key: Key, uids: NumberSet, columns: Sequence[str], most: int
) -> tuple[list[Row], bool]:
    """Columns (of COLUMNS, uid first) of messages by ascending UID, all in memory: about `most` octets of them. False:
    there are more."""
    index.mailbox(key)
    wanted = [_COLUMNS[name] for name in columns]
    joins = " ".join(dict.fromkeys(join for _, join in wanted if join))
    listed = ", ".join(expression for expression, _ in wanted)
    wide = [at for at, name in enumerate(columns) if name in _WIDE]
    found: list[Row] = []
    for condition, values in selections(uids):
        if most <= 0:
            return found, False
        batch, octets, whole = index.database.read_within(
            f"SELECT {listed} FROM message AS m {joins} WHERE m.mailbox = ? AND m.{condition} ORDER BY m.uid",
            (key.id, *values),
            wide,
            most,
        )
        found += batch
        most -= octets
        if not whole:
            return found, False
    return found, True


def flag_words(index: Index, key: Key, first: int, last: int) -> list[str]:
    """The flag words of all messages with these UIDs, by ascending UID, in digits: as one text, for it is made of a
    mailbox of any size in half the time that rows take."""
    rows = index.read(
        "SELECT uidvalidity, (SELECT group_concat(flags) FROM"
        " (SELECT flags FROM message WHERE mailbox = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid))"
        " FROM mailbox WHERE id = ?1",
        (key.id, first, last),
    )
    if not rows or rows[0][0] != key.uidvalidity:
        raise MailboxGone("the mailbox was deleted, or its UIDs are no longer valid")
    return rows[0][1].split(",") if rows[0][1] else []


def rows(index: Index, key: Key, uids: NumberSet | None, columns: Sequence[str]) -> Iterator[Row]:
    """Columns (of COLUMNS) of messages by ascending UID, a batch in memory at a time."""
    index.mailbox(key)
    wanted = [_COLUMNS[name] for name in columns]
    joins = " ".join(dict.fromkeys(join for _, join in wanted if join))
    own = columns.index("uid") if "uid" in columns else -1
    listed = ", ".join(expression for expression, _ in wanted) + (", m.uid" if own < 0 else "")
    for condition, values in selections(uids):
        # A second condition on the lower end would not be looked up: each batch would read all before it again.
        is_range = len(values) == 2
        behind = "" if is_range else "AND +m.uid > ?"
        last = 0
        while True:
            limits = (max(values[0], last + 1), values[1]) if is_range else (*values, last)
            batch = index.read(
                f"SELECT {listed} FROM message AS m {joins} WHERE m.mailbox = ? AND m.{condition} {behind}"
                f" ORDER BY m.uid LIMIT {_BATCH}",
                (key.id, *limits),
            )
            yield from batch if own >= 0 else [row[:-1] for row in batch]
            if len(batch) < _BATCH:
                break
            last = batch[-1][own]
