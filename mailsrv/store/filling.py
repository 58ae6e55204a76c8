"""Computing what is kept of messages (store.ready) and the text index, in batches: in the background after delivery, or
when somebody asks first.

A batch reads its files before it takes the index's write lock, and writes all its rows in one transaction. Rows go with
their content: one that vanished meanwhile gets none. A file that cannot be read now gets no row either, and is tried
again when its mailbox is asked for, or by the next process.

Diagnostics: StorageError when the index or search.sqlite3 refuses; files that refuse are passed over.
"""

import mmap
from collections.abc import Callable, Iterable

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk
from mailsrv.mail.mime import Octets
from mailsrv.store.index import Index, Key
from mailsrv.store.layout import Layout
from mailsrv.store.message_text import read_texts
from mailsrv.store.ready import Computed, compute
from mailsrv.store.rows import LEAVES
from mailsrv.store.text_index import TextIndex, Texts

IN_MEMORY = 32 << 20  # octets of a message that are read at once; a larger one is mapped
MAX_INDEXED = 1 << 18  # characters of a header or body that the text index takes

_BATCH = 500  # messages of one transaction

_MISSING = (
    "SELECT uid, content, leaf, base, tail FROM message WHERE mailbox = ? AND uid > ?"
    " AND NOT EXISTS (SELECT 1 FROM searchable WHERE searchable.content = message.content) ORDER BY uid LIMIT ?"
)
_LIVES = "WHERE EXISTS (SELECT 1 FROM content WHERE id = ?1)"
_INSERTS = (
    f"INSERT OR IGNORE INTO ready SELECT ?1, ?2, ?3, ?4, ?5, ?6 {_LIVES}",
    f"INSERT OR IGNORE INTO searchable SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 {_LIVES}",
    f"INSERT OR IGNORE INTO sortable SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 {_LIVES}",
)
# Any message of a content will do: copies are the same octets.
_PATHS = (
    "SELECT message.content, min(directory || '/' || iif(leaf, 'cur/', 'new/') || base || tail)"
    " FROM message JOIN mailbox ON mailbox.id = message.mailbox WHERE message.content BETWEEN ? AND ?"
    " GROUP BY message.content"
)


def message_path(layout: Layout, directory: str, leaf: int, base: str, tail: str) -> str:
    """Where a message lies, by the columns of its row."""
    return f"{layout.path(directory)}/{LEAVES[leaf]}/{base}{tail}"


def read_octets(disk: Disk, path: str) -> Octets:
    """A whole message; raises StorageError, Missing among them."""
    with disk.open_file(path) as file:
        if file.size <= IN_MEMORY:
            return file.read_at(0, file.size)
        try:
            return mmap.mmap(file.fileno(), file.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise StorageError(f"{path}: {error}") from error


class Filler:
    """The work that waits for one account. Threads may share it."""

    def __init__(self, index: Index, texts: TextIndex | None = None) -> None:
        self.index = index
        self.texts = texts
        # UIDs of each mailbox up to which all messages have rows; and up to which those without had no files.
        self._done: dict[int, int] = {}
        self._tried: dict[int, int] = {}

    def fill(self, limit: int = _BATCH) -> int:
        """Compute what is missing of up to `limit` messages; gives how many were looked at, 0: there are no more."""
        count = 0
        for mailbox, directory, uidnext in self.index.read("SELECT id, directory, uidnext FROM mailbox ORDER BY id"):
            after = max(self._done.get(mailbox, 0), self._tried.get(mailbox, 0))
            while after < uidnext - 1 and count < limit:
                looked, after = self._fill_batch(mailbox, directory, after, min(limit - count, _BATCH))
                count += looked
                if not looked:
                    after = uidnext - 1
                self._tried[mailbox] = after
        return count

    def fill_mailbox(self, key: Key, spend: Callable[[int], None]) -> None:
        """Compute all that is missing in one mailbox, now, also what was tried before. `spend` is told how many files
        will be read next, and may raise. Raises MailboxGone."""
        row = self.index.mailbox(key)
        after = self._done.get(row.id, 0)
        while after < row.uidnext - 1:
            spend(_BATCH)
            looked, last = self._fill_batch(row.id, row.directory, after, _BATCH)
            after = last if looked else row.uidnext - 1
        first_missing = self.index.read(_MISSING, (row.id, self._done.get(row.id, 0), 1))
        self._done[row.id] = first_missing[0][0] - 1 if first_missing else row.uidnext - 1

    def _fill_batch(self, mailbox: int, directory: str, after: int, limit: int) -> tuple[int, int]:
        """How many messages were looked at, and the last of them."""
        rows = self.index.read(_MISSING, (mailbox, after, limit))
        computed: dict[int, Computed] = {}
        for _, content, leaf, base, tail in rows:
            if content in computed:
                continue
            path = message_path(self.index.layout, directory, leaf, base, tail)
            try:
                octets = read_octets(self.index.disk, path)
            except StorageError:
                continue
            computed[content] = compute(octets)
        if computed:
            self._write(computed)
        return len(rows), rows[-1][0] if rows else after

    def _write(self, computed: dict[int, Computed]) -> None:
        with self.index.write() as writing:
            for number, statement in enumerate(_INSERTS):
                writing.connection.executemany(
                    statement, [(content, *rows[number]) for content, rows in computed.items()]
                )

    def index_some(self, limit: int = _BATCH) -> int:
        """Take up to `limit` more messages into the text index; 0 when it has all of them, or another process is at
        it."""
        texts = self.texts
        if texts is None:
            return 0
        texts.prepare()
        after = texts.covered()
        contents = self.index.read("SELECT id FROM content WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        if not contents:
            self._begin_anew_when_worn(texts, after)
            return 0
        last = contents[-1][0]
        paths = self.index.read(_PATHS, (after + 1, last))
        read = list(self._read_texts(paths))
        return len(contents) if texts.add(after, last, read) else 0

    def _read_texts(self, paths: Iterable[tuple[int, str]]) -> Iterable[Texts]:
        for content, path in paths:
            try:
                octets = read_octets(self.index.disk, f"{self.index.layout.root}/{path}")
            except StorageError:
                yield Texts(content, "", "", whole=False)  # whoever searches tries again
                continue
            header, body, whole = read_texts(octets, MAX_INDEXED)
            yield Texts(content, header, body, whole)

    def _begin_anew_when_worn(self, texts: TextIndex, covered: int) -> None:
        if covered:
            living = self.index.read("SELECT count(*) FROM content WHERE id <= ?", (covered,))[0][0]
            if texts.is_worn(living):
                texts.discard()
