"""Who has written before: what greylisting waits for, and which senders are known, in senders.sqlite3 of data_dir.

Shared by all processes and kept over restarts. Three facts are kept, described in mailsrv-store(5):

- when a triplet (client's network, reverse-path, recipient) was first seen, until it comes back or its time is over;
- which pairs (client's network, domain of the reverse-path) came back in time;
- which pairs passed DMARC.

A pair counts keep_days from the last time that it came back or passed. The number of rows is bounded, so that a flood
cannot fill the disk: whatever was written longest ago goes first. Commits are not synced (synchronous NORMAL): a crash
of the system may take the last ones back, whole, and then somebody has to come once more, which is what greylisting
asks of everybody; a crash of a process takes nothing.

A damaged file is set aside as senders.sqlite3.damaged, with an event, and the next question begins a new one.

Diagnostics: every question raises StorageError; callers let the message pass then. It is logged, once a minute.
"""

import hashlib
import ipaddress
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from mailsrv.errors import StorageError
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log
from mailsrv.config.schema import Config, GreylistConfig
from mailsrv.store.database import Damaged, Database, Schema

FILE = "senders.sqlite3"
LOCK = "run/senders"

# Rows of each table at most: 80 octets for a triplet, and up to 600 for a pair with a long domain. Pairs are in two
# tables, so that whoever comes back under many names does not push out who passed DMARC.
TRIPLETS = 1_000_000
PAIRS = 200_000

_CAME_BACK = "came_back"
_DMARC = "passed_dmarc"

# Ids ascend with time, so that the lowest is the oldest: a row that is refreshed gets a new one.
_SCHEMA = Schema(
    version=1,
    statements=(
        "CREATE TABLE triplets (id INTEGER PRIMARY KEY, triplet BLOB NOT NULL UNIQUE, first INTEGER NOT NULL)",
        *(
            f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, network TEXT NOT NULL, domain TEXT NOT NULL,"
            " last INTEGER NOT NULL, UNIQUE (network, domain))"
            for table in (_CAME_BACK, _DMARC)
        ),
    ),
    durable=False,
    wait_seconds=0.5,
)
_SEEN = (
    f"SELECT (SELECT last FROM {_CAME_BACK} WHERE network = ? AND domain = ?),"
    " (SELECT first FROM triplets WHERE triplet = ?)"
)

_DAY = 86400
_REFRESH_SECONDS = _DAY  # a pair is written again at most this often: a known sender costs one look
_BATCH = 1000  # rows that one transaction of housekeeping takes
_BATCHES = 10  # of each table and round
_QUIET_SECONDS = 60.0  # between two lines in the log, and between two files set aside


@lru_cache(maxsize=8192)
def network_of(client: str) -> str:
    """The network of a client: IPv4 /24 or IPv6 /64, as text; "" for what is no IP address."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address), 64), strict=False))
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((int(address), 24), strict=False))


class Senders:
    """The file as one process sees it. Threads may share it; nothing is opened before the first question.

    `read_only`: a question leaves nothing in the file, and a damaged one where it is.
    """

    @classmethod
    def from_config(cls, config: Config, disk: Disk, clock: Clock, log: Log) -> "Senders | None":
        """What a configuration asks for: nothing while there is neither greylisting nor a list to be exempt from."""
        if not config.greylist.enabled and not config.dnsbl.zones:
            return None
        return cls(disk, config.data_dir, config.greylist, clock, log)

    def __init__(
        self, disk: Disk, data_dir: str, settings: GreylistConfig, clock: Clock, log: Log, read_only: bool = False
    ) -> None:
        self._read_only = read_only
        self._database = Database(disk, f"{data_dir}/{FILE}", _SCHEMA, f"{data_dir}/{LOCK}")
        self._settings = settings
        self._keep_seconds = settings.keep_days * _DAY
        self._clock = clock
        self._log = log
        self._quiet_until = -math.inf  # monotonic
        self._set_aside_at = -math.inf

    def seen(self, network: str, sender: str, recipient: str) -> float:
        """Seconds since a triplet was first seen within greylist.window_seconds: 0.0 when it is new, infinity when its
        pair (network, domain of `sender`) has come back before. `sender` is "" for the null reverse-path.

        A triplet that is as old as greylist.delay_seconds has come back by this question, and its pair with it.
        """
        now = int(self._clock.now())
        domain = sender.rpartition("@")[2]
        triplet = hashlib.sha256(f"{network}\n{sender}\n{recipient}".encode()).digest()[:16]
        with self._troubles_told():
            last, first = self._database.read(_SEEN, (network, domain, triplet))[0]
            if last is not None and self._counts(last, now):
                if now - last >= _REFRESH_SECONDS:
                    self._write_pair(_CAME_BACK, (network, domain), now)
                return math.inf
            age = -1 if first is None else now - first
            # A time in the future is of a clock that was wrong.
            if not 0 <= age <= self._settings.window_seconds:
                self._begin(triplet, now)
                return 0.0
            if age >= self._settings.delay_seconds:
                self._write_pair(_CAME_BACK, (network, domain), now, triplet)
            return float(age)

    def is_known(self, network: str, domain: str) -> bool:
        """Whether a pair passed DMARC in the last greylist.keep_days; False without a domain."""
        if not domain:
            return False
        with self._troubles_told():
            return self._counts(self._last(_DMARC, network, domain), int(self._clock.now()))

    def passed(self, network: str, domain: str) -> None:
        """A message of this pair has passed DMARC just now; `domain` is that of the reverse-path, "" counts for
        nothing.
        """
        if not domain or not network:
            return
        now = int(self._clock.now())
        with self._troubles_told():
            if not 0 <= now - self._last(_DMARC, network, domain) < _REFRESH_SECONDS:
                self._write_pair(_DMARC, (network, domain), now)

    def expire(self) -> bool:
        """Remove what counts no more, in small transactions; whether there is more to remove than one call does."""
        now = int(self._clock.now())
        limits = (
            ("triplets", "first", now - self._settings.window_seconds),
            (_CAME_BACK, "last", now - self._keep_seconds),
            (_DMARC, "last", now - self._keep_seconds),
        )
        more = False
        with self._troubles_told():
            for table, column, before in limits:
                # The oldest have the lowest ids, so that no index by time is needed.
                statement = (
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {_BATCH})"
                    f" AND {column} < ?"
                )
                removed = _BATCH
                for _ in range(_BATCHES):
                    with self._database.write() as connection:
                        removed = connection.execute(statement, (before,)).rowcount
                    if removed < _BATCH:
                        break
                more = more or removed == _BATCH
        return more

    def close(self) -> None:
        """Close what is idle."""
        self._database.close()

    def _last(self, table: str, network: str, domain: str) -> int:
        """When a pair was last written; 0: never."""
        statement = f"SELECT last FROM {table} WHERE network = ? AND domain = ?"
        rows = self._database.read(statement, (network, domain))
        return int(rows[0][0]) if rows else 0

    def _counts(self, last: int, now: int) -> bool:
        # A clock that was set back a little takes nothing away; one that was years ahead gives nothing for long.
        return -_DAY <= now - last <= self._keep_seconds

    def _begin(self, triplet: bytes, now: int) -> None:
        if self._read_only:
            return
        with self._database.write() as connection:
            # What another process wrote since we looked stays, unless it does not count any more.
            row = connection.execute(
                "INSERT OR REPLACE INTO triplets (triplet, first) SELECT ?, ? WHERE NOT EXISTS"
                " (SELECT 1 FROM triplets WHERE triplet = ? AND first BETWEEN ? AND ?)",
                (triplet, now, triplet, now - self._settings.window_seconds, now),
            ).lastrowid
            connection.execute("DELETE FROM triplets WHERE id <= ?", ((row or 0) - TRIPLETS,))

    def _write_pair(self, table: str, pair: tuple[str, str], now: int, triplet: bytes = b"") -> None:
        if self._read_only:
            return
        with self._database.write() as connection:
            row = connection.execute(
                f"INSERT OR REPLACE INTO {table} (network, domain, last) VALUES (?, ?, ?)", (*pair, now)
            ).lastrowid
            connection.execute(f"DELETE FROM {table} WHERE id <= ?", ((row or 0) - PAIRS,))
            if triplet:
                connection.execute("DELETE FROM triplets WHERE triplet = ?", (triplet,))

    @contextmanager
    def _troubles_told(self) -> Iterator[None]:
        """Set a damaged file aside and tell the operator what went wrong, neither more than once a minute."""
        try:
            yield
        except StorageError as error:
            now = self._clock.monotonic()
            text = str(error)
            path = self._database.path
            if isinstance(error, Damaged) and not self._read_only and now >= self._set_aside_at:
                self._set_aside_at = now + _QUIET_SECONDS
                text += self._set_aside(error)
                self._quiet_until = -math.inf
            if now >= self._quiet_until:
                self._quiet_until = now + _QUIET_SECONDS
                events.storage(self._log, path=path, reason=text)
            raise

    def _set_aside(self, damaged: Damaged) -> str:
        """What became of a damaged file, in words that follow what is wrong with it."""
        try:
            moved = self._database.set_aside(damaged, f"{self._database.path}.damaged")
        except StorageError as error:
            return f"; it cannot be set aside: {error}"
        return f"; set aside as {FILE}.damaged, a new one is begun" if moved else "; it has been set aside already"
