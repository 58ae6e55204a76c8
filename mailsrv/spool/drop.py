"""The drop directory: how a user who may not touch the queue hands a message to the runner.

The directory belongs to the service user and has mode 3777 (sticky, and its files get the service's group): everybody
can leave a file, nobody but the service can read or take away what another user left. A file appears whole: unnamed,
mode 0640, synced, linked. Its first line is what the program asked for, a JSON object; the rest is the message with
CRLF line ends. Its name is the ID under which the message will be queued, so that a message that was queued just before
a crash is not queued again; the file's owner is the sender.

Everything in there is somebody else's: it is opened without following links or waiting, checked to be an ordinary file
with one name, and read within bounds.

Diagnostics: `Dropped.open` raises GrammarError for what is no message, `decode_request` for a first line that it does
not know completely; StorageError when the disk refuses.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from mailsrv.errors import GrammarError, StorageError
from mailsrv.spool.queueid import ALPHABET, SESSION_LENGTH, time_of
from mailsrv.system.disk import Disk
from mailsrv.text.record import Records, read_json, write_json

VERSION = 1
MODE = 0o640
DIRECTORY_MODE = 0o3777

_MAX_LINE = 1 << 20  # octets: a thousand recipients with the longest addresses, and more
_BLOCK = 1 << 20
_AHEAD_SECONDS = 60.0  # by which a name's time may lie in the future: the clock was put back
_NAME = re.compile(f"[{ALPHABET}]{{{SESSION_LENGTH - 2}}}0[{ALPHABET}]0", re.ASCII)
# What a message's line ends must not be: a CR or LF alone is where two servers see two different messages.
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_RECORDS = Records()


@dataclass(frozen=True, slots=True)
class Request:
    """What a local program asks for. `sender`: "" for the user's own address, "<>" for the null reverse-path, else an
    address. Addresses may lack their domain. `notify`, `ret`, `envid` as in the envelope (RFC 3461)."""

    recipients: tuple[str, ...]
    sender: str = ""
    full_name: str = ""
    notify: tuple[str, ...] = ()
    ret: str = ""
    envid: str = ""


def encode_request(request: Request) -> bytes:
    """The first line, with its line feed."""
    return write_json({"version": VERSION} | _RECORDS.dump(request)) + b"\n"


def decode_request(line: bytes) -> Request:
    """What a first line says."""
    value = read_json(line)
    version = value.pop("version", None)
    if version != VERSION or isinstance(version, bool):
        raise GrammarError(f"version {version!r} is not known, only {VERSION}")
    return _RECORDS.load(Request, value)


def leave(disk: Disk, directory: str, identifier: str, request: Request, message: bytes) -> None:
    """Leave a message, durably. The process's umask must let the group read. Raises StorageError."""
    with disk.open_unnamed(directory, MODE) as file:
        file.write([encode_request(request), message])
        file.sync()
        file.link(directory, identifier)
    disk.sync_directory(directory)


def is_drop(name: str, now: float) -> bool:
    """Whether a name in the directory can be a message's; everything else there is left alone."""
    return _NAME.fullmatch(name) is not None and time_of(name) <= now + _AHEAD_SECONDS


def find_inode(path: str) -> int:
    """The inode number of a name, without following links; 0 when there is no such name."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def check_directory(path: str) -> None:
    """Raise StorageError unless the directory is ours and no user can take another one's files away."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise StorageError(f"{path}: {os.strerror(error.errno or 0)}; mailsrv.toml(5) says how to make it") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StorageError(f"{path}: must be a directory of the service user (number {os.geteuid()})")
    if stat.S_IMODE(status.st_mode) != DIRECTORY_MODE:
        raise StorageError(f"{path}: has mode {stat.S_IMODE(status.st_mode):04o}, must have {DIRECTORY_MODE:04o}")


class Dropped:
    """A message that was left, open for reading; close it (`with`). `uid` is whose it is, `size` its octets."""

    def __init__(self, fd: int, path: str, status: os.stat_result) -> None:
        self._fd = fd
        self._path = path
        self.uid = status.st_uid
        self.size = status.st_size

    @classmethod
    def open(cls, path: str, limit: int) -> "Dropped":
        """At most `limit` octets of a message."""
        try:
            # Without waiting: a FIFO of a user must not stop the runner.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise GrammarError(f"cannot be opened: {os.strerror(error.errno or 0)}") from None
        status = os.fstat(fd)
        fault = ""
        if not stat.S_ISREG(status.st_mode):
            fault = "is no ordinary file"
        elif status.st_nlink != 1:
            # Somebody else's file under a second name would be sent as if its owner had left it.
            fault = f"has {status.st_nlink} names"
        elif status.st_size > limit + _MAX_LINE:
            fault = f"has {status.st_size} octets, and limits.message_size is {limit}"
        if fault:
            os.close(fd)
            raise GrammarError(fault)
        return cls(fd, path, status)

    def request(self) -> tuple[Request, int]:
        """What is asked for, and the offset of the message."""
        octets = self._read(0, _MAX_LINE)
        end = octets.find(b"\n")
        if end < 0:
            raise GrammarError("the first line has no end")
        return decode_request(octets[:end]), end + 1

    def blocks(self, offset: int) -> Iterator[bytes]:
        """The message; GrammarError when its line ends are not CRLF."""
        left = self.size - offset
        held = b""
        while left > 0:
            octets = self._read(offset, min(_BLOCK, left))
            if not octets:
                raise GrammarError("was shortened while it was read")
            offset += len(octets)
            left -= len(octets)
            octets = held + octets
            # A CR at the end is looked at together with what follows it.
            held = b"\r" if left and octets.endswith(b"\r") else b""
            octets = octets.removesuffix(b"\r") if held else octets
            if _BARE.search(octets):
                raise GrammarError("has a CR, LF or NUL by itself")
            yield octets

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def __enter__(self) -> "Dropped":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, offset: int, count: int) -> bytes:
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise StorageError(f"{self._path}: {os.strerror(error.errno or 0)}") from error
