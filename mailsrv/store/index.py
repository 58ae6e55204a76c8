"""index.sqlite3 of an account: its tables, and a transaction that keeps counters, modseqs and the log of changes right.

The truth about UIDs, flags, keywords, modseqs, dates and sizes; files are the truth about messages. Message rows are
narrow, so that a change of all flags of a mailbox rewrites little; what is large lies in tables of its own, by the id
of its content, which copies share and which is never used twice. There is no index by modseq, for it makes STORE two to
three times as slow: `change` names the UIDs that each transaction touched instead (or more of them).

Whoever makes a name in a mailbox does it within such a transaction, so that nobody adopts it before its row is there.

Diagnostics: StorageError, as mailsrv.store.database; MailboxGone when a mailbox is no longer there.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from mailsrv.errors import MailsrvError, StorageError, StorageFull
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.reserve import Reserve
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.database import Connection, Cursor, Damaged, Database, Row, Schema
from mailsrv.store.layout import Layout
from mailsrv.store.numbering import Numberings
from mailsrv.store.ready_tables import RENEW, STATEMENTS, TABLES
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.single import Single

LOGGED = 1000  # transactions of a mailbox that `change` remembers; before that, every message may have changed
REMEMBERED = 100_000  # UIDs of a mailbox that `expunged` remembers
MAX_UID = 0xFFFFFFFF
MANY = 500  # messages of one transaction, from which on its checkpoint is left to the next; see Database.write

_SET_ASIDE_SECONDS = 60.0

T = TypeVar("T")

_MAX_LOGGED_RANGES = 200  # of one transaction; beyond, what lies between counts as changed too
_SINGLE = 64  # ranges that are asked one by one
_CHUNK = 10_000  # UIDs that are asked at once otherwise

# What makes the next version of an older one. What is computed from messages is computed again: see store.ready_tables.
_UPGRADES = {
    1: (
        "ALTER TABLE content ADD COLUMN checksum BLOB",
        "ALTER TABLE mailbox ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0",
        *RENEW,
    ),
}

SCHEMA = Schema(
    version=2,
    upgrades=_UPGRADES,
    statements=(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, content INTEGER NOT NULL,"
        " octets INTEGER NOT NULL, messages INTEGER NOT NULL)",
        "INSERT INTO account VALUES (1, 1, 0, 0, 0)",
        "CREATE TABLE mailbox (id INTEGER PRIMARY KEY AUTOINCREMENT, directory TEXT NOT NULL UNIQUE,"
        " uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, highestmodseq INTEGER NOT NULL,"
        " messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, octets INTEGER NOT NULL,"
        " new_time INTEGER NOT NULL, cur_time INTEGER NOT NULL, doubt INTEGER NOT NULL, written INTEGER NOT NULL,"
        " logged INTEGER NOT NULL, remembered INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0)",
        "CREATE TABLE message (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, flags INTEGER NOT NULL,"
        " modseq INTEGER NOT NULL, size INTEGER NOT NULL, content INTEGER NOT NULL, hash INTEGER NOT NULL,"
        " base TEXT NOT NULL, leaf INTEGER NOT NULL, tail TEXT NOT NULL, shown INTEGER NOT NULL,"
        " received INTEGER NOT NULL, saved INTEGER NOT NULL, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID",
        "CREATE INDEX message_hash ON message (hash)",
        "CREATE INDEX message_new ON message (mailbox) WHERE leaf = 0",
        "CREATE TABLE content (id INTEGER PRIMARY KEY, emailid TEXT NOT NULL, copies INTEGER NOT NULL,"
        " checksum BLOB)",
        "CREATE TABLE keyword (mailbox INTEGER NOT NULL, bit INTEGER NOT NULL, name TEXT NOT NULL,"
        " PRIMARY KEY (mailbox, bit)) WITHOUT ROWID",
        "CREATE TABLE change (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uids TEXT NOT NULL,"
        " PRIMARY KEY (mailbox, modseq)) WITHOUT ROWID",
        "CREATE TABLE expunged (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uid INTEGER NOT NULL,"
        " PRIMARY KEY (mailbox, modseq, uid)) WITHOUT ROWID",
        "CREATE TABLE removal (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, directory TEXT NOT NULL,"
        " base TEXT NOT NULL, leaf INTEGER NOT NULL, tail TEXT NOT NULL, content INTEGER NOT NULL)",
        "CREATE INDEX removal_hash ON removal (hash)",
        *STATEMENTS,
    ),
    wait_seconds=30.0,
)

# Tables with a row for a content, which go with it.
CONTENT_TABLES = ("content", *TABLES)

_MAILBOX = (
    "id, directory, uidvalidity, uidnext, highestmodseq, messages, unseen, deleted, octets, new_time, cur_time, doubt,"
    " written, logged, remembered, forgotten"
)


class MailboxRow(NamedTuple):
    """A row of `mailbox`. Times are those of new/ and cur/ when they were read, in nanoseconds (0: read them again);
    with `doubt`, cur/ was young then or was changed by ourselves since. Flags up to the modseq `written` are in
    the names of files. `change` tells all since `logged`, `expunged` all since `remembered`. `forgotten`: how often
    bits of keywords have become free; see mailsrv.store.keywords."""

    id: int
    directory: str
    uidvalidity: int
    uidnext: int
    highestmodseq: int
    messages: int
    unseen: int
    deleted: int
    octets: int
    new_time: int
    cur_time: int
    doubt: int
    written: int
    logged: int
    remembered: int
    forgotten: int


class Key(NamedTuple):
    """An open mailbox: the row, and the UIDVALIDITY by which it is known that the row is still the same mailbox."""

    id: int
    uidvalidity: int


@dataclass(slots=True)
class Delta:
    """How the counters of a mailbox change. Its octets and messages count for the account too."""

    messages: int = 0
    unseen: int = 0
    deleted: int = 0
    octets: int = 0


class Writing:
    """One transaction. All it changes gets one modseq. `made`: names of files that are removed again when it fails."""

    def __init__(self, connection: Connection, made: list[str]) -> None:
        self.connection = connection
        self.made = made
        self.execute: Callable[..., Cursor] = connection.execute
        self._modseq = 0

    @property
    def modseq(self) -> int:
        """The account's next modseq; from the second time on, the same."""
        if not self._modseq:
            self.count(Delta())
        return self._modseq

    def count(self, delta: Delta, contents: int = 0) -> int:
        """Add octets and messages to what the account has, and take ids for new contents: gives the first of them."""
        # One statement, with the modseq: each costs an APPEND as much as the row it adds.
        modseq, last = self.execute(
            "UPDATE account SET modseq = modseq + ?, content = content + ?, octets = octets + ?,"
            " messages = messages + ? RETURNING modseq, content",
            (not self._modseq, contents, delta.octets, delta.messages),
        ).fetchall()[0]
        self._modseq = modseq
        return int(last) - contents + 1

    def mailbox(self, key: Key) -> MailboxRow:
        """The row as it is now; nobody else changes it before the end of the transaction."""
        return _expect(self.execute(f"SELECT {_MAILBOX} FROM mailbox WHERE id = ?", (key.id,)).fetchall(), key)

    def touch(self, mailbox: int, uids: NumberSet, delta: Delta | None = None, uidnext: int = 0) -> None:
        """These messages are new or have other flags, with this transaction's modseq; `delta` adds to the counters of
        the mailbox (`count` has those of the account)."""
        if uids:
            if len(uids.ranges) > _MAX_LOGGED_RANGES:
                uids = NumberSet([(uids.first, uids.last)])
            # One transaction may touch a mailbox twice.
            self.execute(
                "INSERT INTO change VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET uids = uids || ',' || excluded.uids",
                (mailbox, self.modseq, bytes(uids).decode()),
            )
        delta = delta or Delta()
        self.execute(
            "UPDATE mailbox SET highestmodseq = ?, messages = messages + ?, unseen = unseen + ?, deleted = deleted + ?,"
            " octets = octets + ?, uidnext = max(uidnext, ?) WHERE id = ?",
            (self.modseq, delta.messages, delta.unseen, delta.deleted, delta.octets, uidnext, mailbox),
        )

    def release_contents(self, contents: Sequence[int]) -> None:
        """One message less has each of these contents (a row of `removal` or of `message` is gone)."""
        self.connection.executemany("UPDATE content SET copies = copies - 1 WHERE id = ?", [(c,) for c in contents])
        for start in range(0, len(contents), _CHUNK):
            named = json.dumps(contents[start : start + _CHUNK])
            gone = "SELECT id FROM content WHERE copies <= 0 AND id IN (SELECT value FROM json_each(?))"
            for table in reversed(CONTENT_TABLES):
                column = "id" if table == "content" else "content"
                self.execute(f"DELETE FROM {table} WHERE {column} IN ({gone})", (named,))


class Index:
    """The index of one account, with what is needed to keep it in step with the files. Threads may share it.

    `reserve`: room for those who remove something from a full disk. `complain` hears of what nobody is told otherwise;
    with it, who serves the account, a damaged file is set aside, and the next use begins a new one.
    """

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        layout: Layout,
        hostname: str,
        reserve: Reserve | None = None,
        complain: Callable[[Exception], None] | None = None,
    ) -> None:
        self.disk = disk
        self.clock = clock
        self.layout = layout
        self.hostname = hostname
        self.reserve = reserve
        self._complain = complain
        self._set_aside_at = -math.inf  # monotonic
        self.database = Database(disk, layout.index, SCHEMA, layout.index_lock, make_room=self.make_room)
        self.numberings = Numberings()
        self.looks = Single()

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement that changes nothing."""
        try:
            return self.database.read(statement, values)
        except Damaged as damaged:
            self._set_aside(damaged)
            raise

    @contextmanager
    def write(self, bulk: bool = False) -> Iterator[Writing]:
        """A transaction; see Database.write."""
        made: list[str] = []

        def remove() -> None:
            for path in made:
                self.disk.unlink(path, missing_ok=True)

        try:
            with self.database.write(bulk, remove) as connection:
                yield Writing(connection, made)
        except Damaged as damaged:
            self._set_aside(damaged)
            raise

    def complain(self, error: Exception) -> None:
        """Tell the operator of a trouble that the client is not told of. A bug that nobody hears of is raised."""
        if self._complain is not None:
            self._complain(error)
        elif not isinstance(error, MailsrvError):
            raise error

    def make_room(self) -> bool:
        """Give up the reserve; True when there was one."""
        return self.reserve is not None and self.reserve.give_up()

    def with_room(self, work: Callable[[], T]) -> T:
        """Do what makes room for others: where the disk is full, in the room of the reserve."""
        try:
            return work()
        except StorageFull:
            if not self.make_room():
                raise
            return work()

    def _set_aside(self, damaged: Damaged) -> None:
        """Move a damaged file out of the way, once a minute at most: a disk that damages each new file is not to be
        filled with them."""
        now = self.clock.monotonic()
        if self._complain is None or now - self._set_aside_at < _SET_ASIDE_SECONDS:
            return
        self._set_aside_at = now
        target = f"{self.layout.index}.damaged"
        if self.database.set_aside(damaged, target):
            self._complain(StorageError(f"{damaged}; set aside as {target}, a new one is made from the files"))

    def mailbox(self, key: Key) -> MailboxRow:
        """The row of an open mailbox; raises MailboxGone."""
        return _expect(self.read(f"SELECT {_MAILBOX} FROM mailbox WHERE id = ?", (key.id,)), key)

    def find(self, directory: str) -> MailboxRow | None:
        """The row of a directory."""
        rows = self.read(f"SELECT {_MAILBOX} FROM mailbox WHERE directory = ?", (directory,))
        return MailboxRow(*rows[0]) if rows else None

    def path(self, mailbox: MailboxRow) -> str:
        """The Maildir of a mailbox."""
        return self.layout.path(mailbox.directory)

    def close(self) -> None:
        """Close connections that nobody uses."""
        self.database.close()


def _expect(rows: list[Row], key: Key) -> MailboxRow:
    if not rows or rows[0][2] != key.uidvalidity:
        raise MailboxGone("the mailbox was deleted, or its UIDs are no longer valid")
    return MailboxRow(*rows[0])


def add_mailbox(writing: Writing, directory: str, uidvalidity: int) -> None:
    """A row for a directory that nobody has looked into; what an older row of it knew is forgotten."""
    forget_mailbox(writing, directory)
    modseq = writing.modseq
    writing.execute(
        f"INSERT INTO mailbox ({_MAILBOX}) VALUES (NULL, ?, ?, 1, ?, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, 0)",
        (directory, uidvalidity, modseq, modseq, modseq),
    )


def forget_mailbox(writing: Writing, directory: str) -> None:
    """Remove a directory's row and all that belongs to it. Its files are not touched, nor is any to be removed."""
    rows = writing.execute("SELECT id, messages, octets FROM mailbox WHERE directory = ?", (directory,)).fetchall()
    for number, messages, octets in rows:
        contents = writing.execute("SELECT content FROM message WHERE mailbox = ?", (number,)).fetchall()
        pending = writing.execute("SELECT content FROM removal WHERE directory = ?", (directory,)).fetchall()
        writing.execute("DELETE FROM removal WHERE directory = ?", (directory,))
        for table in ("message", "keyword", "change", "expunged"):
            writing.execute(f"DELETE FROM {table} WHERE mailbox = ?", (number,))
        writing.execute("DELETE FROM mailbox WHERE id = ?", (number,))
        writing.execute("UPDATE account SET octets = octets - ?, messages = messages - ?", (octets, messages))
        writing.release_contents([content for (content,) in contents + pending if content])


def selections(uids: NumberSet | None) -> list[tuple[str, tuple[Any, ...]]]:
    """Conditions on `uid` with their values, which together select a set (None: all); of few ranges or few UIDs each,
    in ascending order."""
    if uids is None:
        return [("uid BETWEEN ? AND ?", (1, MAX_UID))]
    if len(uids.ranges) <= _SINGLE:
        return [("uid BETWEEN ? AND ?", pair) for pair in uids.ranges]
    found = []
    numbers: list[int] = []
    for first, last in uids.ranges:
        if last - first >= _CHUNK:
            if numbers:
                found.append(_list(numbers))
                numbers = []
            found.append(("uid BETWEEN ? AND ?", (first, last)))
            continue
        numbers.extend(range(first, last + 1))
        if len(numbers) >= _CHUNK:
            found.append(_list(numbers))
            numbers = []
    if numbers:
        found.append(_list(numbers))
    return found


def _list(numbers: list[int]) -> tuple[str, tuple[Any, ...]]:
    return "uid IN (SELECT value FROM json_each(?))", (json.dumps(numbers),)
