"""An account on a real disk whose process dies at a chosen operation, and what must be true of it afterwards.

SQLite needs real files, so that what dies here is the process and not the power: what it did stays, what it did not do
is missing. What a power cut would take away besides is watched instead: `Watched` complains about every commit that
comes while a directory with new names is not synced.
"""

import os
from contextlib import contextmanager

from mailsrv.store.database import Database
from mailsrv.store.readers import Readers
from mailsrv.store.values import Incoming
from mailsrv.system.disk import Disk, UnnamedFile
from mailsrv.imap.numbers import NumberSet

from tests.fakes.clock import FakeClock

ACCOUNT = "bob"
HOST = "mx.example.org"
STEPS = (
    "link", "unlink", "rename", "remove_directory", "sync_directory", "replace", "append", "make_directories",
    "set_time",
)  # fmt: skip


class Killed(BaseException):
    """The process ends here."""


class WatchedFile(UnnamedFile):
    """An unnamed file whose sync counts."""

    __slots__ = ()

    def sync(self):
        self._disk.step()
        super().sync()
        self._disk.unsynced.pop(self._source, None)


class Watched(Disk):
    """A disk that counts its operations and kills the process before number `kill_at`; commits count too. What files
    were not synced then has lost its octets, as by a power cut."""

    def __init__(self, kill_at=None):
        super().__init__()
        self.kill_at = kill_at
        self.count = 0
        self.linked = set()
        self.unsynced = {}  # files by what leads to them, and the names they got
        self.faults = []

    def step(self):
        if self.count == self.kill_at:
            for name in self.torn():
                os.chmod(name, 0o600)
                os.truncate(name, 0)
            raise Killed
        self.count += 1

    def torn(self):
        """The names of files that were not synced."""
        return [name for names in self.unsynced.values() for name in names if os.path.exists(name)]

    def _open_in(self, directory, mode):
        fd = super()._open_in(directory, mode)
        self.unsynced[f"/proc/self/fd/{fd}"] = []
        return fd

    def open_unnamed(self, directory, mode=0o400):
        self.step()
        file = super().open_unnamed(directory, mode)
        return WatchedFile(self, file._fd, directory)

    def _link_into(self, source, directory, name):
        self.step()
        super()._link_into(source, directory, name)
        self.linked.add(directory)
        if source in self.unsynced:
            self.unsynced[source].append(f"{directory}/{name}")

    def commit(self):
        self.step()
        if self.linked:
            self.faults.append(f"committed while {sorted(self.linked)} were not synced")
        if self.torn():
            self.faults.append(f"committed while {self.torn()} were not synced")


def _stepping(name):
    def operation(self, path, *arguments, **named):
        self.step()
        result = getattr(Disk, name)(self, path, *arguments, **named)
        if name == "link":
            self.linked.add(os.path.dirname(arguments[0]))
        elif name == "sync_directory":
            self.linked.discard(path)
        elif name == "rename":
            self.linked.add(os.path.dirname(path))
        elif name == "replace":
            self.linked.discard(os.path.dirname(path))
        return result

    return operation


for _name in STEPS:
    setattr(Watched, _name, _stepping(_name))


_write = Database.write


@contextmanager
def write(self, *values):
    """Database.write with one more step: before the commit."""
    with _write(self, *values) as connection:
        yield connection
        if isinstance(self._disk, Watched):
            self._disk.commit()


def readers(data_dir, disk=None, clock=None):
    return Readers(disk or Disk(), str(data_dir), clock or FakeClock(2_000_000_000.0), HOST)


def reader(data_dir, disk=None, clock=None):
    return readers(data_dir, disk, clock).reader(ACCOUNT)


def append(box, text, flags=0):
    file = box.new_file()
    file.write([text.encode()])
    return box.append([Incoming(file, flags, 1_700_000_000)])[0]


def deliver(data_dir, number, directory="."):
    """A message comes as delivery puts it into new/; its content is its number."""
    text = f"delivered {number}"
    path = os.path.join(data_dir, "accounts", ACCOUNT, directory)
    os.makedirs(f"{path}/new", exist_ok=True)
    name = f"{1_700_000_000 + number}.dZJjly8m{number:04d}.{HOST},S={len(text)}"
    with open(f"{path}/tmp/{name}", "w") as file:
        file.write(text)
    os.rename(f"{path}/tmp/{name}", f"{path}/new/{name}")
    return text


def contents(box):
    """What a client sees in a mailbox: uid -> (content, flags)."""
    seen = {}
    for uid, flags in box.rows(None, ("uid", "flags")):
        with box.open_file(uid) as file:
            seen[uid] = (file.read_at(0, 1000).decode(), flags)
    return seen


def look(account):
    """What a client sees in all mailboxes: name -> (mailboxid, uidvalidity, uid -> (content, flags))."""
    found = {}
    for info in account.mailboxes():
        if info.exists:
            box = account.open(info.name)
            found[info.name] = (info.mailboxid, box.uidvalidity, contents(box))
    return found


def texts(found, *names):
    """The contents of some mailboxes (all by default), sorted."""
    return sorted(text for name in names or found for text, _ in found.get(name, (0, 0, {}))[2].values())


def finish(account):
    """All that waits for idle moments."""
    while account.tidy():
        pass


def every(box):
    uids, _, _ = box.view()
    return NumberSet.of_sorted(uids)
