"""EXPUNGE: rows go in one transaction, files later (store/tidy), as nobody has to wait for them.

Diagnostics: MailboxGone, StorageError.
"""

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.index import MANY, Index, Key, selections
from mailsrv.store.rows import GONE, Gone, remove
from mailsrv.store.values import DELETED


def expunge(index: Index, key: Key, uids: NumberSet | None) -> tuple[NumberSet, int, int]:
    """Remove the messages with the flag Deleted, of `uids` or all: their UIDs, the modseq (the mailbox's highest when
    there are none), and their octets."""
    row = index.mailbox(key)
    if not row.deleted:
        return NumberSet(), row.highestmodseq, 0
    with index.write(bulk=row.deleted >= MANY) as writing:
        row = writing.mailbox(key)
        messages: list[Gone] = []
        for condition, values in selections(uids):
            rows = writing.execute(
                f"SELECT {GONE} FROM message WHERE mailbox = ? AND {condition} AND flags & {DELETED} <> 0 ORDER BY uid",
                (row.id, *values),
            )
            messages += map(Gone._make, rows)
        if not messages:
            return NumberSet(), row.highestmodseq, 0
        remove(writing, row, messages)
        modseq = writing.modseq
    gone = NumberSet.of_sorted([message.uid for message in messages])
    return gone, modseq, sum(message.size for message in messages)
