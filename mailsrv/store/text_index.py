"""search.sqlite3 of an account: which messages may hold a text, by the trigrams of their folded texts (SQLite's FTS5).

It gives candidates, never answers: whoever asks looks at the candidate's text itself. It lies apart from the index and
may be removed at any time: what it does not cover is read instead. Each message has two entries, one for the fields of
its headers and one for its body, whose row ids are twice its content id and one more. Nothing is stored but trigrams
(contentless, no positions, no sizes).

Messages come in the order of their content ids, which are never used twice; `covered` is the highest that came. Those
that are gone stay until more than half of all are; then everything begins anew, as it does for a damaged file, for an
index.sqlite3 that was made again, and for another way of folding. Commits are not synced: a crash of the system takes
the last ones back, whole.

Diagnostics: `find` raises nothing: an index that cannot be asked covers nothing. The others raise StorageError; a
damaged file has been taken away by then.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from mailsrv.errors import StorageError
from mailsrv.store.database import SUFFIXES, Damaged, Database, Schema
from mailsrv.system.disk import Disk

FILE = "search.sqlite3"
LOCK = "search.lock"
MIN_CHARACTERS = 3  # of a text that trigrams can find

# What the texts were folded with: another Unicode or another way needs another index.
_FORM = f"2 {unicodedata.unidata_version}"
_MAX_TRIGRAMS = 24  # asked for; more of them cost more than they exclude
_WORN_MESSAGES = 1000  # gone ones that are no reason to begin anew

_SCHEMA = Schema(
    version=1,
    statements=(
        "CREATE TABLE state (form TEXT NOT NULL, covered INTEGER NOT NULL, messages INTEGER NOT NULL)",
        "CREATE TABLE partial (content INTEGER PRIMARY KEY)",
        "CREATE VIRTUAL TABLE texts USING fts5(text, content = '', columnsize = 0, detail = none,"
        " tokenize = 'trigram case_sensitive 1')",
    ),
    durable=False,
    wait_seconds=10.0,  # others that add; whoever only asks waits for nobody
)
# One statement sees one state of the file, also while others write.
_COVERED, _PARTIAL, _ENTRY = range(3)
_FIND = (
    f"SELECT {_COVERED}, covered FROM state WHERE form = ? UNION ALL SELECT {_PARTIAL}, content FROM partial"
    f" UNION ALL SELECT {_ENTRY}, rowid FROM texts WHERE texts MATCH ?"
)


class Where(IntEnum):
    """Which entries of a message are asked."""

    HEADER = 0
    BODY = 1
    BOTH = 2


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be known of a message: its folded texts. `whole` is False when there is more of them."""

    content: int
    header: str
    body: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which messages (content ids) may hold a text, of those up to `covered`: those that have all its trigrams, and
    those that are not known whole. Any other up to there does not hold it; one of just MIN_CHARACTERS is held by
    each that has its trigram."""

    covered: int = 0
    contents: frozenset[int] = frozenset()
    partial: frozenset[int] = frozenset()


NOTHING_COVERED = Candidates()


class TextIndex:
    """The file as one process sees it; threads may share it. `identity` is that of the index whose content ids count:
    a file that was made for another one is not believed."""

    def __init__(self, disk: Disk, path: str, lock_path: str, identity: int = 0) -> None:
        self.identity = identity
        self._disk = disk
        self._path = path
        self._database = Database(disk, path, _SCHEMA, lock_path, most=2)

    def find(self, needle: str, where: Where) -> Candidates:
        """Who may hold a folded text. Nothing is covered for one of fewer than MIN_CHARACTERS."""
        if len(needle) < MIN_CHARACTERS:
            return NOTHING_COVERED
        try:
            rows = self._database.read(_FIND, (self._form, _expression(needle)))
        except Damaged as damaged:
            self._try_discard(damaged.inode)
            return NOTHING_COVERED
        except StorageError:
            return NOTHING_COVERED
        if not rows or rows[0][0] != _COVERED:
            return NOTHING_COVERED
        entries = [value for kind, value in rows if kind == _ENTRY]
        if where is not Where.BOTH:
            entries = [entry for entry in entries if entry & 1 == where]
        return Candidates(
            rows[0][1],
            frozenset([entry >> 1 for entry in entries]),
            frozenset([value for kind, value in rows if kind == _PARTIAL]),
        )

    def covered(self) -> int:
        """The content id up to which all messages are in the index; 0: none."""
        rows = self._read("SELECT covered FROM state WHERE form = ?", (self._form,))
        return int(rows[0][0]) if rows else 0

    def is_worn(self, living: int) -> bool:
        """Whether it is time to begin anew, when there are `living` messages."""
        rows = self._read("SELECT messages FROM state WHERE form = ?", (self._form,))
        return bool(rows) and int(rows[0][0]) > 2 * living + _WORN_MESSAGES

    def add(self, after: int, covered: int, texts: Sequence[Texts]) -> bool:
        """Take in every message above `after`, which is what was covered, up to `covered`; `texts` are theirs, in the
        order of their ids. False when another process or thread did so meanwhile."""
        try:
            with self._database.write() as connection:
                row = connection.execute("SELECT covered FROM state WHERE form = ?", (self._form,)).fetchone()
                if (row[0] if row else 0) != after:
                    return False
                if row is None and connection.execute("SELECT 1 FROM state").fetchone():
                    return False  # made for another index since `prepare`
                entries = [
                    (2 * one.content + part, text) for one in texts for part, text in enumerate((one.header, one.body))
                ]
                connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", entries)
                partial = [(one.content,) for one in texts if not one.whole]
                connection.executemany("INSERT OR IGNORE INTO partial VALUES (?)", partial)
                messages = len(texts)
                if row is None:
                    connection.execute("INSERT INTO state VALUES (?, ?, ?)", (self._form, covered, messages))
                else:
                    connection.execute("UPDATE state SET covered = ?, messages = messages + ?", (covered, messages))
                return True
        except Damaged as damaged:
            self.discard(damaged.inode)
            raise

    def prepare(self) -> None:
        """Take a file away that belongs to another index or was folded otherwise."""
        rows = self._read("SELECT form FROM state")
        if rows and rows[0][0] != self._form:
            self.discard()

    def discard(self, inode: int = 0) -> None:
        """Begin anew; with an `inode`, only when the file is still that one."""
        stamp = self._disk.stamp(self._path)
        if stamp is None or inode not in (0, stamp.inode):
            return
        target = f"{self._path}.old"
        self._database.set_aside(Damaged("", stamp.inode), target)
        for suffix in SUFFIXES:
            self._disk.unlink(target + suffix, missing_ok=True)

    @property
    def _form(self) -> str:
        return f"{_FORM} {self.identity}"

    def close(self) -> None:
        """Close what is idle."""
        self._database.close()

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[int | str, ...]]:
        try:
            return self._database.read(statement, values)
        except Damaged as damaged:
            self.discard(damaged.inode)
            raise

    def _try_discard(self, inode: int) -> None:
        try:
            self.discard(inode)
        except StorageError:
            # Whoever adds to the index next meets the same, and tells.
            return


def _expression(needle: str) -> str:
    """The question for all trigrams of a text, or so many of them from all over it, in the language of FTS5."""
    last = len(needle) - MIN_CHARACTERS
    count = min(last + 1, _MAX_TRIGRAMS)
    starts = [last * number // max(count - 1, 1) for number in range(count)]
    trigrams = dict.fromkeys(needle[start : start + MIN_CHARACTERS].replace('"', '""') for start in starts)
    return " AND ".join([f'"{trigram}"' for trigram in trigrams])
