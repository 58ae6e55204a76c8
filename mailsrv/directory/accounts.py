"""Who exists here: a snapshot of the configuration's accounts and addresses, made once and asked at every RCPT and
login.

Addresses that are written in the configuration are answered by one look into a table; details, domain aliases and
catch-alls take a few more. Whether a password is right, whether there is room, and whether a message is wanted is
decided elsewhere. The rules are those of mailsrv.config.routes (RFC 5321 section 2.3.11: the local part means what
this server says it means; section 4.5.1: postmaster, also without a domain). With `srs_secret`, rewritten senders of
mail that was forwarded from here mean their original address, so that reports about it find their way back.

Diagnostics: raises nothing for a checked configuration.
"""

from dataclasses import dataclass, replace
from typing import Self

from mailsrv.errors import GrammarError
from mailsrv.system.clock import Clock, SystemClock
from mailsrv.mail.address import Address, domain_key, parse_address
from mailsrv.mail.srs import Srs, is_srs
from mailsrv.config.routes import Routes, Step
from mailsrv.config.schema import AccountConfig, Config, LimitsConfig, QuotaConfig


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `scram` is the text of its SCRAM-SHA-256 key; `quota_bytes` and `quota_messages` are
    what the configuration says of it: its own, or that of the domain of its first address, or that of all; 0 for no
    quota. What was set later holds instead (mailsrv.store.limits). `sets_quotas`: who may set it."""

    name: str
    addresses: tuple[Address, ...]
    password_hash: str = ""
    scram: str = ""
    quota_bytes: int = 0
    quota_messages: int = 0
    sets_quotas: bool = False


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a forward-path means here: accounts and addresses elsewhere, each once.

    `found`: somebody gets the message; `local`: the domain is ours. `rule` says which rule answered: account, alias,
    detail, domain_alias, catch_all, srs, or why nobody does: unknown, not_local, too_deep (aliases without end). Behind
    `srs` is where a report goes: the address of a sender whose mail was forwarded.
    """

    found: bool
    local: bool
    accounts: tuple[str, ...] = ()
    remote: tuple[Address, ...] = ()
    rule: str = "unknown"


UNKNOWN = Expansion(False, True, rule="unknown")
NOT_LOCAL = Expansion(False, False, rule="not_local")


class Directory:
    """Immutable after construction, so any number of threads may ask it."""

    __slots__ = ("_accounts", "_exact", "_routes", "scram_ready", "srs")

    def __init__(
        self, accounts: dict[str, Account], routes: Routes, postmaster_domain: str, srs: Srs | None = None
    ) -> None:
        self._accounts = accounts
        self._routes = routes
        #: What rewrites the senders of forwarded mail, None without a secret for it.
        self.srs = srs
        ends = {name: Expansion(True, True, (name,), rule="account") for name in accounts}
        self._exact = {
            key: ends[step.account] if step.account else self._expand(step) for key, step in routes.table.items()
        }
        if postmaster_domain:
            postmaster = Address("postmaster", postmaster_domain)
            step = routes.find(postmaster)
            # RFC 5321 section 4.1.1.3: <Postmaster> has no domain and is always accepted.
            self._exact[Address("postmaster", "").key] = self._expand(step) if step is not None else UNKNOWN
        able = [account for account in accounts.values() if account.password_hash]
        #: Whether SCRAM may be offered: an account without a key would be told apart from the others by its absence.
        self.scram_ready = bool(able) and all(account.scram for account in able)

    @classmethod
    def from_config(cls, config: Config, clock: Clock | None = None) -> Self:
        """The directory of a checked configuration; the clock tells how old a rewritten sender is."""
        accounts = {
            account.name: Account(
                account.name,
                tuple(parse_address(text) for text in account.addresses),
                account.password_hash,
                account.scram_sha_256,
                *_find_quota(config, account),
                account.sets_quotas,
            )
            for account in config.accounts
        }
        own = domain_key(config.hostname)
        domains = [domain_key(domain) for domain in config.domains]
        first = domains[0] if domains else ""
        routes = Routes(config)
        srs = Srs(config.srs_secret, clock or SystemClock(), routes.is_local) if config.srs_secret else None
        return cls(accounts, routes, own if own in domains else first, srs)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every account, in the order of the file."""
        return tuple(self._accounts.values())

    def account(self, login: str) -> Account | None:
        """The account that a login name means: its name or any of its addresses, without case; None for nobody."""
        if "@" not in login:
            return self._accounts.get(login.lower())
        try:
            address = parse_address(login)
        except GrammarError:
            return None
        domain = self._routes.domain_aliases.get(domain_key(address.domain))
        step = self._routes.table.get(Address(address.local_part, domain or address.domain).key)
        return self._accounts.get(step.account) if step is not None else None

    def most_messages(self, name: str) -> int:
        """How many messages an account may have by the configuration, by its name; 0 for any number."""
        account = self._accounts.get(name)
        return account.quota_messages if account is not None else 0

    def is_local(self, domain: str) -> bool:
        """Whether mail for a domain is delivered here (domain aliases too)."""
        return self._routes.is_local(domain)

    def expand(self, address: Address) -> Expansion:
        """What a forward-path means. Never fails; see Expansion for the answers."""
        exact = self._exact.get(address.key)
        if exact is not None:
            return exact
        if not self._routes.is_local(address.domain):
            return NOT_LOCAL
        if self.srs is not None and is_srs(address.local_part):
            return self._expand_srs(address, self.srs)
        step = self._routes.find(address)
        return self._expand(step) if step is not None else UNKNOWN

    def owns(self, account: str, address: Address) -> bool:
        """Whether an account may call itself by an address: its own ones, with details and in domain aliases."""
        step = self._routes.find(address)
        return step is not None and step.account == account != ""

    def _expand_srs(self, address: Address, srs: Srs) -> Expansion:
        """A forged or old one is nobody, even where a catch-all takes the rest: only its sender could want it."""
        try:
            sender = srs.reverse(address)
        except GrammarError:
            return UNKNOWN
        if self.is_local(sender.domain):  # its domain has moved here since
            return replace(self.expand(sender), rule="srs")
        return Expansion(True, True, (), (sender,), "srs")

    def _expand(self, step: Step) -> Expansion:
        if step.account:
            return Expansion(True, True, (step.account,), rule=step.rule)
        ends = self._routes.follow(step)
        if ends.accounts or ends.remote:
            return Expansion(True, True, ends.accounts, ends.remote, step.rule)
        return Expansion(False, True, rule="too_deep" if ends.fault in ("too_deep", "too_many") else "unknown")


def _find_quota(config: Config, account: AccountConfig) -> tuple[int, int]:
    """Octets and messages of an account: what is said nearest to it, each by itself."""
    domain = domain_key(account.addresses[0].rpartition("@")[2]) if account.addresses else ""
    rows: list[AccountConfig | QuotaConfig | LimitsConfig] = [account]
    rows += [row for row in config.quotas if domain in map(domain_key, row.domains)]
    rows.append(config.limits)
    octets = next((row.quota_bytes for row in rows if row.quota_bytes), 0)
    return octets, next((row.quota_messages for row in rows if row.quota_messages), 0)
