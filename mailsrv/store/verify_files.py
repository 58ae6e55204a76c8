"""Whether the files of a mailbox's messages are what they were, and what becomes of one that is not.

A message never changes (RFC 9051 section 2.3.1.1): a file that has other octets than when it came is another message.
It gets the next UID, a base name, a content and an email id of its own, and keeps flags, keywords and its date; nothing
is deleted. Its new name is a further link, durable before the commit, and the old one is removed later; until then the
new one counts as debris. So a crash leaves the message as it was or as it will be.

Files are read while others work: what seems wrong is looked at once more, under the name that it has then, and within
the transaction that changes it. Links to one file are read once.

Diagnostics: MailboxGone when the mailbox is deleted meanwhile; StorageError when the index refuses. A file that refuses
is a fault, and told.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mailsrv.errors import StorageError
from mailsrv.system import entropy
from mailsrv.system.disk import Missing
from mailsrv.store.adopt import own_change, refresh
from mailsrv.store.database import Row
from mailsrv.store.index import Index, Key, MailboxRow, Writing
from mailsrv.store.message import base_name, checksum, hash_of
from mailsrv.store.rows import LEAVES, Found, Gone, forget, insert

_STEP = 500  # messages whose rows are read at once
_PIECE = 1 << 20  # octets of a file
_COLUMNS = (
    "m.uid, m.flags, m.size, m.content, m.hash, m.base, m.leaf, m.tail, m.received, c.checksum, c.copies"
    " FROM message AS m LEFT JOIN content AS c ON c.id = m.content"
)
_DOUBLE = "SELECT hash, base FROM message GROUP BY hash, base HAVING count(*) > 1"
_DEBRIS = "INSERT INTO removal (hash, directory, base, leaf, tail, content) VALUES (?, ?, ?, ?, ?, 0)"


class _Known(NamedTuple):
    """What the index knows of a message."""

    uid: int
    flags: int
    size: int
    content: int
    hash: int
    base: str
    leaf: int
    tail: str
    received: int
    checksum: bytes | None
    copies: int | None

    @property
    def path(self) -> str:
        return f"{LEAVES[self.leaf]}/{self.base}{self.tail}"


class _Seen(NamedTuple):
    """What its file is: octets, inode, and checksum where it was read."""

    size: int
    inode: int
    checksum: bytes | None


class _Unreadable(StorageError):
    """A message's file refuses."""


class Files:
    """The files of one account. `quick`: they are not read; `mend`: what is wrong is made right; `told` hears of so
    many more messages that were looked at."""

    def __init__(self, index: Index, quick: bool, mend: bool, told: Callable[[int], None]) -> None:
        self._index = index
        self._quick = quick
        self._mend = mend
        self._told = told
        self.unreadable: list[str] = []  # what cannot be made right
        self._read: dict[tuple[int, int], bytes] = {}  # checksums of files with several links, by content and inode

    def survey(self, name: str, key: Key) -> Iterator[str]:
        """A sentence for each fault in the mailbox `name`."""
        path = self._index.path(self._index.mailbox(key))
        after = 0
        while rows := self._index.read(
            f"SELECT {_COLUMNS} WHERE m.mailbox = ? AND m.uid > ? ORDER BY m.uid LIMIT {_STEP}", (key.id, after)
        ):
            fresh: list[tuple[bytes, int]] = []
            for values in rows:
                message = _Known(*values)
                try:
                    for text in self._judge(path, key, message, fresh):
                        yield f"{name}: UID {message.uid}: {text}"
                except _Unreadable as error:
                    text = f"{name}: UID {message.uid}: its file cannot be read: {error}"
                    if self._mend:
                        self.unreadable.append(text)
                    else:
                        yield text
            if fresh and self._mend:
                with self._index.write() as writing:
                    writing.connection.executemany(
                        "UPDATE content SET checksum = ? WHERE id = ? AND checksum IS NULL", fresh
                    )
            after = rows[-1][0]
            self._told(len(rows))

    def _judge(self, path: str, key: Key, known: _Known, fresh: list[tuple[bytes, int]]) -> Iterator[str]:
        """What is wrong with a message. A checksum that was not known goes to `fresh`."""
        if known.hash != hash_of(known.base):
            yield f"its base name {known.base} cannot be found by its hash"
            if self._mend:
                with self._index.write() as writing:
                    values = (hash_of(known.base), key.id, known.uid, known.base)
                    writing.execute("UPDATE message SET hash = ? WHERE mailbox = ? AND uid = ? AND base = ?", values)
        seen = self._look(f"{path}/{known.path}", known)
        if not _fits(seen, known):
            # Moved, renamed or expunged meanwhile?
            refresh(self._index, key, force=True)
            again = _find(self._index.read, key.id, known.uid)
            if again is None:
                return
            known = again
            self._read.clear()
            seen = self._look(f"{path}/{known.path}", known)
        if not _fits(seen, known):
            yield _complaint(known, seen) + (self._renew(path, key, known.uid, seen) if self._mend and seen else "")
        elif seen is not None and known.checksum is None and seen.checksum is not None:
            fresh.append((seen.checksum, known.content))

    def _look(self, path: str, known: _Known) -> _Seen | None:
        """A file as it is now; None when it is not there."""
        disk = self._index.disk
        try:
            if self._quick:
                stamp = disk.stamp(path)
                return None if stamp is None else _Seen(stamp.size, stamp.inode, None)
            with disk.open_file(path) as file:
                digest = self._read.get((known.content, file.inode))
                if digest is None:
                    digest = checksum(file.read_at(start, _PIECE) for start in range(0, file.size, _PIECE))
                    if (known.copies or 0) > 1:
                        self._read[known.content, file.inode] = digest
                return _Seen(file.size, file.inode, digest)
        except Missing:
            return None
        except StorageError as error:
            raise _Unreadable(str(error)) from error

    def _renew(self, path: str, key: Key, uid: int, changed: _Seen) -> str:
        """Make a changed message another one, if it is changed still; tells its new UID."""
        index = self._index
        known = _find(index.read, key.id, uid)
        if known is None:
            return ""
        base = _promise(index, index.mailbox(key), known, changed.size)
        with index.write() as writing:
            row = writing.mailbox(key)
            known = _find(writing.execute, key.id, uid)
            if known is None:
                return ""
            self._read.clear()
            seen = self._look(f"{path}/{known.path}", known)
            if seen != changed:
                return ""
            _give_name(index, writing, row, known, base)
            found = Found(base, known.leaf, known.tail, known.flags, seen.size, 0, known.received)
            (new,) = insert(writing, row, [found], index.clock.now())
            gone = Gone(uid, known.flags, known.size, known.content, known.hash, known.base, known.leaf, known.tail)
            forget(writing, row, [gone])
            writing.release_contents([known.content])
        return f"; it is UID {new} now"


def find_doubles(index: Index, mend: bool) -> Iterator[str]:
    """Base names that several messages have; with `mend` all but one get names of their own."""
    for number, base in index.read(_DOUBLE):
        rows = index.read(
            "SELECT b.id, b.uidvalidity, m.uid FROM message AS m JOIN mailbox AS b ON b.id = m.mailbox"
            " WHERE m.hash = ? AND m.base = ? ORDER BY m.saved, b.id, m.uid",
            (number, base),
        )
        if len(rows) > 1:
            yield f"{base}: is the name of {len(rows)} messages"
        for mailbox, uidvalidity, uid in rows[1:] if mend else ():
            key = Key(mailbox, uidvalidity)
            known = _find(index.read, mailbox, uid)
            if known is None:
                continue
            new = _promise(index, index.mailbox(key), known, known.size)
            with index.write() as writing:
                known = _find(writing.execute, mailbox, uid)
                if known is not None and known.base == base:
                    _give_name(index, writing, writing.mailbox(key), known, new)
                    values = (new, hash_of(new), mailbox, uid)
                    writing.execute("UPDATE message SET base = ?, hash = ? WHERE mailbox = ? AND uid = ?", values)


def _find(ask: Callable[[str, Sequence[int]], Iterable[Row]], mailbox: int, uid: int) -> _Known | None:
    """What the index knows of a message now."""
    for values in ask(f"SELECT {_COLUMNS} WHERE m.mailbox = ? AND m.uid = ?", (mailbox, uid)):
        return _Known(*values)
    return None


def _promise(index: Index, row: MailboxRow, known: _Known, size: int) -> str:
    """A new base name for a message, which counts as debris until it is given."""
    base = base_name(known.received, entropy.octets(8).hex(), size, index.hostname)
    with index.write() as writing:
        writing.execute(_DEBRIS, (hash_of(base), row.directory, base, known.leaf, known.tail))
    return base


def _give_name(index: Index, writing: Writing, row: MailboxRow, known: _Known, base: str) -> None:
    """Give a message's file the promised name, durably; the old one is debris from now on."""
    directory = f"{index.path(row)}/{LEAVES[known.leaf]}"
    with own_change(index, writing, row):
        index.disk.link(f"{directory}/{known.base}{known.tail}", f"{directory}/{base}{known.tail}")
        index.disk.sync_directory(directory)
    writing.execute("DELETE FROM removal WHERE hash = ? AND base = ?", (hash_of(base), base))
    writing.execute(_DEBRIS, (hash_of(known.base), row.directory, known.base, known.leaf, known.tail))


def _fits(seen: _Seen | None, known: _Known) -> bool:
    """Whether a file is what the index says."""
    return (
        seen is not None
        and seen.size == known.size
        and (seen.checksum is None or known.checksum is None or seen.checksum == known.checksum)
    )


def _complaint(known: _Known, seen: _Seen | None) -> str:
    if seen is None:
        return f"its file {known.path} is gone"
    if seen.size != known.size:
        return f"its file {known.path} has {seen.size} octets, and had {known.size}"
    digests = [digest.hex() if digest else "" for digest in (seen.checksum, known.checksum)]
    return f"its file {known.path} has the checksum {digests[0]}, and had {digests[1]}"
