"""Setting messages aside for the operator, and back: state D of mailsrv-spool(5).

An ID that lies in hold/ is held, whatever else there is, so the name there is made first and taken away last. Who is
delivering the message at that moment goes on; the hold counts from the end of that attempt.

Diagnostics: StorageError when the disk refuses; AlreadyThere when another message of the same ID is in the queue.
"""

from enum import Enum

from mailsrv.errors import AlreadyThere
from mailsrv.spool.layout import Layout
from mailsrv.system import events
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.log import Log


class Holding(Enum):
    """What became of the wish to hold a message."""

    HELD = "it is held"
    LATER = "it is being delivered, and is held from the end of this attempt"
    GONE = "there is no such message"


def hold(disk: Disk, layout: Layout, identifier: str, log: Log, reason: str) -> Holding:
    """Set a message aside, durably."""
    queue = f"{layout.queue}/{identifier}"
    with disk.lock(layout.lock):
        try:
            _link_held(disk, layout, identifier)
            file = disk.open_locked(queue)
        except Missing:
            # Held already, not there at all, or finished at this moment (which takes the name in hold/ away too).
            return Holding.HELD if disk.exists(f"{layout.hold}/{identifier}") else Holding.GONE
        if file is not None:
            with file:
                # Not synced: should the name come back, the message is in both places and held.
                disk.unlink(queue, missing_ok=True)
    events.held(log, id=identifier, reason=reason)
    return Holding.LATER if file is None else Holding.HELD


def hold_claimed(disk: Disk, layout: Layout, identifier: str, log: Log, reason: str) -> None:
    """The same by who holds the message's claim."""
    with disk.lock(layout.lock):
        if not disk.exists(f"{layout.queue}/{identifier}"):
            return
        _link_held(disk, layout, identifier)
        disk.unlink(f"{layout.queue}/{identifier}", missing_ok=True)
    events.held(log, id=identifier, reason=reason)


def release(disk: Disk, layout: Layout, identifier: str, now: float) -> bool:
    """Put a held message back into the queue, durably, due at `now` (seconds since the epoch); whether there is one.

    Wake the runner afterwards.
    """
    queue, held = f"{layout.queue}/{identifier}", f"{layout.hold}/{identifier}"
    with disk.lock(layout.lock):
        try:
            disk.set_time(held, now)
            disk.link(held, queue)
        except Missing:
            return False
        except AlreadyThere:
            if not is_same_file(disk, queue, held):
                raise
        disk.sync_directory(layout.queue)
        disk.unlink(held)
        disk.sync_directory(layout.hold)
    return True


def is_same_file(disk: Disk, one: str, other: str) -> bool:
    """Whether two names exist and are one file's."""
    first, second = disk.stamp(one), disk.stamp(other)
    return first is not None and second is not None and first.inode == second.inode


def _link_held(disk: Disk, layout: Layout, identifier: str) -> None:
    """Make the name in hold/; raises Missing when the message is not in the queue."""
    queue, held = f"{layout.queue}/{identifier}", f"{layout.hold}/{identifier}"
    try:
        disk.link(queue, held)
    except AlreadyThere:
        if disk.exists(queue) and not is_same_file(disk, queue, held):
            raise
    disk.sync_directory(layout.hold)
