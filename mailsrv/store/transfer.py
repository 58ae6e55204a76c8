"""COPY and MOVE between mailboxes of an account: further links to the same files (mailsrv-store(5), CHANGES).

A copy gets a base name of its own and shares its content, internal date and email id. A moved message keeps its base
name: link, sync the directory, commit the row; the old name is removed later. Whatever is cut off, a base name is found
once: that whose row there is. No file is synced, for each was when it came; one sync a call, and one transaction. Where
no link can be made (another file system) the octets are copied and synced.

Diagnostics: OverQuota, TooMany, MailboxGone, StorageError; no name is left behind.
"""

from collections.abc import Callable

from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.system import entropy
from mailsrv.system.disk import CrossDevice, Missing
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.adopt import own_change, refresh
from mailsrv.store.append import check_room
from mailsrv.store.index import MANY, Index, Key, MailboxRow, Writing, selections
from mailsrv.store.keywords import translate
from mailsrv.store.message import base_name, hash_of, tail_with
from mailsrv.store.rows import CUR, GONE, LEAVES, Found, Gone, insert, remove_moved
from mailsrv.store.values import Usage

_BLOCK = 1 << 20


def copy(index: Index, source: Key, uids: NumberSet, target: Key, limits: Usage) -> list[tuple[int, int]]:
    """Copy messages, all or none: (uid, new uid), ascending."""
    return _again(index, (source, target), lambda: _transfer(index, source, uids, target, limits))


def move(index: Index, source: Key, uids: NumberSet, target: Key) -> list[tuple[int, int]]:
    """Move messages, all or none: (uid, new uid), ascending."""
    return _again(index, (source, target), lambda: _transfer(index, source, uids, target, None))


def _again(index: Index, ends: tuple[Key, Key], work: Callable[[], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Do it; once more when another program has renamed or removed a file, which is looked up first. MailboxGone when
    a mailbox is just being deleted."""
    try:
        return work()
    except Missing:
        refresh(index, ends[1])
        refresh(index, ends[0], force=True)
        return work()


def _transfer(
    index: Index, source: Key, uids: NumberSet, target: Key, limits: Usage | None
) -> list[tuple[int, int]]:
    """Copy within `limits`; without any, move."""
    with index.write(bulk=len(uids) >= MANY) as writing:
        left, right = writing.mailbox(source), writing.mailbox(target)
        messages, dates = _select(writing, left, uids)
        if not messages:
            return []
        if limits is not None:
            check_room(writing, limits, sum(message.size for message in messages), len(messages))
        words = translate(writing, left.id, right.id, {message.flags for message in messages})
        keep = limits is None
        if keep and left.id == right.id:
            # Other UIDs for the same files (RFC 6851 section 3.3 leaves it open).
            pairs = zip(messages, dates, strict=True)
            same = [Found(m.base, m.leaf, m.tail, m.flags, m.size, m.content, date) for m, date in pairs]
            new = insert(writing, left, same, index.clock.now(), moved=True)
            remove_moved(writing, left, messages, debris=False)
            return [(message.uid, uid) for message, uid in zip(messages, new, strict=True)]
        with own_change(index, writing, right):
            found = _link(index, (left, right), messages, dates, keep, writing.made)
            index.disk.sync_directory(f"{index.path(right)}/{LEAVES[CUR]}")
            if keep and writing.execute("SELECT 1 FROM removal LIMIT 1").fetchall():
                # What a move to and fro has left under these very names is no debris any more.
                writing.connection.executemany(
                    "DELETE FROM removal WHERE hash = ? AND directory = ? AND base = ? AND leaf = ? AND tail = ?",
                    [(hash_of(f.base), right.directory, f.base, f.leaf, f.tail) for f in found],
                )
            found = [entry._replace(flags=words[entry.flags]) for entry in found]
            new = insert(writing, right, found, index.clock.now(), moved=keep)
            if keep:
                remove_moved(writing, left, messages, debris=True)
    return [(message.uid, uid) for message, uid in zip(messages, new, strict=True)]


def _select(writing: Writing, mailbox: MailboxRow, uids: NumberSet) -> tuple[list[Gone], list[int]]:
    """Messages, ascending, and their internal dates."""
    messages, dates = [], []
    for condition, values in selections(uids):
        rows = writing.execute(
            f"SELECT {GONE}, received FROM message WHERE mailbox = ? AND {condition} ORDER BY uid",
            (mailbox.id, *values),
        )
        for row in rows:
            messages.append(Gone._make(row[:-1]))
            dates.append(row[-1])
    return messages, dates


def _link(
    index: Index,
    ends: tuple[MailboxRow, MailboxRow],
    messages: list[Gone],
    dates: list[int],
    keep: bool,
    made: list[str],
) -> list[Found]:
    """A name in the target for each message: the same base name when it is to `keep` that, else another."""
    here, there = (index.path(end) for end in ends)
    unique = entropy.octets(8).hex()
    now = index.clock.now()
    found = []
    path = f"{there}/{LEAVES[CUR]}/"
    for number, (message, received) in enumerate(zip(messages, dates, strict=True)):
        source = f"{here}/{LEAVES[message.leaf]}/{message.base}{message.tail}"
        base = message.base if keep else base_name(now, f"{unique}{number}", message.size, index.hostname)
        tail = tail_with("", message.flags)
        try:
            _give_name(index, source, f"{path}{base}{tail}", received)
            made.append(f"{path}{base}{tail}")
        except AlreadyThere:
            if not is_same_file(index, source, f"{path}{base}{tail}"):
                base = base_name(now, f"{unique}{number}", message.size, index.hostname)
                _give_name(index, source, f"{path}{base}{tail}", received)
                made.append(f"{path}{base}{tail}")
        found.append(Found(base, CUR, tail, message.flags, message.size, message.content, received))
    return found


def is_same_file(index: Index, one: str, other: str) -> bool:
    """Whether two names are there and lead to one file."""
    left, right = index.disk.stamp(one), index.disk.stamp(other)
    return left is not None and right is not None and left.inode == right.inode


def _give_name(index: Index, source: str, path: str, received: int) -> None:
    """A further name for a file; where none can be made, a file of its own."""
    try:
        index.disk.link(source, path)
    except CrossDevice:
        _copy(index, source, path)
        index.disk.set_time(path, received)


def _copy(index: Index, source: str, path: str) -> None:
    directory, _, name = path.rpartition("/")
    with index.disk.open_file(source) as old, index.disk.open_unnamed(directory) as file:
        for start in range(0, old.size, _BLOCK):
            file.write([old.read_at(start, _BLOCK)])
        if file.size != old.size:
            raise StorageError(f"{source}: shorter than it was: see the kernel log")
        file.sync()
        file.link(directory, name)
