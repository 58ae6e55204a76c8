"""What an address means by the configuration, one step at a time: an account, the members of an alias, nobody.

The rules and their order: the exact address, then (`user+detail`) the address without detail, longest user first, then
the domain's catch-all; a domain alias is replaced by its domain before all of that; comparison is without case. The
checks of the configuration and the directory use the same rules from here. Whether somebody may send to an address is
not decided here.

Diagnostics: raises nothing; what cannot be understood in a faulty configuration is left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, domain_key, fold, parse_address
from mailsrv.config.schema import Config


MAX_DEPTH = 10  # aliases one behind the other
MAX_ADDRESSES = 1000  # ends of one address


@dataclass(frozen=True, slots=True)
class Step:
    """What one address stands for. `rule`: account, alias, detail, domain_alias or catch_all, the last one that was
    needed.

    `key` is the address found, as Address.key gives it ("@" and the domain for a catch-all). Either `account` has the
    name of the account that owns it, or `members` what an alias names: account names (text) and addresses.
    """

    rule: str
    key: str
    account: str = ""
    members: tuple[str | Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Ends:
    """Where an address leads in the end: accounts and addresses elsewhere, each once, in the order of the file.

    `fault`: "" or why they are not all there: too_deep, too_many; circle when an alias leads back to itself.
    """

    accounts: tuple[str, ...] = ()
    remote: tuple[Address, ...] = ()
    fault: str = ""


def parse_member(text: str) -> str | Address:
    """A member of an alias: an address where there is an @, else an account's name. Raises GrammarError."""
    return parse_address(text) if "@" in text else text.lower()


def split_details(local_part: str, delimiters: str) -> Iterator[str]:
    """Each possible user of `user+detail`, the longest first; nothing when there is no delimiter behind a user."""
    for at in range(len(local_part) - 1, 0, -1):
        if local_part[at] in delimiters:
            yield local_part[:at]


class Routes:
    """The addresses of one configuration as tables, whose keys have the form in which addresses are compared."""

    def __init__(self, config: Config) -> None:
        self.domains = [domain_key(domain) for domain in config.domains]
        self.domain_aliases = {domain_key(name): domain_key(to) for name, to in config.domain_aliases.items()}
        self.delimiters = config.recipient_delimiter
        self.table: dict[str, Step] = {}
        self.catch_all: dict[str, Step] = {}
        self._local = frozenset(self.domains) | self.domain_aliases.keys()
        for name, members in config.aliases.items():
            for address in _parse([name]):
                if isinstance(address, Address):
                    self.table[address.key] = Step("alias", address.key, members=tuple(_parse(members)))
        for account in config.accounts:
            for address in _parse(account.addresses):
                if isinstance(address, Address):
                    self.table[address.key] = Step("account", address.key, account.name)
        for domain, target in config.catch_all.items():
            key = domain_key(domain)
            self.catch_all[key] = Step("catch_all", f"@{key}", members=tuple(_parse([target])))

    def is_local(self, domain: str) -> bool:
        """Whether mail for a domain is delivered here; the domain as written anywhere."""
        return domain_key(domain) in self._local

    def find(self, address: Address) -> Step | None:
        """The one step from an address; None when nobody has it, or its domain is not ours."""
        exact = self.table.get(address.key)
        if exact is not None:
            return exact
        domain = domain_key(address.domain)
        if domain not in self._local:
            return None
        local_part = fold(address.local_part)
        target = self.domain_aliases.get(domain)
        if target is not None:
            domain = target
            exact = self.table.get(f"{local_part}@{domain}")
            if exact is not None:
                return Step("domain_alias", exact.key, exact.account, exact.members)
        for user in split_details(local_part, self.delimiters):
            found = self.table.get(f"{user}@{domain}")
            if found is not None:
                return Step("detail", found.key, found.account, found.members)
        return self.catch_all.get(domain)

    def follow(self, start: Step) -> Ends:
        """Follow a step to its ends, all aliases of one depth before the next, at most MAX_DEPTH of them."""
        accounts: dict[str, None] = {start.account: None} if start.account else {}
        remote: dict[str, Address] = {}
        seen = {start.key}
        level, fault = [start], ""
        for _ in range(MAX_DEPTH):
            following: list[Step] = []
            for member in (member for step in level for member in step.members):
                if isinstance(member, str):
                    accounts[member] = None
                    continue
                step = self.find(member)
                if step is None:
                    if not self.is_local(member.domain):
                        remote.setdefault(member.key, member)
                elif step.account:
                    accounts[step.account] = None
                elif step.key == start.key:
                    fault = "circle"
                elif step.key not in seen:
                    seen.add(step.key)
                    following.append(step)
            if len(accounts) + len(remote) + len(following) > MAX_ADDRESSES:
                return Ends(fault="too_many")
            if not following:
                return Ends(tuple(accounts), tuple(remote.values()), fault)
            level = following
        return Ends(fault="too_deep")


def _parse(members: Iterable[str]) -> Iterator[str | Address]:
    for member in members:
        try:
            yield parse_member(member)
        except GrammarError:
            continue  # the checks have complained about it
