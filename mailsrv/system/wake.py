"""The wake door: datagrams between our own processes that say "look again", over sockets in data_dir/run.

A wake never blocks, never fails and may be lost: whoever waits also looks by itself from time to time. Nothing that
comes in is trusted for more than a hint where to look.

Diagnostics: `Doorbell` raises StorageError when its socket cannot be made; `wake` raises nothing.
"""

import errno
import os
import select
import socket
from enum import Enum

from mailsrv.errors import StorageError

_MAX_PATH = 107  # octets of a socket's path on Linux, less the final NUL
_MAX_OCTETS = 4096


class Woken(Enum):
    """What became of a wake."""

    SENT = "somebody will look"
    NOBODY = "nobody listens there"
    FULL = "so many wakes wait there that one more says nothing new"


class Waker:
    """Sends wakes; one object serves all threads of a process."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def wake(self, path: str, octets: bytes = b"") -> Woken:
        """Wake who listens at `path`; `octets` (up to 4096) is the hint."""
        try:
            with _Reachable(path) as name:
                self._socket.sendto(octets, name)
        except OSError as error:
            full = error.errno in (errno.EAGAIN, errno.ENOBUFS)
            return Woken.FULL if full else Woken.NOBODY
        return Woken.SENT

    def close(self) -> None:
        self._socket.close()


class Doorbell:
    """A place to be woken at: a socket at `path` (what a dead process left there is replaced). Close it, or `with`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            if os.path.lexists(path):
                os.unlink(path)
            with _Reachable(path) as name:
                self._socket.bind(name)
            os.chmod(path, 0o600)
        except OSError as error:
            self._socket.close()
            raise StorageError(f"{path}: no socket can be made: {os.strerror(error.errno or 0)}") from error

    def fileno(self) -> int:
        """For select and poll."""
        return self._socket.fileno()

    def wait(self, seconds: float | None) -> bool:
        """Wait until there is a wake, or until the time is over; whether there is one."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def take(self) -> list[bytes]:
        """All wakes that have come, without waiting; the hints in order."""
        taken = []
        while True:
            try:
                taken.append(self._socket.recv(_MAX_OCTETS))
            except BlockingIOError:
                return taken

    def close(self) -> None:
        """Stop listening and take the name away."""
        self._socket.close()
        try:
            os.unlink(self._path)
        except OSError:
            return  # somebody else took it away, or the directory

    def __enter__(self) -> "Doorbell":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Reachable:
    """A name for a socket that fits into its address: the path, or one through an open directory if it is too long."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _MAX_PATH:
            return self._path
        directory, name = os.path.split(self._path)
        self._fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
