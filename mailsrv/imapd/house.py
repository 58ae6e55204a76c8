"""What an IMAP session is handed: the peer it talks to, and the house with its services, built once per process.

The services stand here as Protocols, each with only what IMAP uses of it, so that this floor knows neither sockets nor
processes; serve/imap_house.py puts the real ones in. Nothing is decided here.

Diagnostics: each Protocol says what its methods raise.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mailsrv.system.clock import Clock
from mailsrv.system.complaints import Complaints
from mailsrv.system.log import Log
from mailsrv.system.tls import TlsInfo
from mailsrv.config.schema import Config
from mailsrv.store.access import Access
from mailsrv.store.metadata import Metadata
from mailsrv.store.reader import Reader
from mailsrv.store.values import Usage


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end and where: `client` is an IP address, `kind` the listener's: imap or imaps. `without_tls`
    allows logins in the clear (a loopback listener that says so)."""

    session_id: str
    kind: str
    client: str
    client_port: int = 0
    listener: str = ""
    without_tls: bool = False
    tls: TlsInfo | None = None


class Account(Protocol):
    """An account as the directory knows it; `quota_bytes` and `quota_messages` hold for it by the configuration,
    0 for no quota; `sets_quotas`: it may set others."""

    @property
    def name(self) -> str: ...
    @property
    def scram(self) -> str: ...
    @property
    def quota_bytes(self) -> int: ...
    @property
    def quota_messages(self) -> int: ...
    @property
    def sets_quotas(self) -> bool: ...


class Directory(Protocol):
    """Accounts (directory.accounts.Directory)."""

    @property
    def scram_ready(self) -> bool: ...
    def account(self, login: str, /) -> Account | None: ...


class Passwords(Protocol):
    """directory.remembered.Remembered: the same work for an account, for one without hash and for None. Raises Busy."""

    def check(self, account: Any, password: str, /) -> bool: ...


class Readers(Protocol):
    """store.readers.Readers: one account's mailboxes each, cheap to ask for; and what accounts may store."""

    def reader(self, account: str, limits: Usage, /) -> Reader: ...
    def set_limits(self, account: str, limits: Usage | None, /) -> None: ...


class Shown(Protocol):
    """The session as `mailsrv who` shows it."""

    def account(self, name: str, /) -> None: ...
    def leave(self) -> None: ...


class Throttle(Protocol):
    """Counts over all processes (serve.counts.WorkerCounts), by IPv4 address or IPv6 /64."""

    def opened(self, client: str, /) -> int: ...
    def closed(self, client: str, /) -> None: ...
    def total(self) -> int: ...
    def sessions_of(self, account: str, /) -> int: ...
    def login_failed(self, client: str, /) -> int: ...
    def count(self, name: str, number: int = 1, /) -> None: ...
    def enter(self, id: str, kind: str, client: str, /) -> Shown: ...


class Ban(Protocol):
    """A ban; `network` is what it covers, an IPv4 address or an IPv6 /64."""

    @property
    def network(self) -> str: ...


class Bans(Protocol):
    """serve.bans.Bans: `banned` gives the ban of an address that is shut out; `add` raises StorageError."""

    def banned(self, client: str, /) -> Ban | None: ...
    def add(self, address: str, seconds: float, reason: str, /) -> Ban: ...


class Watch(Protocol):
    """Who wants to hear of an account's changes (serve.watch.Watch). `ring` is called by another thread, at each
    announcement and about every 30 s; it must not wait."""

    def enter(self, account: str, ring: Callable[[], None], /) -> None: ...
    def leave(self, account: str, ring: Callable[[], None], /) -> None: ...


@dataclass(frozen=True, slots=True)
class House:
    """The services of one process, shared by its sessions, each safe to use from many threads.

    `complaints` take what the disk refuses; `wait` lets a session's thread sleep; `secret` keys the fake salts of
    SCRAM; `tls` tells that TLS is configured.
    """

    config: Config
    directory: Directory
    passwords: Passwords
    readers: Readers
    access: Access
    metadata: Metadata
    watch: Watch
    throttle: Throttle
    bans: Bans
    log: Log
    complaints: Complaints
    clock: Clock
    wait: Callable[[float], None]
    secret: bytes
    tls: bool

    def allows(self, client: str) -> bool:
        """Whether an address is in bans.allow: it is never banned, slowed down or limited in connections."""
        allow = self.config.bans.allow
        return bool(allow) and _is_in(client, tuple(allow))


@lru_cache(maxsize=4096)
def _is_in(client: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
