"""Whether the disk can take another message, asked before the message is let in; and what is said when it cannot.

The answer is a courtesy to the client, not a promise: a disk that fills up meanwhile still refuses the write, and the
message then gets 452 at its end. The disk is asked at most once a second.

Diagnostics: raises nothing; a file system that cannot be asked counts as one with room, since the write will tell.
"""

from typing import Protocol

from mailsrv.errors import StorageError, StorageFull
from mailsrv.mail.reply import Reply
from mailsrv.receive.state import State
from mailsrv.system import events
from mailsrv.system.clock import Clock

NO_ROOM = Reply(452, "4.3.1", "not enough room on the server's disk, try again later")
STORAGE_FAILED = Reply(451, "4.3.0", "the message could not be stored, try again later")

_FRESH = 1.0  # seconds


class _Disk(Protocol):
    def free(self, path: str, /) -> tuple[int, int]: ...


class FreeSpace:
    """Free octets and inodes of the file system of `path`, less the reserve that the configuration keeps."""

    def __init__(self, disk: _Disk, path: str, reserve: tuple[int, int], clock: Clock) -> None:
        """`reserve`: octets and inodes that must stay free (limits.free_bytes, limits.free_inodes)."""
        self._disk = disk
        self._path = path
        self._reserve = reserve
        self._clock = clock
        # One tuple, replaced whole, so that threads never see half of it: moment, octets, inodes.
        self._last: tuple[float, int, int] = (float("-inf"), 0, 0)

    def has(self, size: int) -> bool:
        """Whether `size` octets in one more file leave the reserve untouched."""
        now = self._clock.monotonic()
        last = self._last
        if now - last[0] > _FRESH:
            try:
                octets, inodes = self._disk.free(self._path)
            except StorageError:
                return True
            last = self._last = (now, octets - self._reserve[0], inodes - self._reserve[1])
        return last[1] >= size and last[2] >= 1


def storage_reply(state: State, error: StorageError) -> Reply:
    """Tell the operator what the disk said; gives what the client is told: to come back."""
    events.storage(state.house.log, path=state.house.config.data_dir, reason=str(error))
    return NO_ROOM if isinstance(error, StorageFull) else STORAGE_FAILED
