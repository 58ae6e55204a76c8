"""Who is connected: a fixed row of shared memory for each session of a process, from greeting to end.

The process writes its rows, the supervisor reads them for `mailsrv who`. A row is marked free while it is being
written, and a reader that finds it changed reads it again, so that nobody needs a lock. Where the rows are all taken,
a session is served all the same and not shown.

Diagnostics: raises nothing; texts that are too long for their field are cut.
"""

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

ROWS = 4096

_ROW = struct.Struct("<Bx14s16s48s64sd")  # taken, id, kind, client, account, since
_ROW_OCTETS = 160
_ACCOUNT = struct.Struct("<64s")
_ACCOUNT_OFFSET = 80
_BOUND_OCTETS = 8  # how many rows were ever used: the reader looks no further
OCTETS = _BOUND_OCTETS + ROWS * _ROW_OCTETS
_READS = 3


@dataclass(frozen=True, slots=True)
class Session:
    """One session. `since` is seconds since the epoch; `account` is empty before a login."""

    id: str
    kind: str
    client: str
    account: str
    since: float


class SessionTable:
    """The rows of one process."""

    def __init__(self, octets: memoryview) -> None:
        self._octets = octets
        self._bound = octets[:_BOUND_OCTETS].cast("Q")
        self._free: list[int] = []
        self._lock = threading.Lock()

    def enter(self, id: str, kind: str, client: str, since: float) -> "SessionHandle":
        """Take a row and show a session in it."""
        with self._lock:
            if self._free:
                row = self._free.pop()
            elif self._bound[0] < ROWS:
                row = self._bound[0]
                self._bound[0] = row + 1
            else:
                return SessionHandle(self, None)
        offset = _BOUND_OCTETS + row * _ROW_OCTETS
        fields = (_fit(id, 14), _fit(kind, 16), _fit(client, 48), b"", since)
        _ROW.pack_into(self._octets, offset, 0, *fields)
        self._octets[offset] = 1
        return SessionHandle(self, row)

    def set_account(self, row: int, account: str) -> None:
        """Show who logged in."""
        offset = _BOUND_OCTETS + row * _ROW_OCTETS
        _ACCOUNT.pack_into(self._octets, offset + _ACCOUNT_OFFSET, _fit(account, 64))

    def leave(self, row: int) -> None:
        """Show the session no more."""
        self._octets[_BOUND_OCTETS + row * _ROW_OCTETS] = 0
        with self._lock:
            self._free.append(row)

    def used_octets(self) -> int:
        """How much of the memory was ever written."""
        return _BOUND_OCTETS + self._bound[0] * _ROW_OCTETS

    def count(self, account: str) -> int:
        """How many sessions of an account are shown. Found by one search through the memory: it is asked at logins."""
        name = _fit(account, 64).ljust(64, b"\0")
        octets = bytes(self._octets[: self.used_octets()])
        found, at = 0, octets.find(name)
        while at >= 0:
            row, offset = divmod(at - _BOUND_OCTETS, _ROW_OCTETS)
            found += offset == _ACCOUNT_OFFSET and octets[_BOUND_OCTETS + row * _ROW_OCTETS]
            at = octets.find(name, at + 1)
        return found

    def read(self) -> Iterator[Session]:
        """Every session that is shown."""
        for row in range(min(self._bound[0], ROWS)):
            offset = _BOUND_OCTETS + row * _ROW_OCTETS
            octets = bytes(self._octets[offset : offset + _ROW.size])
            for _ in range(_READS):
                again = bytes(self._octets[offset : offset + _ROW.size])
                if again == octets:
                    break
                octets = again
            taken, id, kind, client, account, since = _ROW.unpack(octets)
            if taken:
                yield Session(_text(id), _text(kind), _text(client), _text(account), since)


class SessionHandle:
    """What a session holds to be shown by `mailsrv who`."""

    __slots__ = ("_row", "_table")

    def __init__(self, table: SessionTable, row: int | None) -> None:
        self._table = table
        self._row = row

    def account(self, name: str) -> None:
        """Show who logged in."""
        if self._row is not None:
            self._table.set_account(self._row, name)

    def leave(self) -> None:
        """The session is over; a second call does nothing."""
        row, self._row = self._row, None
        if row is not None:
            self._table.leave(row)


def _fit(text: str, room: int) -> bytes:
    return text.encode("utf-8", "replace")[:room]


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode("utf-8", "replace")
