"""The SQLite door: databases that several processes and threads use at once.

Write-ahead log, autocommit, and BEGIN IMMEDIATE for every write, so that a writer waits at its begin and never fails in
the middle. Connections come from a small pool per process, opened when first needed: none crosses a fork, and idle
sessions own none. Nothing but SQLite ever opens the three files (FILE, FILE-wal, FILE-shm): closing another descriptor
of them would give up the locks of every connection of the process.

A file of an older version is brought to ours in one transaction when it is opened, by whichever process is first; a
crash meanwhile leaves it as it was. Processes of the older program must have ended by then.

A connection that must no longer be used (its file was replaced, its process forked) is kept and never closed: the last
one that closes takes away the write-ahead log by its name, which may be that of the new file by then.

Diagnostics: StorageError, whose text has the path: StorageFull when there is no room, Damaged when the file is no
database or damaged. Waiting for others' writes ends in StorageError too, as does a file of a newer or unknown version,
which is left alone.
"""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from mailsrv.errors import AlreadyThere, StorageError, StorageFull
from mailsrv.system.disk import Disk
from mailsrv.system.failures import speaking_of

FILE_MODE = 0o600
SUFFIXES = ("", "-wal", "-shm")
# What the write-ahead log is cut to after a checkpoint. It is twice what lets a checkpoint begin, so that ordinary
# commits overwrite what is there: a file that grows costs a commit of the file system's journal at each sync.
_LOG_OCTETS = 8 << 20

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_STEP = 16  # rows between two looks at how much they are
_PRIMARY = 0xFF  # the primary result code within an extended one

Row = tuple[Any, ...]
Connection = sqlite3.Connection
Cursor = sqlite3.Cursor


class Damaged(StorageError):
    """The file of this inode is no database, or its contents are damaged."""

    def __init__(self, text: str, inode: int) -> None:
        super().__init__(text)
        self.inode = inode


@dataclass(frozen=True, slots=True)
class Schema:
    """What a new file is made with, in one transaction. `version` is its user_version, from 1 on.

    `durable`: a transaction is on stable storage when it is committed. Without, a crash of the system may take the last
    ones back, whole, and the disk is waited for at checkpoints only. `wait_seconds`: how long a statement waits for
    others' writes. `checkpoint_pages`: how long (4 KiB each) the write-ahead log grows before a commit copies it into
    the file; `bulk_pages`: the same for a transaction that changes much, which leaves it to the next.
    `upgrades`: by an older version, the statements that make the next one of it.
    """

    version: int
    statements: tuple[str, ...]
    durable: bool = True
    wait_seconds: float = 5.0
    checkpoint_pages: int = 1000
    bulk_pages: int = 8000
    upgrades: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


class Database:
    """One file and this process's connections to it, at most `most` at a time; whoever needs another one waits.

    `lock_path` is a lock between processes, for a file that comes or goes. `make_room` is called when there is no room
    even to open the file, and says whether it made some.
    """

    def __init__(
        self,
        disk: Disk,
        path: str,
        schema: Schema,
        lock_path: str,
        most: int = 4,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._disk = disk
        self._schema = schema
        self._lock_path = lock_path
        self._make_room = make_room
        self._turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._owner = 0  # process and inode of the idle connections
        self._inode = 0
        self._abandoned: list[sqlite3.Connection] = []

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement that changes nothing."""
        # As _connection, without a generator: this is what every recipient costs.
        with self._turns:
            connection, inode = self._take()
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise self._explain(error, inode) from error
            finally:
                self._give_back(connection, inode)

    def read_within(
        self, statement: str, values: Sequence[Any], wide: Sequence[int], most: int
    ) -> tuple[list[Row], int, bool]:
        """The first rows of one statement that changes nothing: until the values in the columns `wide` (places) are of
        `most` octets or characters, or a few rows more. Gives how many they are, and whether these are all rows."""
        found: list[Row] = []
        octets = 0
        with self._connection() as connection:
            cursor = connection.execute(statement, values)
            while octets < most:
                some = cursor.fetchmany(_STEP)
                found += some
                for at in wide:
                    octets += sum(map(len, filter(None, map(itemgetter(at), some))))
                if len(some) < _STEP:
                    return found, octets, True
            cursor.close()
        return found, octets, False

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the file, for several statements that change nothing. Short: the log grows meanwhile."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def write(self, bulk: bool = False, undo: Callable[[], None] | None = None) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, taken back when it raises. The block asks its own connection
        only: it has one of few. `bulk`: it will change many rows. `undo` takes back what the block did elsewhere, when
        the transaction fails, in its commit too; nobody else writes meanwhile."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            committed = False
            try:
                yield connection
                if bulk:
                    connection.execute(f"PRAGMA wal_autocheckpoint = {self._schema.bulk_pages}")
                connection.execute("COMMIT")
                committed = True
                if bulk:
                    connection.execute(f"PRAGMA wal_autocheckpoint = {self._schema.checkpoint_pages}")
            except BaseException as error:
                try:
                    if undo is not None and not committed and isinstance(error, Exception):
                        undo()
                finally:
                    # SQLite has taken it back by itself after some errors (SQLITE_FULL, SQLITE_IOERR).
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise

    def set_aside(self, damaged: Damaged, target: str) -> bool:
        """Move a damaged file out of the way, to `target` (what was there before is gone); the next use begins anew.

        False when another thread or process has done it already.
        """
        with self._lock, self._disk.lock(self._lock_path):  # in the order of _take
            stamp = self._disk.stamp(self.path)
            if stamp is None or stamp.inode != damaged.inode:
                return False
            for suffix in SUFFIXES:
                self._disk.unlink(target + suffix, missing_ok=True)
                if self._disk.exists(self.path + suffix):
                    if suffix != "-shm":  # nothing in it outlives the processes that have it open
                        self._disk.link(self.path + suffix, target + suffix)
                    self._disk.unlink(self.path + suffix)
            self._forget()
            return True

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of the pool for one piece of work."""
        with self._turns:
            connection, inode = self._take()
            try:
                yield connection
            except sqlite3.Error as error:
                raise self._explain(error, inode) from error
            finally:
                self._give_back(connection, inode)

    def _take(self) -> tuple[sqlite3.Connection, int]:
        stamp = self._disk.stamp(self.path)
        with self._lock:
            if stamp is None or stamp.inode != self._inode or self._owner != os.getpid():
                self._forget()
            if self._idle:
                return self._idle.pop(), self._inode
            try:
                connection, self._inode = self._open()
            except StorageFull:
                # To look at it needs the log and its index, which are not there while nobody has it open.
                if not self._make_room():
                    raise
                connection, self._inode = self._open()
            self._owner = os.getpid()
            return connection, self._inode

    def _give_back(self, connection: sqlite3.Connection, inode: int) -> None:
        with self._lock:
            (self._idle if inode == self._inode else self._abandoned).append(connection)

    def _forget(self) -> None:
        """Open anew at the next use; under the lock."""
        self._abandoned += self._idle
        self._idle = []
        self._inode = 0

    def _open(self) -> tuple[sqlite3.Connection, int]:
        """A connection, and the inode of its file."""
        # Who opens a damaged file and then, at its first look, finds the log of the file that took its place, would
        # write the pages of one into the other: nobody sets a file aside meanwhile.
        with self._disk.lock(self._lock_path, shared=True):
            self._make_file()
            stamp = self._disk.stamp(self.path)
            inode = stamp.inode if stamp else 0
            connection, version = self._connect(inode)
        if version != self._schema.version:
            try:
                version = self._bring(connection)
            except sqlite3.Error as error:
                raise self._explain(error, inode) from error
        if version != self._schema.version:
            connection.close()
            raise StorageError(
                f"{self.path}: has version {version}, and this program knows {self._schema.version}: use the program "
                "that wrote it, or move the file away"
            )
        return connection, inode

    def _connect(self, inode: int) -> tuple[sqlite3.Connection, int]:
        """A connection that has looked at its file, and the version that it found there."""
        schema = self._schema
        connection = None
        try:
            connection = sqlite3.connect(
                self.path, timeout=schema.wait_seconds, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_OCTETS}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {schema.checkpoint_pages}")
            connection.execute(f"PRAGMA synchronous = {'FULL' if schema.durable else 'NORMAL'}")
            return connection, _version(connection)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise self._explain(error, inode) from error

    def _bring(self, connection: sqlite3.Connection) -> int:
        """Make what an empty file is to have, or of an older file what it has not; gives its version then. One process
        at a time: SQLite waits for nobody when two turn the write-ahead log on."""
        schema = self._schema
        with self._disk.lock(self._lock_path):
            version = _version(connection)
            if not version:
                connection.execute("PRAGMA journal_mode = WAL")
                statements = list(schema.statements)
            else:
                steps = range(version, schema.version)
                if not steps or any(step not in schema.upgrades for step in steps):
                    return version
                statements = [statement for step in steps for statement in schema.upgrades[step]]
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {schema.version}")
                connection.execute("COMMIT")
            except sqlite3.Error:
                connection.rollback()
                raise
            return schema.version

    def _make_file(self) -> None:
        """An empty file of our mode, which the other two take over. Made without opening it; see the module's text."""
        try:
            with speaking_of(self.path):
                os.mknod(self.path, stat.S_IFREG | FILE_MODE)
        except AlreadyThere:
            pass

    def _explain(self, error: sqlite3.Error, inode: int) -> StorageError:
        error_code = getattr(error, "sqlite_errorcode", 0)
        code = error_code & _PRIMARY
        if code in _DAMAGE:
            return Damaged(f"{self.path}: {error}", inode)
        if code == sqlite3.SQLITE_FULL or error_code == sqlite3.SQLITE_IOERR_SHMSIZE:
            return StorageFull(f"{self.path}: {error}; make room on its file system")
        return StorageError(f"{self.path}: {error}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
