"""What can wait until nobody does: flags into the names of files, files of messages that are gone, deleted mailboxes.

Each step is a small transaction, and what it leaves undone is found by the next. Flags are written by a rename within
cur/; a file in new/ gets a link in cur/ first, as no rename crosses directories. Files are unlinked, their directories
synced, and only then is forgotten that they are debris.

Diagnostics: MailboxGone, StorageError; nothing is lost then, and the next call begins where it stopped.
"""

import json
from contextlib import suppress
from typing import Any

from mailsrv.errors import AlreadyThere
from mailsrv.system.disk import CrossDevice, Missing
from mailsrv.store.adopt import own_change
from mailsrv.store.index import LOGGED, REMEMBERED, Index, Key, MailboxRow, Writing
from mailsrv.store.message import base_of, tail_with
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.rows import CUR, FEW, LEAVES, NEW
from mailsrv.store.transfer import is_same_file
from mailsrv.store.values import SYSTEM

STEP = 200  # files that one transaction renames or removes at most
HOLD_SECONDS = 0.010  # after which it renames or removes no more: nobody else can write meanwhile

_FORGOTTEN = 5000  # rows that one transaction forgets
_SOME = 50  # files that are removed between two looks at the clock

# Which messages' names are to be written: first those of new/, which has an index of its own.
_WAITING = (
    (f"INDEXED BY {FEW} WHERE mailbox = ?", "leaf = 0"),
    ("WHERE mailbox = ?", f"leaf = 1 AND flags & {SYSTEM} <> shown"),
)
_FILE = "uid, flags, base, leaf, tail"


def write_back(index: Index, mailbox: MailboxRow, most: int) -> bool:
    """Write flags of up to `most` messages of a mailbox into the names of their files; True when there is more, and
    this call got on."""
    if mailbox.highestmodseq <= mailbox.written:
        return False
    key = Key(mailbox.id, mailbox.uidvalidity)
    looked = written = 0
    for start, condition in _WAITING:
        after = 0
        # They are looked for before the transaction, so that it looks at few rows whatever the mailbox has.
        while waiting := index.read(
            f"SELECT uid FROM message {start} AND {condition} AND uid > ? AND modseq > ?"
            f" ORDER BY uid LIMIT {STEP}",
            (mailbox.id, after, mailbox.written),
        ):
            if looked >= most:
                return written > 0
            after, some, done = _write_some(index, key, condition, [uid for (uid,) in waiting])
            looked += some
            written += done
    # Where somebody else has renamed a file, whoever looks next finds its name.
    if written == looked:
        with index.write() as writing:
            if writing.mailbox(key).highestmodseq != mailbox.highestmodseq:
                return True
            writing.execute("UPDATE mailbox SET written = highestmodseq WHERE id = ?", (mailbox.id,))
    return False


def _write_some(index: Index, key: Key, condition: str, uids: list[int]) -> tuple[int, int, int]:
    """Give files of messages the names that their flags ask for: the UID of the last one that was looked at, how many
    were, and how many have their names."""
    until = index.clock.monotonic() + HOLD_SECONDS
    with index.write() as writing:
        row = writing.mailbox(key)
        messages = writing.execute(
            f"SELECT {_FILE} FROM message WHERE mailbox = ? AND {condition}"
            " AND uid IN (SELECT value FROM json_each(?)) ORDER BY uid",
            (row.id, json.dumps(uids)),
        ).fetchall()
        with own_change(index, writing, row):
            looked, done = _rename(index, row, messages, until)
        writing.connection.executemany(
            "UPDATE message SET leaf = 1, tail = ?, shown = ? WHERE mailbox = ? AND uid = ?",
            [(tail, flags & SYSTEM, row.id, uid) for uid, flags, tail in done],
        )
    last = uids[-1] if looked == len(messages) else messages[looked - 1][0]
    return last, looked, len(done)


def _rename(
    index: Index, row: MailboxRow, messages: list[tuple[int, int, str, int, str]], until: float
) -> tuple[int, list[tuple[int, int, str]]]:
    """Give files the names that their flags ask for, durably, until it is so late (monotonic): how many were looked at,
    and (uid, flags, end of the name) of those that have theirs."""
    path = index.path(row)
    done = []
    old = []
    looked = 0
    for uid, flags, base, leaf, tail in messages:
        if looked and not looked % 8 and index.clock.monotonic() >= until:
            break
        looked += 1
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
                if index.disk.exists(f"{path}/{LEAVES[CUR]}/{base}{wanted}"):
                    continue  # another program's, which a rename would replace
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
    return looked, done


def remove_files(index: Index, most: int) -> bool:
    """Remove up to `most` files that are debris; True when there is more."""
    while most > 0:
        if not index.read("SELECT 1 FROM removal LIMIT 1"):
            return False
        until = index.clock.monotonic() + HOLD_SECONDS
        with index.write() as writing:
            waiting = writing.execute(
                f"SELECT id, directory, base, leaf, tail, content, hash FROM removal ORDER BY id LIMIT {STEP}"
            ).fetchall()
            gone: list[tuple[Any, ...]] = []
            changed: set[str] = set()
            for start in range(0, len(waiting), _SOME):
                rows = waiting[start : start + _SOME]
                for directory in sorted({row[1] for row in rows}):
                    mine = [row for row in rows if row[1] == directory]
                    number = writing.execute("SELECT id, uidvalidity FROM mailbox WHERE directory = ?", (directory,))
                    with own_change(index, writing, writing.mailbox(Key(*number.fetchall()[0]))):
                        changed |= _unlink(index, writing, directory, mine)
                gone += rows
                if index.clock.monotonic() >= until:
                    break
            for path in sorted(changed):
                with suppress(Missing):  # just being deleted, and its files with it
                    index.disk.sync_directory(path)
            writing.connection.executemany("DELETE FROM removal WHERE id = ?", [(row[0],) for row in gone])
            writing.release_contents([row[5] for row in gone if row[5]])
        most -= len(gone)
    return True


def _unlink(
    index: Index, writing: Writing, directory: str, rows: list[tuple[int, str, str, int, str, int, int]]
) -> set[str]:
    """Remove files of one mailbox; gives the directories that are to be synced."""
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
    return {f"{path}/{LEAVES[leaf]}" for leaf in leaves}


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


def trim(index: Index, mailbox: MailboxRow) -> bool:
    """Forget what changed long ago, when there is more of it than is kept; True when there is more to forget."""
    more = False
    for table, column, most in (("change", "logged", LOGGED), ("expunged", "remembered", REMEMBERED)):
        ((count,),) = index.read(f"SELECT count(*) FROM {table} WHERE mailbox = ?", (mailbox.id,))
        if count > 2 * most:
            with index.write() as writing:
                writing.execute(
                    f"UPDATE mailbox SET {column} = (SELECT modseq FROM {table} WHERE mailbox = ?1 ORDER BY modseq DESC"
                    f" LIMIT 1 OFFSET {most}) WHERE id = ?1",
                    (mailbox.id,),
                )
        # What is not told any more goes some rows at a time.
        with_old = f"FROM {table} AS t JOIN mailbox AS m ON m.id = t.mailbox WHERE m.id = ? AND t.modseq <= m.{column}"
        if count > most and index.read(f"SELECT 1 {with_old} LIMIT 1", (mailbox.id,)):
            rest = "" if table == "change" else ", uid"
            with index.write() as writing:
                gone = writing.execute(
                    f"DELETE FROM {table} WHERE mailbox = ? AND (modseq{rest}) IN"
                    f" (SELECT t.modseq{rest} {with_old} LIMIT {_FORGOTTEN})",
                    (mailbox.id, mailbox.id),
                ).rowcount
            more = more or gone == _FORGOTTEN
    return more
