"""Computing what is kept of messages (store.ready) and the text index, in batches: in the background after delivery, or
when somebody asks first.

The background begins with the newest messages. Another process that wants the same ones now computes them itself and
waits for nobody; when both met, the background goes on from the other end, so that they share the work.

A batch reads its files before it takes the index's write lock, and writes all its rows in one transaction. Rows go with
their content: one that vanished meanwhile gets none. A file that cannot be read now gets no row either, and is tried
again when its mailbox is asked for, or by the next process.

A message that brings out a bug of ours costs what was to be read of it (store.guard): its row says that this is to be
asked of its file. The bug is told, and stops nothing.

Diagnostics: StorageError when the index or search.sqlite3 refuses; files that refuse are passed over.
"""

import mmap
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

from mailsrv.errors import StorageError
from mailsrv.system.openfile import OpenFile
from mailsrv.mail.mime import Octets
from mailsrv.store.guard import read_safely
from mailsrv.store.index import Index, Key
from mailsrv.store.message import checksum
from mailsrv.store.message_text import read_texts
from mailsrv.store.ready import UNREADABLE, Computed, compute
from mailsrv.store.rows import LEAVES
from mailsrv.store.text_index import FILE, LOCK, TextIndex, Texts

IN_MEMORY = 1 << 20  # octets of a message that are read at once; a larger one is mapped
MAX_INDEXED = 1 << 18  # characters of a header or body that the text index takes

_BATCH = 500  # messages of one transaction
_AWAY_SECONDS = 1.0  # after a batch for a client; its next one begins before, if it reads what it is sent

_MISSING = (
    "SELECT uid, content, leaf, base, tail FROM message WHERE mailbox = ? AND uid > ? AND uid < ?"
    " AND NOT EXISTS (SELECT 1 FROM searchable WHERE searchable.content = message.content) ORDER BY uid {} LIMIT ?"
)
_UPWARDS, _DOWNWARDS = _MISSING.format("ASC"), _MISSING.format("DESC")
_LIVES = "WHERE EXISTS (SELECT 1 FROM content WHERE id = ?1)"
_INSERTS = (
    f"INSERT OR IGNORE INTO ready SELECT ?1, ?2, ?3, ?4, ?5, ?6 {_LIVES}",
    f"INSERT OR IGNORE INTO searchable SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 {_LIVES}",
    f"INSERT OR IGNORE INTO sortable SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 {_LIVES}",
)
_CHECKSUM = "UPDATE content SET checksum = ?2 WHERE id = ?1 AND checksum IS NULL"
# Any message of a content will do: copies are the same octets.
_PATHS = (
    "SELECT message.content, min(directory || '/' || iif(leaf, 'cur/', 'new/') || base || tail)"
    " FROM message JOIN mailbox ON mailbox.id = message.mailbox WHERE message.content BETWEEN ? AND ?"
    " GROUP BY message.content"
)

_LOCK = threading.Lock()
_PROGRESS: "WeakKeyDictionary[Index, _Progress]" = WeakKeyDictionary()


def read_octets(opened: OpenFile) -> Octets:
    """A whole message, whose file is closed afterwards; raises StorageError."""
    with opened as file:
        if file.size <= IN_MEMORY:
            return file.read_at(0, file.size)
        try:
            return mmap.mmap(file.fileno(), file.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise StorageError(f"{file.path}: {error}") from error


class _Progress:
    """What one process remembers of an account's index."""

    def __init__(self, index: Index) -> None:
        root = index.layout.root
        self.texts = TextIndex(index.disk, f"{root}/{FILE}", f"{root}/{LOCK}")
        # UIDs of each mailbox up to which all messages have rows; and what the background has looked at.
        self.done: dict[Key, int] = {}
        self.sweeps: dict[Key, _Sweep] = {}
        # Until when (monotonic) the background leaves the account alone.
        self.busy_until = 0.0


class _Sweep:
    """What the background has looked at in one mailbox: every UID below `top` but those between `low` and `high`."""

    __slots__ = ("high", "low", "top", "upwards")

    def __init__(self, low: int, top: int) -> None:
        self.low = low
        self.high = self.top = top
        self.upwards = False

    def next_gap(self, uidnext: int) -> tuple[int, int, bool] | None:
        """The UIDs between which is to be looked, and whether from the lower end; what came last comes first."""
        if self.top < uidnext:
            return self.top - 1, uidnext, True
        return (self.low, self.high, self.upwards) if self.high - self.low > 1 else None

    def note(self, gap: tuple[int, int, bool], batch: "_Batch") -> None:
        """A batch of this gap is done; of none, nothing is left of it."""
        low, high, upwards = gap
        if low >= self.top - 1:
            self.top = batch.last + 1 if batch.looked else high
        elif not batch.looked:
            self.low = self.high
        elif upwards:
            self.low = max(self.low, batch.last)
        else:
            self.high = min(self.high, batch.last)
        if 2 * batch.added < batch.looked:
            self.upwards = not self.upwards  # somebody else is at the same ones


class _Batch(NamedTuple):
    """How many messages were looked at, the UID of the last of them, and for how many there are rows now."""

    looked: int
    last: int
    added: int


def _progress_of(index: Index) -> _Progress:
    with _LOCK:
        progress = _PROGRESS.get(index)
        if progress is None:
            progress = _PROGRESS[index] = _Progress(index)
        return progress


class Filler:
    """The work that waits for one account. Cheap to make; threads may share it."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._progress = _progress_of(index)

    @property
    def texts(self) -> TextIndex:
        """The account's text index. UIDVALIDITY only rises in an account, also when its index is made again, so that
        the lowest one tells whose contents are meant."""
        texts = self._progress.texts
        texts.identity = self._index.read("SELECT coalesce(min(uidvalidity), 0) FROM mailbox")[0][0]
        return texts

    def work(self, limit: int = _BATCH) -> bool:
        """One step of all that waits, about `limit` messages: first what lists of messages need, then the text index;
        nothing of it while a client of this process computes what it waits for. True when there may be more."""
        if self._index.clock.monotonic() < self._progress.busy_until:
            return True
        return self.fill(limit) > 0 or self.index_some(limit) > 0

    def fill(self, limit: int = _BATCH) -> int:
        """Compute what is missing of up to `limit` messages; gives how many were looked at, 0: there are no more."""
        progress = self._progress
        count = 0
        for mailbox, uidvalidity, directory, uidnext in self._index.read(
            "SELECT id, uidvalidity, directory, uidnext FROM mailbox ORDER BY id"
        ):
            key = Key(mailbox, uidvalidity)
            sweep = progress.sweeps.get(key)
            if sweep is None:
                sweep = progress.sweeps[key] = _Sweep(progress.done.get(key, 0), uidnext)
            while count < limit and (gap := sweep.next_gap(uidnext)):
                batch = self._fill_batch(mailbox, directory, gap, min(limit - count, _BATCH))
                count += batch.looked
                sweep.note(gap, batch)
        return count

    def fill_from(self, key: Key, uid: int, limit: int = _BATCH) -> int:
        """Compute what is missing of up to `limit` messages of a mailbox, from `uid` on: for a FETCH that comes first,
        block by block. Gives how many were looked at. Raises MailboxGone."""
        row = self._index.mailbox(key)
        self._keep_background_away()
        return self._fill_batch(row.id, row.directory, (uid - 1, row.uidnext, True), limit).looked

    def fill_mailbox(self, key: Key, spend: Callable[[int], None]) -> None:
        """Compute all that is missing in one mailbox, now, also what was tried before. `spend` is told how many files
        will be read next, and may raise. Raises MailboxGone."""
        progress = self._progress
        row = self._index.mailbox(key)
        done = after = progress.done.get(key, 0)
        while after < row.uidnext - 1:
            spend(_BATCH)
            self._keep_background_away()
            batch = self._fill_batch(row.id, row.directory, (after, row.uidnext, True), _BATCH)
            after = batch.last if batch.looked else row.uidnext - 1
        if after > done:
            missing = self._index.read(_UPWARDS, (row.id, done, row.uidnext, 1))
            progress.done[key] = missing[0][0] - 1 if missing else row.uidnext - 1

    def _keep_background_away(self) -> None:
        self._progress.busy_until = self._index.clock.monotonic() + _AWAY_SECONDS

    def _fill_batch(self, mailbox: int, directory: str, gap: tuple[int, int, bool], limit: int) -> _Batch:
        """Compute what is missing of up to `limit` messages between two UIDs."""
        after, before, upwards = gap
        rows = self._index.read(_UPWARDS if upwards else _DOWNWARDS, (mailbox, after, before, limit))
        path = self._index.layout.path(directory)
        computed: dict[int, Computed] = {}
        checksums: dict[int, bytes] = {}
        tell = self._index.complain
        for _, content, leaf, base, tail in rows:
            if content in computed:
                continue
            try:
                octets = read_octets(self._index.disk.open_file(f"{path}/{LEAVES[leaf]}/{base}{tail}"))
            except StorageError:
                continue
            checksums[content] = checksum((octets,))
            computed[content] = read_safely(partial(compute, octets, tell), UNREADABLE, tell)
        added = self._write(computed, checksums) if computed else 0
        return _Batch(len(rows), rows[-1][0] if rows else after, added)

    def _write(self, computed: dict[int, Computed], checksums: dict[int, bytes]) -> int:
        """Gives how many messages had no rows before."""
        # In their order: the other one would leave the pages of the tables half empty.
        ordered = sorted(computed.items())
        with self._index.write() as writing:
            for number, statement in enumerate(_INSERTS):
                added = writing.connection.executemany(
                    statement, [(content, *rows[number]) for content, rows in ordered]
                ).rowcount
            if added:
                writing.connection.executemany(_CHECKSUM, checksums.items())
        return added

    def index_some(self, limit: int = _BATCH) -> int:
        """Take up to `limit` more messages into the text index; 0 when it has all of them, or another process is at
        it."""
        texts = self.texts
        texts.prepare()
        after = texts.covered()
        contents = self._index.read("SELECT id FROM content WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        if not contents:
            self._begin_anew_when_worn(texts)
            return 0
        last = contents[-1][0]
        paths = self._index.read(_PATHS, (after + 1, last))
        added = texts.add(after, last, [self._read_texts(content, path) for content, path in paths])
        return len(contents) if added else 0

    def _read_texts(self, content: int, path: str) -> Texts:
        try:
            octets = read_octets(self._index.disk.open_file(f"{self._index.layout.root}/{path}"))
        except StorageError:
            return Texts(content, "", "", whole=False)  # whoever searches tries again
        nothing = "", "", False
        return Texts(content, *read_safely(partial(read_texts, octets, MAX_INDEXED), nothing, self._index.complain))

    def _begin_anew_when_worn(self, texts: TextIndex) -> None:
        if texts.is_worn(self._index.read("SELECT messages FROM account")[0][0]):
            texts.discard()
