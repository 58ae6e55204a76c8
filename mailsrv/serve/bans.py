"""Addresses that are shut out for a time: the file `bans` of data_dir, one line `network expiry reason` for each.

Any process adds and removes under one lock, by replacing the whole file durably; all others notice its new
modification time at the next connection. Expired lines are left out at the next change. People may edit the file. An
IPv6 address stands for its /64.

Diagnostics: `add` and `remove` raise GrammarError for what is no address or network, StorageError when the file
cannot be written. Lines that cannot be understood ban nobody.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from mailsrv.errors import GrammarError, StorageError
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing, Stamp
from mailsrv.system.lock import Lock

IPV6_PREFIX = 64
FILE_OCTETS = 16_000_000  # more than 200 000 bans
# Workers read what the supervisor wrote as root; the directory above keeps strangers out.
FILE_MODE = 0o644
LONGEST_SECONDS = 10 * 366 * 86400  # dates beyond the year 9999 cannot be written
_REASON_CHARACTERS = 200

_EXACT = {4: 32, 6: IPV6_PREFIX}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban: `network` as text (an IPv4 address without its /32), `expires` in seconds since the epoch."""

    network: str
    expires: float
    reason: str


@lru_cache(maxsize=8192)
def network_of(client: str) -> str:
    """What counts as one client: the IPv4 address, or the IPv6 /64; "" for what is no IP address ("local")."""
    try:
        return parse_network(client)
    except GrammarError:
        return ""


def parse_network(text: str) -> str:
    """An address or network as it stands in the file. Raises GrammarError."""
    try:
        network = ipaddress.ip_network(text.strip().partition("%")[0], strict=False)
    except ValueError as error:
        raise GrammarError(f"{text!r} is no IP address or network") from error
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped and network.prefixlen >= 96:
            network = ipaddress.ip_network((mapped, network.prefixlen - 96), strict=False)
        elif network.prefixlen > IPV6_PREFIX:
            network = network.supernet(new_prefix=IPV6_PREFIX)
    return str(network.network_address) if network.prefixlen == 32 and network.version == 4 else str(network)


class Bans:
    """The file, read again when it has changed. Threads may share it."""

    def __init__(self, path: str, lock_path: str, disk: Disk, clock: Clock) -> None:
        self._path = path
        self._lock_path = lock_path
        self._disk = disk
        self._clock = clock
        self._seen: Stamp | None = None
        # Replaced together by one assignment, so that threads always see a matching pair.
        self._bans: tuple[dict[str, Ban], list[tuple[Network, Ban]]] = ({}, [])

    def banned(self, client: str) -> Ban | None:
        """The ban that a client is under; costs one stat."""
        self._refresh()
        exact, wide = self._bans
        if not exact:
            return None
        network = network_of(client)
        if not network:
            return None
        ban = exact.get(network)
        if ban is None and wide:
            address = ipaddress.ip_network(network).network_address
            ban = next((ban for outer, ban in wide if address.version == outer.version and address in outer), None)
        return ban if ban and ban.expires > self._clock.now() else None

    def current(self) -> list[Ban]:
        """Every ban that has not expired, by network."""
        self._refresh()
        now = self._clock.now()
        return sorted((ban for ban in self._bans[0].values() if ban.expires > now), key=lambda ban: ban.network)

    def add(self, address: str, seconds: float, reason: str) -> Ban:
        """Ban an address or network, or lengthen its ban; at most for LONGEST_SECONDS. Durable when it returns."""
        expires = int(self._clock.now() + min(seconds, LONGEST_SECONDS))
        words = "".join(character if character.isprintable() else " " for character in reason).split()
        ban = Ban(parse_network(address), expires, " ".join(words)[:_REASON_CHARACTERS])
        with Lock(self._lock_path):
            self._write([*(other for other in self._read() if other.network != ban.network), ban])
        return ban

    def remove(self, address: str) -> bool:
        """Take a ban back; False when there was none."""
        network = parse_network(address)
        with Lock(self._lock_path):
            bans = self._read()
            kept = [ban for ban in bans if ban.network != network]
            if len(kept) < len(bans):
                self._write(kept)
        return len(kept) < len(bans)

    def _read(self) -> list[Ban]:
        try:
            text = self._disk.read(self._path, FILE_OCTETS).decode("utf-8", "replace")
        except Missing:
            return []
        return [ban for line in text.splitlines() if (ban := _parse_line(line))]

    def _write(self, bans: list[Ban]) -> None:
        now = self._clock.now()
        lines = [_format_line(ban) for ban in sorted(bans, key=lambda ban: ban.network) if ban.expires > now]
        self._disk.replace(self._path, "".join(lines).encode(), FILE_MODE)

    def _refresh(self) -> None:
        try:
            seen = self._disk.stamp(self._path)
            if seen == self._seen:
                return
            bans = self._read()
        except StorageError:
            return  # the bans known so far stay; the next connection tries again
        wide = [(ipaddress.ip_network(ban.network), ban) for ban in bans]
        self._bans = (
            {ban.network: ban for ban in bans},
            [(network, ban) for network, ban in wide if network.prefixlen < _EXACT[network.version]],
        )
        self._seen = seen


def _parse_line(line: str) -> Ban | None:
    words = line.split(maxsplit=2)
    if len(words) < 2 or line.startswith("#"):
        return None
    try:
        return Ban(parse_network(words[0]), datetime.fromisoformat(words[1]).timestamp(), words[2] if words[2:] else "")
    except (GrammarError, ValueError):
        return None


def _format_line(ban: Ban) -> str:
    expires = datetime.fromtimestamp(ban.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{ban.network} {expires} {ban.reason}".rstrip() + "\n"
