"""Room that is held back on a file system, for those who make room: a file without contents that is given up when
nothing else can be written.

Who removes something may have to write first (a log, a commit), which a full disk refuses. The file is cut to nothing
then, and made again when there is plenty. Several processes may do both at once. Nothing is ever read from it.

Diagnostics: raises nothing; where the system refuses, there is no reserve, or it is given up.
"""

import os
import stat
from contextlib import suppress

OCTETS = 8 << 20
_PLENTY = 4  # times its size must be free before it is made, so that it takes nothing from anybody


class Reserve:
    """`path` is on the file system that is meant; its directory exists when it is made."""

    def __init__(self, path: str, octets: int = OCTETS) -> None:
        self._path = path
        self._octets = octets

    def keep(self) -> bool:
        """Make it, if it is not there whole and there is plenty of room; True when it is there."""
        if self._size() >= self._octets:
            return True
        try:
            room = os.statvfs(os.path.dirname(self._path))
            if room.f_bavail * room.f_frsize < _PLENTY * self._octets:
                return False
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, self._octets)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, 0)
            return False
        finally:
            os.close(fd)
        return True

    def give_up(self) -> bool:
        """Give the room away; False when there was none left."""
        if self._size() <= 0:
            return False
        try:
            os.truncate(self._path, 0)
        except OSError:
            return False
        return True

    def is_given_up(self) -> bool:
        """Whether it was given up and there is no plenty of room yet. What is not needed to make room should not be
        written then."""
        return self._size() == 0 and not self.keep()

    def _size(self) -> int:
        """Octets; -1 when it was never made."""
        try:
            found = os.lstat(self._path)
        except OSError:
            return -1
        return found.st_size if stat.S_ISREG(found.st_mode) else -1
