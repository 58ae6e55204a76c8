"""Counts that all processes share: connections and failed logins by address, totals, and who is connected.

One anonymous memory file (memfd), mapped before the fork. Each process writes only its own slot, readers add up all
slots that are in use, nobody locks between processes; threads of one process share a lock. The supervisor clears the
slot of a worker that is gone, and keeps its totals and failed logins in slot 0, its own.

Counts by address are count-min sketches (Cormode and Muthukrishnan, 2005): two rows of counters, an address has one
in each, and the smaller sum over all slots is the answer: never too small, and too big only when strangers meet in
both rows. The key of the hash is secret, so that nobody can choose such strangers. IPv6 addresses count by their /64.
A failed login counts for its window, kept as four parts and the one being filled.

Diagnostics: raises nothing; a client that is no IP address ("local") is not counted.
"""

import mmap
import os
import threading
from functools import lru_cache
from hashlib import blake2b

from mailsrv.serve import sessions
from mailsrv.serve.bans import network_of
from mailsrv.serve.sessions import Session, SessionHandle, SessionTable
from mailsrv.system.clock import Clock

SLOTS = 320  # two generations of at most 64 smtpd and 64 imapd, and those that are about to be cleared

TOTALS = (
    "connections",
    "connections_refused",
    "messages",
    "message_octets",
    "recipients",
    "messages_queued",
    "replies_refused",
    "logins",
    "logins_failed",
    "bans",
)

ROWS = 2
WIDTH = 4096
PARTS = 5

# A slot's regions, in octets from its beginning; every one begins on a page, so that what is not used costs no
# memory.
_PAGE = 4096
_HEADER = 0  # u64: open connections, then the totals; the last: what the process serves
_STAMPS = 512  # u64: which part of time each failure table is about
_CONNECTIONS = _PAGE
_FAILURES = _CONNECTIONS + ROWS * WIDTH * 4
_SESSIONS = _FAILURES + PARTS * ROWS * WIDTH * 2
_SLOT_OCTETS = (_SESSIONS + sessions.OCTETS + _PAGE - 1) // _PAGE * _PAGE

# Before the slots lies a page with an octet for each: whether it is in use. Readers touch no other slot.
_SLOTS_BEGIN = _PAGE

_OPEN, _FIRST_TOTAL, _SERVICE = 0, 1, _STAMPS // 8 - 1
MAIL, IMAP = 0, 1  # what a process serves: each has its own bound of connections
_INDEX = {name: _FIRST_TOTAL + position for position, name in enumerate(TOTALS)}


class _Slot:
    """One process's part of the memory, as arrays."""

    def __init__(self, memory: memoryview, number: int) -> None:
        begin = _SLOTS_BEGIN + number * _SLOT_OCTETS
        mine = memory[begin : begin + _SLOT_OCTETS]
        self.header = mine[_HEADER:_STAMPS].cast("Q")
        self.stamps = mine[_STAMPS : _STAMPS + PARTS * 8].cast("Q")
        self.connections = mine[_CONNECTIONS:_FAILURES].cast("I")
        self.failures = mine[_FAILURES:_SESSIONS].cast("H")
        self.octets = mine
        self.sessions = SessionTable(mine[_SESSIONS : _SESSIONS + sessions.OCTETS])


class Counts:
    """The whole table, as every process sees it. Made once by the supervisor before its first fork."""

    def __init__(self, key: bytes, clock: Clock, window_seconds: float) -> None:
        descriptor = os.memfd_create("mailsrv-counts", os.MFD_CLOEXEC)
        size = _SLOTS_BEGIN + SLOTS * _SLOT_OCTETS
        os.ftruncate(descriptor, size)
        self._memory = mmap.mmap(descriptor, size)
        os.close(descriptor)  # the mapping keeps it
        view = memoryview(self._memory)
        self._in_use = view[:SLOTS]
        self._slots = [_Slot(view, number) for number in range(SLOTS)]
        self._clock = clock
        self._key = key
        self.window_seconds = window_seconds
        self._in_use[0] = 1
        self._cells = lru_cache(maxsize=8192)(self._find_cells)

    def claim(self) -> int | None:
        """A free slot for a new process; None when all are taken."""
        for number in range(1, SLOTS):
            if not self._in_use[number]:
                self._in_use[number] = 1
                return number
        return None

    def release(self, number: int) -> None:
        """A process is gone: its connections and sessions end, its totals and failed logins move to slot 0."""
        gone, kept = self._slots[number], self._slots[0]
        self._in_use[number] = 0
        for index in _INDEX.values():
            kept.header[index] += gone.header[index]
        self._keep_failures(gone, kept)
        used = _SESSIONS + gone.sessions.used_octets()
        gone.octets[:used] = bytes(used)

    def _keep_failures(self, gone: _Slot, kept: _Slot) -> None:
        for position in range(PARTS):
            if not gone.stamps[position]:
                continue
            table = _failure_table(gone, position)
            mine = _open_part(kept, gone.stamps[position])
            for cell, count in enumerate(table):
                if count and mine is not None:
                    mine[cell] = min(mine[cell] + count, 0xFFFF)

    def writer(self, number: int, service: int = MAIL) -> "WorkerCounts":
        """The counts as the process of slot `number` uses them, which serves MAIL or IMAP."""
        self._slots[number].header[_SERVICE] = service
        return WorkerCounts(self, self._slots[number], service)

    def forget(self, client: str) -> None:
        """Forget the failed logins that slot 0 keeps of an address; every worker forgets its own."""
        _forget(self._slots[0], self._cells(client))

    def totals(self) -> dict[str, int]:
        """Every total since the server started."""
        return {name: sum(slot.header[index] for slot in self._used()) for name, index in _INDEX.items()}

    def total(self, service: int | None = None) -> int:
        """Open connections in all, or those of one service."""
        return sum(
            slot.header[_OPEN] for slot in self._used() if service is None or slot.header[_SERVICE] == service
        )

    def sessions(self) -> list[Session]:
        """Everybody connected now, the oldest first."""
        found = [session for slot in self._used() for session in slot.sessions.read()]
        return sorted(found, key=lambda session: session.since)

    def sessions_of(self, account: str) -> int:
        """How many sessions an account has now."""
        return sum(slot.sessions.count(account) for slot in self._used())

    def connections(self, client: str) -> int:
        """Open connections of an address."""
        cells = self._cells(client)
        if not cells:
            return 0
        used = self._used()
        return min(sum([slot.connections[cell] for slot in used]) for cell in cells)

    def failures(self, client: str) -> int:
        """Failed logins of an address within the window."""
        cells = self._cells(client)
        if not cells:
            return 0
        now = self.part()
        sums = [0] * len(cells)
        for slot in self._used():
            for position, stamp in enumerate(slot.stamps):
                if now - PARTS < stamp <= now:
                    table = _failure_table(slot, position)
                    for row, cell in enumerate(cells):
                        sums[row] += table[cell]
        return min(sums)

    def part(self) -> int:
        """The number of the quarter of a window that is now; never 0, which means an empty table."""
        return int(self._clock.monotonic() / (self.window_seconds / (PARTS - 1))) + 1

    def cells(self, client: str) -> tuple[int, ...]:
        """Where an address counts: one cell in each row; () for what is no IP address."""
        return self._cells(client)

    def _find_cells(self, client: str) -> tuple[int, ...]:
        network = network_of(client)
        if not network:
            return ()
        digest = blake2b(network.encode(), digest_size=8, key=self._key).digest()
        return tuple(row * WIDTH + int.from_bytes(digest[4 * row : 4 * row + 4], "big") % WIDTH for row in range(ROWS))

    def _used(self) -> list[_Slot]:
        # The lowest free slot is always taken first, so what is in use stands at the beginning.
        flags = bytes(self._in_use).rstrip(b"\0")
        return [slot for slot, used in zip(self._slots, flags, strict=False) if used]


class WorkerCounts:
    """One process's hand in the table: it alone writes its slot."""

    def __init__(self, counts: Counts, slot: _Slot, service: int) -> None:
        self._counts = counts
        self._slot = slot
        self._service = service
        self._lock = threading.Lock()
        self.failures = counts.failures
        self.sessions_of = counts.sessions_of

    def total(self) -> int:
        """Open connections of all processes that serve what this one does."""
        return self._counts.total(self._service)

    def opened(self, client: str) -> int:
        """A connection of `client` was accepted: count it, and give how many it has now, this one included."""
        with self._lock:
            self._slot.header[_OPEN] += 1
            self._slot.header[_INDEX["connections"]] += 1
            for cell in self._counts.cells(client):
                self._slot.connections[cell] += 1
        return self._counts.connections(client)

    def closed(self, client: str) -> None:
        """A connection that `opened` counted is closed."""
        with self._lock:
            self._slot.header[_OPEN] -= 1
            for cell in self._counts.cells(client):
                self._slot.connections[cell] -= 1

    def login_failed(self, client: str) -> int:
        """Count a failed login; gives how many the address has within the window, this one included."""
        with self._lock:
            self._slot.header[_INDEX["logins_failed"]] += 1
            table = _open_part(self._slot, self._counts.part())
            for cell in self._counts.cells(client):
                if table is not None and table[cell] < 0xFFFF:
                    table[cell] += 1
        return self._counts.failures(client)

    def forget(self, client: str) -> None:
        """Forget this process's failed logins of an address (its ban was taken back)."""
        with self._lock:
            _forget(self._slot, self._counts.cells(client))

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of TOTALS."""
        with self._lock:
            self._slot.header[_INDEX[name]] += number

    def enter(self, id: str, kind: str, client: str) -> SessionHandle:
        """Show a session in `mailsrv who` until its `leave`."""
        return self._slot.sessions.enter(id, kind, client, self._counts._clock.now())


def _failure_table(slot: _Slot, position: int) -> memoryview:
    return slot.failures[position * ROWS * WIDTH : (position + 1) * ROWS * WIDTH]


def _forget(slot: _Slot, cells: tuple[int, ...]) -> None:
    for position in range(PARTS):
        table = _failure_table(slot, position)
        for cell in cells:
            if table[cell]:
                table[cell] = 0


def _open_part(slot: _Slot, stamp: int) -> memoryview | None:
    """The failure table for one part of time, emptied when it was about an older one; None when it is about a newer
    one.
    """
    position = stamp % PARTS
    table = _failure_table(slot, position)
    if slot.stamps[position] > stamp:
        return None
    if slot.stamps[position] < stamp:
        slot.stamps[position] = 0
        table.cast("B")[:] = bytes(ROWS * WIDTH * 2)
        slot.stamps[position] = stamp
    return table
