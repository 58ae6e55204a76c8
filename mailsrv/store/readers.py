"""The readers of one process, by account: each account's index is opened once, and few of them stay open.

Diagnostics: `reader` raises ValueError for what is no account's name, and StorageError when its Maildir cannot be made.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.reserve import Reserve
from mailsrv.store.account import Store
from mailsrv.store.filling import Filler
from mailsrv.store.index import Index
from mailsrv.store.layout import Layout
from mailsrv.store.limits import Limits
from mailsrv.store.notify import Announcer
from mailsrv.store.quota import FILE, Quota
from mailsrv.store.reader import Reader
from mailsrv.store.values import Usage

RESERVE = "reserve"

OPEN = 16  # accounts whose connections stay open when nobody uses them


class Readers:
    """Threads may share it. `quota` is told what is added and removed here, for deliveries count with its file.

    Who serves accounts sets `complain`, which hears of an account's troubles that no client is told of: then damaged
    indexes are set aside. `reserve` is the room that is held back for those who remove messages from a full disk; who
    cares for the accounts keeps it."""

    def __init__(
        self,
        disk: Disk,
        data_dir: str,
        clock: Clock,
        hostname: str,
        announcer: Announcer | None = None,
        quota: Quota | None = None,
    ) -> None:
        self._disk = disk
        self._data_dir = data_dir
        self._clock = clock
        self._hostname = hostname
        self._announcer = announcer
        self._quota = quota
        self.complain: Callable[[str, Exception], None] | None = None
        self._store = Store(disk, data_dir)
        self.reserve = Reserve(f"{data_dir}/{RESERVE}")
        #: What accounts may store where it was set otherwise than by the configuration.
        self.limits = Limits(disk, data_dir, clock)
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Index] = OrderedDict()

    def reader(self, account: str, limits: Usage | None = None) -> Reader:
        """The reader of an account, whose Maildir is made if it is missing. `limits` are those of the configuration."""
        index = self._index(account)
        reader = Reader(
            account,
            index,
            limits or Usage(),
            lambda: self._announce(account),
            lambda octets, messages: self._count(reader, octets, messages),
            lambda configured: self.limits.find(account, configured),
        )
        return reader

    def filler(self, account: str) -> Filler:
        """The work that waits for an account: what is computed of its messages, and its text index."""
        return Filler(self._index(account))

    def set_limits(self, account: str, limits: Usage | None) -> None:
        """Set what an account may store, 0 for any number; None: what the configuration says. Durable; it counts at
        once, for deliveries too."""
        self.limits.set(account, limits)
        # Where there was no limit, nobody has kept its count.
        self._disk.unlink(f"{self._store.directory(account)}/{FILE}", missing_ok=True)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()

    def _index(self, account: str) -> Index:
        with self._lock:
            index = self._open.get(account)
            if index is not None:
                self._open.move_to_end(account)
                return index
        layout = Layout.of(self._data_dir, account)
        self._store.prepare(account)
        tell = None if self.complain is None else partial(self.complain, account)
        new = Index(self._disk, self._clock, layout, self._hostname, self.reserve, tell)
        with self._lock:
            index = self._open.setdefault(account, new)
            self._open.move_to_end(account)
            dropped = self._open.popitem(last=False)[1] if len(self._open) > OPEN else None
        if dropped is not None:
            dropped.close()  # readers that have it open it again
        return index

    def _announce(self, account: str) -> None:
        if self._announcer is not None:
            self._announcer.announce(account)

    def _count(self, reader: Reader, octets: int, messages: int) -> None:
        limits = reader.limits if self._quota is not None else Usage()
        if self._quota is not None and (limits.octets or limits.messages):
            if self._disk.exists(f"{self._store.directory(reader.account)}/{FILE}"):
                self._quota.usage(reader.account, limits.octets)  # only what was asked for before is counted
            self._quota.add(reader.account, octets, messages)
