"""Where a recipient's mail goes next: by the [[routes]] of the configuration, else to the MX hosts of its domain.

A next hop is a value: recipients with equal ones are served in one transaction, and what is known about a next hop
(connections, failures) is kept under it. Which hosts are behind it is found out by mailsrv.deliver.hosts. Nothing is
looked up here (RFC 5321 section 5.1 begins behind this).

Diagnostics: raises nothing for a checked configuration.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from mailsrv.mail.address import Address, domain_key
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.config.next_hop import HopAddress, parse_next_hop
from mailsrv.config.schema import Config, RouteConfig
from mailsrv.transport.level import Level, level_of

SMTP_PORT = 25
_ANY = "*"


class HopKind(Enum):
    """How the hosts of a next hop are found, and what they speak."""

    DIRECT = "direct"  # MX hosts of a domain, or an address literal; SMTP
    SMTP = "smtp"  # the addresses of one host
    LMTP = "lmtp"  # the addresses of one host, which speaks LMTP
    LMTP_UNIX = "lmtp_unix"  # a unix socket
    LOCAL = "local"  # an account here


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login at a next hop; the password is not shown."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where to. `host`: DIRECT: a domain in lower-case A-labels, or an address literal with its brackets; SMTP, LMTP: a
    host name or an IP address; LMTP_UNIX: the path; LOCAL: the account's name, "" for an address of ours that the
    directory must be asked about.

    `configured`: the operator has named this host, so what is wrong with it is no sender's mistake and may be mended.
    """

    kind: HopKind
    host: str
    port: int = 0
    level: Level = Level.MAY
    credentials: Credentials | None = None
    configured: bool = False

    @property
    def is_lmtp(self) -> bool:
        """Whether LMTP is spoken: one answer per recipient."""
        return self.kind in (HopKind.LMTP, HopKind.LMTP_UNIX)

    def __str__(self) -> str:
        """For people, as mailq and the log name it: the domain, or what stands in the route."""
        if self.kind is HopKind.DIRECT:
            return f"mx:{self.host}" if self.configured else self.host
        if self.kind is HopKind.LMTP_UNIX:
            return f"lmtp:{self.host}"
        if self.kind is HopKind.LOCAL:
            return f"account:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind.value}:{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One [[routes]] table, ready to be compared. `hop` None: the recipient's own domain, with `level`."""

    domains: frozenset[str]
    suffixes: tuple[str, ...]
    any_domain: bool
    accounts: frozenset[str]
    level: Level
    hop: NextHop | None

    def fits(self, domain: str, account: str) -> bool:
        if self.accounts and account not in self.accounts:
            return False
        return self.any_domain or domain in self.domains or domain.endswith(self.suffixes)


class Router:
    """The routes of one configuration. Immutable, so that any number of threads may ask it."""

    def __init__(self, config: Config) -> None:
        self._rules = tuple(_read_rule(route, config.queue.port) for route in config.routes)
        self._port = config.queue.port
        self._local = frozenset(domain_key(domain) for domain in (*config.domains, *config.domain_aliases))

    def route(self, recipient: Recipient, account: str) -> NextHop:
        """The next hop of one recipient; `account` is the authenticated sender's, "" without one."""
        if recipient.account:
            return NextHop(HopKind.LOCAL, recipient.account, level=Level.NONE)
        return self.route_domain(recipient.address.domain, account)

    def route_domain(self, domain: str, account: str = "") -> NextHop:
        """The next hop of a recipient's domain as written anywhere, or of an address literal."""
        key = domain_key(domain)
        if key in self._local:
            return NextHop(HopKind.LOCAL, "", level=Level.NONE)
        for rule in self._rules:
            if rule.fits(key, account):
                return rule.hop or NextHop(HopKind.DIRECT, key, self._port, rule.level)
        return NextHop(HopKind.DIRECT, key, self._port)

    def group(self, envelope: Envelope, indexes: Iterable[int]) -> dict[NextHop, list[int]]:
        """The recipients with these indexes by next hop, both in the order in which they stand in the envelope."""
        groups: dict[NextHop, list[int]] = {}
        known: dict[str, NextHop] = {}
        for index in sorted(indexes):
            recipient = envelope.recipients[index]
            if recipient.account:
                hop = self.route(recipient, envelope.account)
            else:
                domain = recipient.address.domain
                hop = known.get(domain) or known.setdefault(domain, self.route_domain(domain, envelope.account))
            groups.setdefault(hop, []).append(index)
        return groups


def reverse_path_domain(recipient: Recipient) -> str:
    """The domain in which a sender is rewritten for a recipient that an alias of ours has made; "" when none has."""
    original: Address | None = recipient.original
    return original.domain if original is not None and not recipient.account else ""


def _read_rule(route: RouteConfig, port: int) -> _Rule:
    address = parse_next_hop(route.next_hop)
    level = level_of(route.tls, has_password=bool(route.password), is_unix=bool(address.path))
    credentials = Credentials(route.username, route.password) if route.username else None
    return _Rule(
        domains=frozenset(domain_key(domain) for domain in route.domains if domain[0] not in "*."),
        suffixes=tuple("." + domain_key(domain[1:]) for domain in route.domains if domain[0] == "."),
        any_domain=not route.domains or _ANY in route.domains,
        accounts=frozenset(route.accounts),
        level=level,
        hop=_read_hop(address, port, level, credentials),
    )


def _read_hop(address: HopAddress, port: int, level: Level, credentials: Credentials | None) -> NextHop | None:
    if address.word == "direct":
        return None
    if address.path:
        return NextHop(HopKind.LMTP_UNIX, address.path, 0, level, credentials, configured=True)
    if address.word == "mx":
        return NextHop(HopKind.DIRECT, address.host, address.port or port, level, credentials, configured=True)
    kind = HopKind.LMTP if address.word == "lmtp" else HopKind.SMTP
    return NextHop(kind, address.host, address.port or SMTP_PORT, level, credentials, configured=True)
