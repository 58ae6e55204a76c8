"""Clearing away what finished messages leave: journals in state E, second names of held messages, debris in tmp/.

A journal that says `finished` (a report's) stays for 36 hours, and as long as any message may still ask for that
report. Nothing is taken away that was not looked at again under the spool lock. To be called from time to time, by one
process.

Diagnostics: StorageError when the disk refuses; what was cleared away by then is.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.spool.history import find_finish, find_pending
from mailsrv.spool.hold import is_same_file
from mailsrv.spool.journal import LIMIT
from mailsrv.spool.layout import Layout
from mailsrv.spool.queueid import is_id
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing

KEEP_SECONDS = 36 * 3600.0


@dataclass(frozen=True, slots=True)
class Collected:
    """How many journals, second names of held messages, and passing files were cleared away."""

    journals: int = 0
    held: int = 0
    debris: int = 0


def collect(disk: Disk, layout: Layout, clock: Clock) -> Collected:
    """One round."""
    journals = [name for name in disk.names(layout.journal) if is_id(name)]
    held = {name for name in disk.names(layout.hold) if is_id(name)}
    queued = set(disk.names(layout.queue))
    finished = [name for name in journals if name not in queued and name not in held]
    limit = clock.now() - KEEP_SECONDS
    old, reports = _choose(disk, layout, finished, limit)
    if reports:
        alive = (name for name in journals if name in queued or name in held)
        old += reports - _find_asked(disk, layout, alive)
    return Collected(_unlink(disk, layout, old), _separate(disk, layout, held & queued), _sweep(disk, layout, limit))


def _choose(disk: Disk, layout: Layout, finished: Iterable[str], limit: float) -> tuple[list[str], set[str]]:
    """The finished messages' journals that may go, and those that may if nobody asks for them."""
    old, reports = [], set()
    for name in finished:
        path = f"{layout.journal}/{name}"
        stamp = disk.stamp(path)
        if stamp is None:
            continue
        try:
            moment = find_finish(disk.read(path, LIMIT))
        except Missing:
            continue
        except GrammarError:
            # It may have said when.
            moment = stamp.changed / 1e9
        if not moment:
            old.append(name)
        elif moment <= limit:
            reports.add(name)
    return old, reports


def _find_asked(disk: Disk, layout: Layout, alive: Iterable[str]) -> set[str]:
    """The reports that messages named before a crash and will ask for once more."""
    asked: set[str] = set()
    for name in alive:
        try:
            asked |= find_pending(disk.read(f"{layout.journal}/{name}", LIMIT))
        except (GrammarError, Missing):
            continue  # its message goes to corrupt/ and asks for nothing, or is finished
    return asked


def _unlink(disk: Disk, layout: Layout, names: Iterable[str]) -> int:
    """Take journals away whose messages are still finished. Not synced: one that comes back is collected again."""
    count = 0
    names = list(names)
    if names:
        # Who finished them may have been killed before the sync; a queue file that comes back needs its journal.
        disk.sync_directory(layout.queue)
        disk.sync_directory(layout.hold)
    for name in names:
        with disk.lock(layout.lock):
            if not disk.exists(f"{layout.queue}/{name}") and not disk.exists(f"{layout.hold}/{name}"):
                disk.unlink(f"{layout.journal}/{name}", missing_ok=True)
                count += 1
    return count


def _separate(disk: Disk, layout: Layout, names: Collection[str]) -> int:
    """Take held messages out of the queue that nobody is delivering any more."""
    count = 0
    if names:
        # Who made the other name may have been killed before the sync.
        disk.sync_directory(layout.hold)
    for name in names:
        queue, held = f"{layout.queue}/{name}", f"{layout.hold}/{name}"
        with disk.lock(layout.lock):
            try:
                file = disk.open_locked(queue) if is_same_file(disk, queue, held) else None
            except Missing:
                continue  # finished at this moment
            if file is not None:
                with file:
                    disk.unlink(queue, missing_ok=True)
                    count += 1
    return count


def _sweep(disk: Disk, layout: Layout, limit: float) -> int:
    """Take away what crashes left in tmp/ where the file system has no unnamed files."""
    old = [name for name, moment in disk.times(layout.tmp) if moment <= limit]
    for name in old:
        disk.unlink(f"{layout.tmp}/{name}", missing_ok=True)
    return len(old)
