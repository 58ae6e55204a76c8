"""Checks of where mail goes: [aliases], [catch_all], and that postmaster reaches somebody in every domain.

An alias must lead to accounts and remote addresses in at most ten steps and a thousand addresses, without a circle, so
that expansion at RCPT never fails for a reason that could have been known before.

Diagnostics: raises nothing; complaints only.
"""

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, domain_key, parse_address
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.routes import MAX_ADDRESSES, MAX_DEPTH, Routes, parse_member
from mailsrv.config.schema import Config

_FAULTS = {
    "circle": "leads back to itself, remove the member that closes the circle",
    "too_deep": f"needs more than {MAX_DEPTH} steps, name its members more directly",
    "too_many": f"leads to more than {MAX_ADDRESSES} addresses, so many are not allowed",
}


def check_aliases(config: Config, complaints: Complaints) -> None:
    """Each name is a free address in domains, each member is somebody, no circle, not too deep and not too many."""
    routes = Routes(config)
    names = {account.name for account in config.accounts}
    domains = set(routes.domains)
    seen: set[str] = set()
    if complaints.hit(("domains",)) or complaints.hit(("accounts",)):
        return
    for name, members in config.aliases.items():
        path: KeyPath = ("aliases", name)
        if complaints.hit(path):
            continue
        try:
            address = parse_address(name)
        except GrammarError as error:
            complaints.add(path, f"{error}, the name must be like info@example.org")
            continue
        if domain_key(address.domain) not in domains:
            complaints.add(path, f"is outside domains, add {address.domain} to domains or remove the alias")
        elif address.key in seen:
            complaints.add(path, "is there twice, put the members into one list")
        elif routes.table[address.key].rule == "account":
            owner = routes.table[address.key].account
            complaints.add(path, f"is an address of the account {owner} too, remove it from one of them")
        seen.add(address.key)
        if not members:
            complaints.add(path, "is empty, an alias must name somebody")
        sound = not complaints.hit(path)
        for at, member in enumerate(members):
            if not complaints.hit((*path, at)):
                sound &= _check_member(member, (*path, at), names, routes, complaints)
        if sound and (fault := routes.follow(routes.table[address.key]).fault):
            complaints.add(path, _FAULTS[fault])


def _check_member(text: str, path: KeyPath, names: set[str], routes: Routes, complaints: Complaints) -> bool:
    """Whether a member of an alias, or the target of a catch-all, is an account or an address that means somebody."""
    try:
        member = parse_member(text)
    except GrammarError as error:
        complaints.add(path, f'"{text}": {error}, must be an address or the name of an account')
        return False
    if isinstance(member, str):
        if member in names:
            return True
        complaints.add(path, f'"{text}" is no account, must be the name of one or an address with @')
        return False
    if routes.is_local(member.domain) and routes.find(member) is None:
        complaints.add(path, f'"{text}" is nobody here, give it to an account or make it an alias')
        return False
    return True


def check_catch_all(config: Config, complaints: Complaints) -> None:
    """The name is one of domains; the target is somebody by another rule than the catch-all itself."""
    whole, routes = Routes(config), Routes(config)
    routes.catch_all.clear()
    names = {account.name for account in config.accounts}
    domains = set(routes.domains)
    seen: set[str] = set()
    if complaints.hit(("domains",)) or complaints.hit(("accounts",)):
        return
    for domain, target in config.catch_all.items():
        path: KeyPath = ("catch_all", domain)
        if complaints.hit(path):
            continue
        if domain_key(domain) not in domains:
            complaints.add(path, "is not in domains, the name must be one of them")
        elif domain_key(domain) in seen:
            complaints.add(path, "is there twice, remove one")
        elif _check_member(target, path, names, routes, complaints):
            fault = whole.follow(whole.catch_all[domain_key(domain)]).fault
            if fault:
                complaints.add(path, _FAULTS[fault])
        seen.add(domain_key(domain))


def check_postmaster(config: Config, complaints: Complaints) -> None:
    """RFC 5321 section 4.5.1: every domain that takes mail has a postmaster whom it reaches."""
    routes = Routes(config)
    for index, domain in enumerate(config.domains):
        path: KeyPath = ("domains", index)
        if complaints.hit(path) or complaints.hit(("accounts",)) or complaints.hit(("aliases",)):
            continue
        if routes.find(Address("postmaster", domain)) is None:
            text = f"nobody is postmaster@{domain}, give this address to an account or make it an alias"
            complaints.add(path, f"{text} (RFC 5321 section 4.5.1)")
