"""What can wait until nobody does: flags into the names of files, files of messages that are gone, deleted mailboxes.

Each step is a small transaction, and what it leaves undone is found by the next. Flags are written by a rename within
cur/; a file in new/ gets a link in cur/ first, as no rename crosses directories. Files are unlinked, their directories
synced, and only then is forgotten that they are debris.

Diagnostics: MailboxGone, StorageError; nothing is lost then, and the next call begins where it stopped.
"""

from contextlib import suppress

from mailsrv.errors import AlreadyThere
from mailsrv.system.disk import CrossDevice, Missing
from mailsrv.store.adopt import own_change
from mailsrv.store.index import LOGGED, REMEMBERED, Index, Key, MailboxRow, Writing
from mailsrv.store.message import base_of, tail_with
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.rows import CUR, LEAVES, NEW
from mailsrv.store.transfer import is_same_file
from mailsrv.store.values import SYSTEM

STEP = 200  # files that one transaction renames or removes: nobody else can write meanwhile

def write_back(index: Index, mailbox: MailboxRow, most: int) -> bool:
    """Write flags of up to `most` messages of a mailbox into the names of their files; True when there is more."""
    if mailbox.highestmodseq <= mailbox.written:
        return False
    key = Key(mailbox.id, mailbox.uidvalidity)
    after = 0
    complete = True
    while most > 0:
        with index.write() as writing:
            row = writing.mailbox(key)
            messages = writing.execute(
                "SELECT uid, flags, base, leaf, tail FROM message WHERE mailbox = ? AND uid > ? AND modseq > ?"
                f" AND (flags & {SYSTEM} <> shown OR leaf = 0) ORDER BY uid LIMIT {STEP}",
                (row.id, after, row.written),
            ).fetchall()
            with own_change(index, writing, row):
                done = _rename(index, row, messages)
            writing.connection.executemany(
                "UPDATE message SET leaf = 1, tail = ?, shown = ? WHERE mailbox = ? AND uid = ?",
                [(tail, flags & SYSTEM, row.id, uid) for uid, flags, tail in done],
            )
            # Where somebody else has renamed a file, whoever looks next finds its name.
            complete = complete and len(done) == len(messages)
            if len(messages) < STEP:
                if complete:
                    writing.execute("UPDATE mailbox SET written = highestmodseq WHERE id = ?", (row.id,))
                return False
        after = messages[-1][0]
        most -= len(messages)
    return True


def _rename(
    index: Index, row: MailboxRow, messages: list[tuple[int, int, str, int, str]]
) -> list[tuple[int, int, str]]:
    """Give files the names that their flags ask for, durably: (uid, flags, end of the name) of each."""
    path = index.path(row)
    done = []
    old = []
    for uid, flags, base, leaf, tail in messages:
        wanted = tail_with(tail, flags)
        name = f"{path}/{LEAVES[leaf]}/{base}{tail}"
        try:
            if leaf == NEW:
                try:
                    index.disk.link(name, f"{path}/{LEAVES[CUR]}/{base}{wanted}")
                except AlreadyThere:
                    # Cut off between the two names before, or somebody's copy of the file, which is looked at again.
                    if not is_same_file(index, name, f"{path}/{LEAVES[CUR]}/{base}{wanted}"):
                        continue
                old.append(name)
            elif wanted != tail:
                index.disk.rename(name, base + wanted)
        except (Missing, CrossDevice):  # the latter: a file with as many links as the file system allows
            continue
        done.append((uid, flags, wanted))
    if done:
        try:
            index.disk.sync_directory(f"{path}/{LEAVES[CUR]}")
        except Missing as error:
            raise MailboxGone("the mailbox is just being deleted") from error
    for name in old:
        index.disk.unlink(name, missing_ok=True)
    return done


def remove_files(index: Index, most: int) -> bool:
    """Remove up to `most` files that are debris; True when there is more."""
    while most > 0:
        if not index.read("SELECT 1 FROM removal LIMIT 1"):
            return False
        with index.write() as writing:
            rows = writing.execute(
                f"SELECT id, directory, base, leaf, tail, content, hash FROM removal ORDER BY id LIMIT {STEP}"
            ).fetchall()
            for directory in sorted({row[1] for row in rows}):
                mine = [row for row in rows if row[1] == directory]
                number = writing.execute("SELECT id, uidvalidity FROM mailbox WHERE directory = ?", (directory,))
                with own_change(index, writing, writing.mailbox(Key(*number.fetchall()[0]))):
                    _unlink(index, writing, directory, mine)
            writing.connection.executemany("DELETE FROM removal WHERE id = ?", [(row[0],) for row in rows])
            writing.release_contents([row[5] for row in rows if row[5]])
        most -= len(rows)
    return True


def _unlink(
    index: Index, writing: Writing, directory: str, rows: list[tuple[int, str, str, int, str, int, int]]
) -> None:
    """Remove files of one mailbox, durably."""
    path = index.layout.path(directory)
    lost = set()
    leaves = set()
    for _, _, base, leaf, tail, content, number in rows:
        name = f"{path}/{LEAVES[leaf]}/{base}{tail}"
        if not content and not _is_spare(index, writing, name, base, number):
            continue
        try:
            index.disk.unlink(name)
            leaves.add(leaf)
        except Missing:
            if content:
                lost.add(base)
    if lost:
        # Another program has given it another name, or has removed it itself.
        for leaf in (NEW, CUR):
            try:
                names = index.disk.names(f"{path}/{LEAVES[leaf]}")
            except Missing:
                continue
            for name in names:
                if base_of(name) in lost:
                    index.disk.unlink(f"{path}/{LEAVES[leaf]}/{name}", missing_ok=True)
                    leaves.add(leaf)
    for leaf in leaves:
        with suppress(Missing):  # just being deleted, and its files with it
            index.disk.sync_directory(f"{path}/{LEAVES[leaf]}")


def _is_spare(index: Index, writing: Writing, name: str, base: str, number: int) -> bool:
    """Whether a name is not the only one that a message has: a row's file is there under another one, or there is no
    row."""
    rows = writing.execute(
        "SELECT b.directory, m.leaf, m.base || m.tail FROM message AS m JOIN mailbox AS b ON b.id = m.mailbox"
        " WHERE m.hash = ? AND m.base = ?",
        (number, base),
    ).fetchall()
    paths = [f"{index.layout.path(directory)}/{LEAVES[leaf]}/{file}" for directory, leaf, file in rows]
    return all(path != name and index.disk.exists(path) for path in paths)


def trim(index: Index, mailbox: MailboxRow) -> None:
    """Forget what changed long ago, when there is more of it than is kept."""
    changes, gone = index.read(
        "SELECT (SELECT count(*) FROM change WHERE mailbox = ?1), (SELECT count(*) FROM expunged WHERE mailbox = ?1)",
        (mailbox.id,),
    )[0]
    for table, column, count, most in (
        ("change", "logged", changes, LOGGED), ("expunged", "remembered", gone, REMEMBERED),
    ):  # fmt: skip
        if count > 2 * most:
            with index.write() as writing:
                writing.execute(
                    f"UPDATE mailbox SET {column} = (SELECT modseq FROM {table} WHERE mailbox = ?1 ORDER BY modseq DESC"
                    f" LIMIT 1 OFFSET {most}) WHERE id = ?1",
                    (mailbox.id,),
                )
                (limit,) = writing.execute(f"SELECT {column} FROM mailbox WHERE id = ?", (mailbox.id,)).fetchall()[0]
                writing.execute(f"DELETE FROM {table} WHERE mailbox = ? AND modseq <= ?", (mailbox.id, limit))
