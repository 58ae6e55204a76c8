"""Adoption: files that lie in a mailbox become its messages, one row each, which names the file where it lies.

What the index and the directories say is compared where directory times have changed. The comparison decides nothing:
each difference is looked at again inside the transaction that settles it. A name without a row is

- the new name of a message, when its row's file is gone: flags that the name has gained or lost are gained and lost;
- debris, when its base name is to be removed from this mailbox, or when it is a further link to a file that has a row
  (a move or a rename that was cut off): it will be removed. While the directory is young, a further link is left alone:
  many programs rename by link and unlink, and the row's name may be the one that goes;
- another message under a name that is taken (somebody copied the file): it gets a base name of its own;
- else a new message.

A row whose file is gone, seen twice, is expunged. No name is committed before its directory is synced.

Diagnostics: MailboxGone when the mailbox's directory is not there; StorageError.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from mailsrv.errors import StorageFull
from mailsrv.system import entropy
from mailsrv.system.disk import Missing, Stamp
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.index import Delta, Index, Key, MailboxRow, Writing
from mailsrv.store.mailboxes import YOUNG_SECONDS
from mailsrv.store.message import FLAGS_MARK, base_name, base_of, flags_of, hash_of
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.rows import CUR, FEW, GONE, LEAVES, NEW, Found, Gone, forget, insert
from mailsrv.store.values import DELETED, SEEN, SYSTEM

BATCH = 500  # messages that one transaction adopts, in about 20 ms

# Few rows are of files in new/, and have an index. SQLite takes it only when it is told to, and looks at all otherwise.
_INDEXES = (f" INDEXED BY {FEW}", "")

# What `doubt` says of cur/: we have changed it ourselves since it was read; or it was read while it was young, so that
# it must be read again when it is not any more. What we change in between is no reason.
_OURS, _YOUNG = 1, 2


class _Name(NamedTuple):
    """A file in new/ or cur/, in the order in which messages are adopted: by the number their names begin with."""

    order: int
    name: str
    leaf: int

    @property
    def path(self) -> str:
        return f"{LEAVES[self.leaf]}/{self.name}"


class _Row(NamedTuple):
    """What is known under a base name: in which mailbox (0: it is to be removed), and the file's recorded name."""

    base: str
    mailbox: int
    directory: str
    uid: int
    flags: int
    leaf: int
    tail: str
    shown: int

    @property
    def path(self) -> str:
        return f"{LEAVES[self.leaf]}/{self.base}{self.tail}"


@dataclass(slots=True)
class _Batch:
    """What one transaction does about some names."""

    found: list[Found] = field(default_factory=list)
    renamed: list[tuple[_Row, _Name]] = field(default_factory=list)
    debris: list[_Name] = field(default_factory=list)
    quiet: set[int] = field(default_factory=set)  # leaves that nobody has changed just now
    named: set[int] = field(default_factory=set)  # leaves where a file was given another name, which are to be synced
    inodes: dict[str, int] = field(default_factory=dict)  # of the files that are messages by this batch, by base name


def refresh(index: Index, key: Key, settle: bool = False, force: bool = False, row: MailboxRow | None = None) -> bool:
    """Bring a mailbox's rows in step with its directories, if their times say that there is something new; True when
    rows changed. `settle`: look also where only we were seen to change something. `force`: look anyway. `row`: the
    mailbox's, where it has just been read.

    What cannot be written on a full disk stays as it is, and is found again the next time."""
    try:
        return _refresh(index, row or index.mailbox(key), settle, force)
    except StorageFull as error:
        index.complain(error)
        return False
    except Missing as error:
        raise MailboxGone("the mailbox is just being deleted") from error


def _refresh(index: Index, row: MailboxRow, settle: bool, force: bool) -> bool:
    key = Key(row.id, row.uidvalidity)
    path = index.path(row)
    stamps = [stamp for leaf in LEAVES if (stamp := index.disk.stamp(f"{path}/{leaf}")) is not None]
    if len(stamps) != len(LEAVES):
        raise MailboxGone(f"{path}: its directories are gone")
    times = [_trusted(index, stamp) for stamp in stamps]
    doubtful = row.doubt >= (_OURS if settle else _YOUNG)
    looked = [
        force or not times[NEW] or row.new_time != times[NEW],
        # A cur/ that only we have changed may be young.
        force or stamps[CUR].changed != row.cur_time or bool(doubtful and times[CUR]),
    ]
    if not any(looked):
        return False
    leaves = [leaf for leaf in (NEW, CUR) if looked[leaf]]
    extra, missing = _compare(index, row, path, leaves)
    for leaf in {name.leaf for name in extra}:
        index.disk.sync_directory(f"{path}/{LEAVES[leaf]}")  # before anybody has to wait
    noted = _noted(index, row, stamps, looked)
    changed = False
    for start in range(0, max(len(extra), bool(missing)), BATCH):
        with index.write() as writing:
            now = writing.mailbox(key)
            changed = _settle(index, writing, now, extra[start : start + BATCH], missing) or changed
            if start + BATCH >= len(extra):
                _note(writing, row, now, noted)
        missing = []
    if not changed and noted != (row.new_time, row.cur_time, row.doubt):
        with index.write() as writing:
            _note(writing, row, writing.mailbox(key), noted)
    return changed


@contextmanager
def own_change(index: Index, writing: Writing, mailbox: MailboxRow) -> Iterator[None]:
    """What the block changes in the mailbox's cur/ is our own: it is no reason to read the directory again, unless it
    was to be read before. `mailbox` was read within the transaction. Somebody else's change within the same moment is
    found by the next `settle`."""
    path = f"{index.path(mailbox)}/{LEAVES[CUR]}"
    before = index.disk.stamp(path) if mailbox.cur_time else None
    yield
    if before is None or before.changed != mailbox.cur_time:
        return
    after = index.disk.stamp(path)
    if after is not None:
        statement = f"UPDATE mailbox SET cur_time = ?, doubt = max(doubt, {_OURS}) WHERE id = ?"
        writing.execute(statement, (after.changed, mailbox.id))


def _trusted(index: Index, stamp: Stamp) -> int:
    """A directory's time, or 0 when it may change once more without another time."""
    return 0 if index.clock.now() - stamp.changed / 1e9 < YOUNG_SECONDS else stamp.changed


def _noted(index: Index, row: MailboxRow, stamps: list[Stamp], looked: list[bool]) -> tuple[int, int, int]:
    """What to note of directories that were looked at: new_time, cur_time, doubt."""
    times = [row.new_time, row.cur_time]
    doubt = row.doubt
    for leaf, stamp in enumerate(stamps):
        if looked[leaf]:
            # Where another time than the directory's is noted, it is looked at again anyway.
            times[leaf] = _trusted(index, stamp) or (0 if times[leaf] == stamp.changed else times[leaf])
    if looked[CUR]:
        doubt = 0
        if times[CUR] != stamps[CUR].changed and index.clock.now() >= stamps[CUR].changed / 1e9:
            times[CUR], doubt = stamps[CUR].changed, _YOUNG
    return times[NEW], times[CUR], doubt


def _note(writing: Writing, before: MailboxRow, now: MailboxRow, noted: tuple[int, int, int]) -> None:
    """Note it, unless somebody else has noted something since `before`."""
    if (now.new_time, now.cur_time) == (before.new_time, before.cur_time):
        writing.execute("UPDATE mailbox SET new_time = ?, cur_time = ?, doubt = ? WHERE id = ?", (*noted, now.id))


def _names(index: Index, path: str, leaf: int) -> list[str]:
    return [name for name in index.disk.names(f"{path}/{LEAVES[leaf]}") if name[0] != "."]


def _compare(index: Index, row: MailboxRow, path: str, leaves: Sequence[int]) -> tuple[list[_Name], list[int]]:
    """Names without a row, in the order in which they are adopted; UIDs of rows without a name."""
    extra: list[_Name] = []
    missing: list[int] = []
    lost: set[str] = set()  # base names of the rows without a name
    spare: list[_Name] = []  # further names of messages, which are to be removed
    for leaf in leaves:
        # The rows before the names: what is adopted meanwhile by others then looks new, and is looked at again.
        # All as one text, which costs a third of a row each.
        ((text,),) = index.read(
            f"SELECT group_concat(base || tail, '/') FROM message{_INDEXES[leaf]} WHERE mailbox = ? AND leaf = {leaf}",
            (row.id,),
        )
        expected = set(text.split("/")) if text else set()
        statement = "SELECT base || tail, content FROM removal WHERE directory = ? AND leaf = ?"
        pending: dict[str, int] = dict(index.read(statement, (row.directory, leaf)))
        there = set(index.disk.names(f"{path}/{LEAVES[leaf]}"))
        others = there - expected
        extra += [_Name(_order(name), name, leaf) for name in others - pending.keys() if name[0] != "."]
        spare += [_Name(_order(name), name, leaf) for name in there & pending.keys() if not pending[name]]
        is_complete = len(there) - len(others) == len(expected)
        gone = {} if is_complete else {name: base_of(name) for name in expected - there}
        missing += _uids_of(index, row, leaf, gone)
        lost |= set(gone.values())
    extra.sort()
    # One of several names may be the only one by now; one that was never to be removed goes first.
    return extra + sorted(name for name in spare if base_of(name.name) in lost), missing


def _uids_of(index: Index, row: MailboxRow, leaf: int, bases: dict[str, str]) -> list[int]:
    """The UIDs of rows by the names of their files, given with the base names."""
    if not bases:
        return []
    hashes = json.dumps([hash_of(base) for base in bases.values()])
    rows = index.read(
        "SELECT m.uid, m.base || m.tail FROM json_each(?) AS j CROSS JOIN message AS m ON m.hash = j.value"
        " WHERE m.mailbox = ? AND m.leaf = ?",
        (hashes, row.id, leaf),
    )
    return [uid for uid, name in rows if name in bases]


def _order(name: str) -> int:
    digits = name.partition(".")[0]
    return int(digits) if digits.isdecimal() and len(digits) < 16 else 0


def _settle(index: Index, writing: Writing, row: MailboxRow, names: list[_Name], missing: list[int]) -> bool:
    """Settle some differences; True when a row changed."""
    path = index.path(row)
    batch = _Batch(quiet={leaf for leaf in (NEW, CUR) if _is_quiet(index, f"{path}/{LEAVES[leaf]}")})
    known = _look_up(writing, {base_of(name.name) for name in names})
    for name in names:
        stamp = index.disk.stamp(f"{path}/{name.path}")
        # Removed or renamed meanwhile? Then its other name is seen now or at the next look.
        if stamp is not None:
            _sort_out(index, row, name, known.get(base_of(name.name), []), stamp, batch)
    gone = _confirm(index, writing, row, missing, {old.uid for old, _ in batch.renamed})
    for leaf in batch.named:
        index.disk.sync_directory(f"{path}/{LEAVES[leaf]}")
    _rename(writing, row, batch.renamed)
    for name in batch.debris:
        base = base_of(name.name)
        writing.execute(
            "INSERT INTO removal (hash, directory, base, leaf, tail, content) VALUES (?, ?, ?, ?, ?, 0)",
            (hash_of(base), row.directory, base, name.leaf, name.name[len(base) :]),
        )
    insert(writing, row, batch.found, index.clock.now())
    if gone:
        forget(writing, row, gone)
        writing.release_contents([message.content for message in gone])
    return bool(batch.found or batch.renamed or gone)


def _sort_out(index: Index, row: MailboxRow, name: _Name, rows: list[_Row], stamp: Stamp, batch: _Batch) -> None:
    """Decide what a name is, whose base name is known by `rows`."""
    base = base_of(name.name)
    if any(known.mailbox == row.id and known.path == name.path for known in rows):
        return  # another process has adopted it
    here = [known for known in rows if known.mailbox == row.id]
    verdict = _NEW
    if base in batch.inodes:
        verdict = _LINK if batch.inodes[base] == stamp.inode else _OTHER
    elif any(not known.mailbox and known.directory == row.directory for known in rows) and not here:
        verdict = _DEBRIS
    elif rows:
        verdict = _OTHER
        for known in sorted(rows, key=lambda known: known.mailbox != row.id):
            there = index.disk.stamp(f"{index.layout.path(known.directory)}/{known.path}")
            if there is not None and there.inode == stamp.inode:
                verdict = _LINK
                break
            if there is None and known.mailbox == row.id:
                batch.inodes[base] = stamp.inode
                batch.renamed.append((known, name))
                return
    if verdict is _DEBRIS or verdict is _LINK and name.leaf in batch.quiet:
        batch.debris.append(name)
    if verdict in (_DEBRIS, _LINK):
        return
    if os.path.isdir(f"{index.path(row)}/{name.path}"):
        return  # somebody's, and no message
    tail = name.name[len(base) :]
    if verdict is _OTHER or not base or not name.name.isprintable():
        tail = tail if tail.isprintable() else FLAGS_MARK
        base = base_name(stamp.changed / 1e9, entropy.octets(8).hex(), stamp.size, index.hostname)
        index.disk.rename(f"{index.path(row)}/{name.path}", base + tail)
        batch.named.add(name.leaf)
    batch.inodes[base] = stamp.inode
    received = stamp.changed // 1_000_000_000
    batch.found.append(Found(base, name.leaf, tail, flags_of(tail), stamp.size, 0, received))


_DEBRIS, _LINK, _OTHER, _NEW = "debris", "link", "other", "new"


def _is_quiet(index: Index, path: str) -> bool:
    """Whether a directory has not changed just now."""
    stamp = index.disk.stamp(path)
    return stamp is not None and bool(_trusted(index, stamp))


def _look_up(writing: Writing, bases: set[str]) -> dict[str, list[_Row]]:
    """What the index knows under these base names, in all mailboxes of the account."""
    found: dict[str, list[_Row]] = {}
    hashes = json.dumps([hash_of(base) for base in bases if base.isprintable()])
    rows = writing.execute(
        "SELECT m.base, m.mailbox, b.directory, m.uid, m.flags, m.leaf, m.tail, m.shown FROM json_each(?1) AS j"
        " CROSS JOIN message AS m ON m.hash = j.value JOIN mailbox AS b ON b.id = m.mailbox UNION ALL"
        " SELECT base, 0, directory, 0, 0, leaf, tail, 0 FROM json_each(?1) AS j CROSS JOIN removal AS r"
        " ON r.hash = j.value",
        (hashes,),
    )
    for values in rows:
        if values[0] in bases:
            found.setdefault(values[0], []).append(_Row(*values))
    return found


def _rename(writing: Writing, row: MailboxRow, renamed: list[tuple[_Row, _Name]]) -> None:
    """Record new names; a flag that the name has gained or lost since we knew it, somebody has set or cleared."""
    touched: list[int] = []
    delta = Delta()
    for old, name in renamed:
        tail = name.name[len(old.base) :]
        # It was one of several, and is the only one now.
        writing.execute(
            "DELETE FROM removal"
            " WHERE hash = ? AND directory = ? AND base = ? AND leaf = ? AND tail = ? AND content = 0",
            (hash_of(old.base), row.directory, old.base, name.leaf, tail),
        )
        shown = flags_of(tail)
        flags = (old.flags | (shown & ~old.shown)) & ~(old.shown & ~shown & SYSTEM)
        modseq = ""
        if flags & SYSTEM != shown:
            # Flags that were not written yet may be older than what is known to be written.
            writing.execute("UPDATE mailbox SET written = 0 WHERE id = ?", (row.id,))
        if flags != old.flags:
            touched.append(old.uid)
            delta.unseen += (not flags & SEEN) - (not old.flags & SEEN)
            delta.deleted += bool(flags & DELETED) - bool(old.flags & DELETED)
            modseq = f", modseq = {writing.modseq}"
        writing.execute(
            f"UPDATE message SET leaf = ?, tail = ?, shown = ?, flags = ?{modseq} WHERE mailbox = ? AND uid = ?",
            (name.leaf, tail, shown, flags, row.id, old.uid),
        )
    if touched:
        writing.touch(row.id, NumberSet.of(touched), delta)


def _confirm(
    index: Index, writing: Writing, row: MailboxRow, missing: list[int], renamed: set[int]
) -> list[Gone]:
    """Rows whose file is gone, now that it is looked for a second time and nobody of ours can change it."""
    if not missing:
        return []
    path = index.path(row)
    try:
        # new/ before cur/: a file moves in this direction, and would be missed otherwise.
        there = {base_of(name) for leaf in (NEW, CUR) for name in _names(index, path, leaf)}
    except Missing as error:
        raise MailboxGone(f"{path}: its directories are gone") from error
    gone = []
    for uid in sorted(set(missing) - renamed):
        rows = writing.execute(f"SELECT {GONE} FROM message WHERE mailbox = ? AND uid = ?", (row.id, uid)).fetchall()
        if rows and rows[0][5] not in there:
            gone.append(Gone(*rows[0]))
    return gone
