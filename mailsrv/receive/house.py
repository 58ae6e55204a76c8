"""What a session of reception is handed: the peer it talks to, and the house with its services, built once per process.

The services stand here as Protocols, each with only what reception uses of it, so that this floor knows neither sockets
nor processes; serve/smtpd.py puts the real ones in. Nothing is decided here.

Diagnostics: each Protocol says what its methods raise.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mailsrv.authn.dmarc_row import DmarcRow
from mailsrv.authn.findings import Ask
from mailsrv.config.schema import Config
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.receive.filter import ContentFilter
from mailsrv.smtp.events import Kind
from mailsrv.system.clock import Clock
from mailsrv.system.log import Log
from mailsrv.system.scratch import Octets, Scratch
from mailsrv.system.tls import TlsInfo


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end and where: `client` is an IP address, or "local" for a unix socket. `without_tls` allows
    logins in the clear (a loopback listener that says so); `tls` holds the facts when TLS was on before the
    greeting."""

    session_id: str
    kind: Kind
    client: str
    client_port: int = 0
    listener: str = ""
    without_tls: bool = False
    tls: TlsInfo | None = None


class Account(Protocol):
    """An account as the directory knows it."""

    @property
    def name(self) -> str: ...
    @property
    def addresses(self) -> Sequence[Address]: ...
    @property
    def scram(self) -> str: ...
    @property
    def quota_bytes(self) -> int: ...
    @property
    def quota_messages(self) -> int: ...


class Expansion(Protocol):
    """What an address stands for (directory.accounts): `local` tells that its domain is ours, `rule` which rule
    answered."""

    @property
    def found(self) -> bool: ...
    @property
    def local(self) -> bool: ...
    @property
    def accounts(self) -> Sequence[str]: ...
    @property
    def remote(self) -> Sequence[Address]: ...
    @property
    def rule(self) -> str: ...


class Directory(Protocol):
    """Accounts, addresses and aliases (directory.accounts.Directory)."""

    @property
    def scram_ready(self) -> bool: ...
    def account(self, login: str, /) -> Account | None: ...
    def expand(self, address: Address, /) -> Expansion: ...
    def owns(self, account: str, address: Address, /) -> bool: ...


class Passwords(Protocol):
    """directory.passwords.Passwords: the same work for an account, for one without hash and for None. Raises Busy."""

    def check(self, account: Any, password: str, /) -> bool: ...


class Committed(Protocol):
    """What became of a message that was kept (deliver.local): accounts, what waits in the queue, accounts that
    failed."""

    @property
    def delivered(self) -> Sequence[str]: ...
    @property
    def queued(self) -> Sequence[Recipient]: ...


class Delivery(Protocol):
    """deliver.local.LocalDelivery. `commit` raises StorageError (StorageFull) when nothing was kept."""

    def commit(self, envelope: Envelope, octets: Octets, return_path: bytes, /) -> Committed: ...
    def commit_each(self, envelope: Envelope, octets: Octets, return_path: bytes, /) -> dict[str, Any]: ...


class Quota(Protocol):
    """store.quota.Quota: whether an account with this limit (0: none that the configuration knows) has room for so many
    octets more."""

    def room(self, account: str, limit: int, size: int, /) -> bool: ...


class Shown(Protocol):
    """The session as `mailsrv who` shows it."""

    def account(self, name: str, /) -> None: ...
    def leave(self) -> None: ...


class Throttle(Protocol):
    """Counts over all processes (serve.counts.WorkerCounts), by IPv4 address or IPv6 /64."""

    def opened(self, client: str, /) -> int: ...
    def closed(self, client: str, /) -> None: ...
    def total(self) -> int: ...
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


class Space(Protocol):
    """Whether the disk has room for a message of so many octets (receive.space.FreeSpace)."""

    def has(self, size: int, /) -> bool: ...


class Senders(Protocol):
    """Who has written before (store.senders.Senders), shared by all processes; networks are IPv4 /24 or IPv6 /64."""

    def seen(self, network: str, sender: str, recipient: str, /) -> float: ...
    def is_known(self, network: str, domain: str, /) -> bool: ...
    def passed(self, network: str, domain: str, /) -> None: ...


class Collector(Protocol):
    """Feedback (store.feedback.Collector): rows for DMARC's reports, and reports that others send. Never raises."""

    def collect(self, row: DmarcRow | None, /) -> None: ...
    def hand_over(self, identifier: str, octets: Octets, /) -> None: ...


class Decisions(Protocol):
    """Where decision records go; never raises."""

    def write(self, record: dict[str, Any], /) -> None: ...


@dataclass(frozen=True, slots=True)
class House:
    """The services of one process, shared by its sessions, each safe to use from many threads.

    `message_id` makes the id of the n-th message of a session (spool.queueid); `scratch` a place for one message;
    `secret` keys the fake salts of SCRAM; `wait` sleeps; `tls` tells that TLS is configured. `lookups` gives the way to
    the DNS for one message, with the message's budget; without it no sender is checked.
    """

    config: Config
    directory: Directory
    passwords: Passwords
    delivery: Delivery
    quota: Quota
    space: Space
    throttle: Throttle
    bans: Bans
    log: Log
    clock: Clock
    message_id: Callable[[str, int], str]
    scratch: Callable[[], Scratch]
    wait: Callable[[float], None]
    secret: bytes
    tls: bool
    decisions: Decisions | None = None
    lookups: Callable[[], Ask] | None = None
    senders: Senders | None = None
    filter: ContentFilter | None = None
    collector: Collector | None = None

    def allows(self, client: str) -> bool:
        """Whether an address is in bans.allow: it is never banned, slowed down or limited in connections."""
        allow = self.config.bans.allow
        return bool(allow) and _is_in(client, tuple(allow))

    def exempts(self, client: str) -> bool:
        """Whether mail from an address is taken unchecked (checks.exempt), as it is from a unix socket."""
        return client == "local" or _is_in(client, tuple(self.config.checks.exempt))


@lru_cache(maxsize=4096)
def _is_in(client: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
