"""What an import has taken already, so that the next one takes the rest (mailsrv-store(5), IMPORTS).

One small directory for each source in the account's `imports`, with one text file for each of the source's mailboxes: a
line for each message, appended and synced right behind the commit that made it durable. So the memory of what was
taken is never ahead of the messages; what a crash leaves behind them is found by comparing octets (import_pass). It is
no part of the index: that can be made anew from the messages, and this cannot, as people remove what they imported.

Diagnostics: Busy when another import reads the same source; StorageError when the disk refuses. A torn line ends what
is believed; the lines behind it are written anew.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from mailsrv.errors import Busy
from mailsrv.system.disk import Disk, Missing
from mailsrv.store.layout import Layout, directory_of

DIRECTORY = "imports"
_HEAD = "import 1"
_LIMIT = 1 << 30
_DIGITS = 10  # of a UID


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was taken: its UID here, and the flags that it had at its source then."""

    uid: int
    flags: str


class Journal:
    """What was taken of one mailbox of a source into one mailbox of ours. `entries` by the source's keys."""

    def __init__(self, disk: Disk, path: str, target: str) -> None:
        self._disk = disk
        self._path = path
        self._head = f"{_HEAD}\t{target}\n"
        self.entries: dict[str, Taken] = {}
        self._load()

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def note(self, entries: Iterable[tuple[str, Taken]]) -> None:
        """Remember, durably."""
        made = list(entries)
        if made:
            text = "".join(f"{key}\t{taken.uid}\t{taken.flags}\n" for key, taken in made)
            self._disk.append(self._path, text.encode(), sync=True)
            self.entries.update(made)

    def _load(self) -> None:
        try:
            octets = self._disk.read(self._path, _LIMIT)
        except Missing:
            octets = b""
        if not octets.startswith(self._head.encode()):
            # There is none; or it tells of a mailbox that was deleted here: then everything is wanted again.
            self._disk.replace(self._path, self._head.encode())
            return
        whole = octets.rfind(b"\n") + 1
        if whole < len(octets):
            self._disk.cut(self._path, whole)
        for line in octets[len(self._head) : whole].decode("utf-8", "replace").split("\n"):
            parts = line.split("\t")
            if len(parts) == 3 and parts[1].isdecimal() and len(parts[1]) <= _DIGITS:
                self.entries[parts[0]] = Taken(int(parts[1]), parts[2])


class Journals:
    """The journals of one source; hold it (`with`) while its messages are taken."""

    def __init__(self, disk: Disk, layout: Layout, kind: str, identity: str) -> None:
        self._disk = disk
        digest = hashlib.sha256(f"{kind}\n{identity}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._root = f"{layout.root}/{DIRECTORY}/{kind}-{digest}"
        self._name = f"{kind} {identity}".encode("utf-8", "replace")

    def __enter__(self) -> "Journals":
        self._disk.make_directories(self._root)
        path = f"{self._root}/source"
        if not self._disk.exists(path):
            self._disk.replace(path, self._name + b"\n")
        lock = self._disk.open_locked(path)
        if lock is None:
            raise Busy("another import takes from there just now; wait until it is done")
        self._lock = lock
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._lock.close()

    def open(self, mailbox: str, target: str) -> Journal:
        """The journal of one of its mailboxes; `target` is what it goes to, and stays while that exists."""
        return Journal(self._disk, f"{self._root}/mailbox{directory_of(mailbox)}", target)
