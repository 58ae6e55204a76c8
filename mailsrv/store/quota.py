"""Quota by the file `maildirsize` of Maildir++: what an account stores, counted at each delivery, recounted in doubt.

The first line is the limit (`<octets>S`, `<messages>C`, or both with a comma), each further line what was added: octets
and messages. Every program that knows Maildir++ appends to the same file. The count serves until there is an index and
is allowed to be off by what arrives during a recount; the next recount corrects it. It is never synced: it can always
be made again. Only accounts with a limit have the file. Limits that were set (mailsrv.store.limits) hold in place of
those that callers know from the configuration.

Diagnostics: `room` raises StorageError when the Maildir cannot be read; a file that is damaged, too long or of another
limit is made again. `add` raises StorageError when the disk refuses.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing, Stamp
from mailsrv.store import values
from mailsrv.store.account import Store
from mailsrv.store.limits import Limits
from mailsrv.store.message import size_of

FILE = "maildirsize"
MAX_OCTETS = 5120  # of the file, after which it is made again
OLD_SECONDS = 900  # an account over its limit is recounted when its file is older: mail may have been removed


@dataclass(frozen=True, slots=True)
class Usage:
    """What a maildirsize said when it had this stamp. `additions` counts its lines after the first two. `limit` octets
    and `most` messages may be there; 0: no limit."""

    stamp: Stamp | None
    limit: int
    octets: int
    messages: int
    additions: int
    most: int = 0

    def takes(self, size: int) -> bool:
        """Whether there is room for one more message of `size` octets; of size 0: for any at all."""
        fits = not self.limit or self.octets + max(size, 1) <= self.limit
        return fits and (not self.most or self.messages < self.most)


_HEAD = re.compile(rb"(\d{1,18})S(?:,(\d{1,18})C)?|(\d{1,18})C")


def _no_limit(account: str) -> int:
    return 0


class Quota:
    """The quotas of one process's accounts; thread-safe. Reading costs one stat while a file does not change.

    `most_messages` gives how many messages an account may have by the configuration, 0 for any number; its octets come
    with each question.
    """

    def __init__(
        self, disk: Disk, store: Store, clock: Clock, most_messages: Callable[[str], int] = _no_limit
    ) -> None:
        self._most_messages = most_messages
        self._disk = disk
        self._store = store
        self._clock = clock
        self._limits = Limits(disk, store.data_dir, clock)
        self._known: dict[str, Usage] = {}
        self._recounting = threading.Lock()  # one recount at a time: it reads every name of a Maildir

    def room(self, account: str, limit: int, size: int) -> bool:
        """Whether one more message of `size` octets stays within `limit` octets, and within the account's number of
        messages. Limit 0: none; size 0: any room at all."""
        bounds = self._bounds(account, limit)
        if bounds == (0, 0):
            return True
        usage = self._read(account, bounds) or self._recount(account, bounds)
        if not usage.takes(size) and self._is_doubtful(usage):
            usage = self._recount(account, bounds)
        return usage.takes(size)

    def add(self, account: str, size: int, messages: int = 1) -> None:
        """Count a delivered message of `size` octets, if the account has a limit (`room` was asked before)."""
        if account not in self._known:
            return
        try:
            self._disk.append(self._path(account), f"{size} {messages}\n".encode(), create=False)
        except Missing:
            self._known.pop(account, None)  # removed by hand: the next `room` counts

    def usage(self, account: str, limit: int) -> Usage:
        """What the account stores."""
        bounds = self._bounds(account, limit)
        return self._read(account, bounds) or self._recount(account, bounds)

    def _bounds(self, account: str, limit: int) -> tuple[int, int]:
        """Octets and messages that hold for an account now."""
        limits = self._limits.find(account, values.Usage(limit, self._most_messages(account)))
        return limits.octets, limits.messages

    def _path(self, account: str) -> str:
        return f"{self._store.directory(account)}/{FILE}"

    def _is_doubtful(self, usage: Usage) -> bool:
        """Whether a recount could give room: there were additions since the last one, or it was long ago."""
        changed = usage.stamp.changed / 1e9 if usage.stamp else 0.0
        return usage.additions > 0 or abs(self._clock.now() - changed) > OLD_SECONDS

    def _read(self, account: str, bounds: tuple[int, int]) -> Usage | None:
        """What the file says; None when it is not there or cannot be trusted."""
        path = self._path(account)
        stamp = self._disk.stamp(path)
        known = self._known.get(account)
        if known is not None and known.stamp == stamp and (known.limit, known.most) == bounds:
            return known
        if stamp is None or stamp.size > MAX_OCTETS:
            return None
        try:
            usage = parse(self._disk.read(path, 2 * MAX_OCTETS), stamp)
        except (Missing, ValueError):
            return None
        if (usage.limit, usage.most) != bounds:
            return None
        self._known[account] = usage
        return usage

    def _recount(self, account: str, bounds: tuple[int, int]) -> Usage:
        """Count what lies in all mailboxes and write the file anew."""
        before = self._known.get(account)
        with self._recounting:
            known = self._known.get(account)
            if known is not None and known is not before and (known.limit, known.most) == bounds:
                return known  # another thread has counted while this one waited
            octets = messages = 0
            for mailbox in self._store.mailboxes(account):
                for leaf in ("new", "cur"):
                    sizes = self._sizes(f"{mailbox}/{leaf}")
                    octets += sum(sizes)
                    messages += len(sizes)
            path = self._path(account)
            if self._disk.exists(self._store.directory(account)):
                self._disk.replace(path, f"{_format_head(bounds)}\n{octets} {messages}\n".encode())
            usage = Usage(self._disk.stamp(path), bounds[0], octets, messages, 0, bounds[1])
            self._known[account] = usage
            return usage

    def _sizes(self, directory: str) -> list[int]:
        """The octets of each message in a directory; the names tell, as a rule."""
        try:
            names = self._disk.names(directory)
        except Missing:
            return []
        sizes = []
        for name in names:
            size = size_of(name)
            if size is None:
                try:
                    size = self._disk.size(f"{directory}/{name}")
                except Missing:
                    continue  # moved or removed while we look
            sizes.append(size)
        return sizes


def _format_head(bounds: tuple[int, int]) -> str:
    return ",".join(f"{number}{unit}" for number, unit in zip(bounds, "SC", strict=True) if number)


def parse(octets: bytes, stamp: Stamp | None = None) -> Usage:
    """Read a maildirsize; ValueError when it is damaged, torn or of a limit that is not ours."""
    lines = octets.split(b"\n")
    if lines.pop() or not lines:
        raise ValueError("the last line has no end")
    head = _HEAD.fullmatch(lines[0].strip())
    if head is None:
        raise ValueError("the first line is not a limit in octets and messages")
    total = count = 0
    for line in lines[1:]:
        size, number = line.split()
        total += int(size)
        count += int(number)
    if total < 0 or count < 0:
        raise ValueError("less than nothing")
    return Usage(stamp, int(head[1] or 0), total, count, max(len(lines) - 2, 0), int(head[2] or head[3] or 0))
