"""What the tests of the store's mailboxes share: an account on a real disk, and messages in it."""

import os
import sqlite3
from contextlib import contextmanager

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.database import Database
from mailsrv.store.readers import Readers
from mailsrv.store.values import Incoming, Usage
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock

HOST = "mx.example.org"
NOW = 2_000_000_000.0
OLD = NOW - 1000  # a directory time that is trusted


class Ground:
    """One account, bob, seen by one process; `other` is another process."""

    def __init__(self, tmp_path, limits=None, disk=None):
        self.data_dir = str(tmp_path)
        self.clock = FakeClock(NOW)
        self.announced = []
        self.counted = []
        self.readers = Readers(disk or Disk(), self.data_dir, self.clock, HOST)
        self.reader = self.readers.reader("bob", limits or Usage())
        self.root = f"{self.data_dir}/accounts/bob"
        self.number = 0

    def other(self):
        return Readers(Disk(), self.data_dir, self.clock, HOST).reader("bob")

    def open(self, name="INBOX"):
        return self.reader.open(name)

    def file(self, name, text="Subject: x\r\n\r\n", directory="new"):
        """A file that another program has put there."""
        path = f"{self.root}/{directory}/{name}"
        with open(path, "w") as file:
            file.write(text)
        return path

    def age(self, *directories):
        """Let the directories have changed long ago, so that their times are trusted."""
        self.number += 1
        for directory in directories or ("new", "cur"):
            os.utime(f"{self.root}/{directory}", (OLD + self.number, OLD + self.number))

    def append(self, box, *texts, flags=0, received=None):
        files = []
        for text in texts:
            file = box.new_file()
            file.write([text.encode()])
            files.append(Incoming(file, flags, received))
        return box.append(files)

    def tidy(self):
        while self.reader.tidy():
            pass

    def names(self, directory):
        return sorted(os.listdir(f"{self.root}/{directory}"))


class FullAtCommit:
    """A connection whose disk has room for everything but the commit."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *values):
        if statement == "COMMIT":
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._connection.execute(statement, *values)


@contextmanager
def no_room_for_commits(monkeypatch):
    """No database commits within the block."""
    usual = Database._connection

    @contextmanager
    def full(self):
        with usual(self) as connection:
            yield FullAtCommit(connection)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_connection", full)
        yield


def uids(*numbers):
    return NumberSet.of(numbers)


def rows(box, *columns):
    return list(box.rows(None, columns))


def text_of(box, uid):
    with box.open_file(uid) as file:
        return file.read_at(0, 10000).decode()
