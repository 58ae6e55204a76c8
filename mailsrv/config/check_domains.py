"""Checks of domain names: hostname, domains and domain_aliases.

Only the form is checked (RFC 1123 section 2.1, RFC 5890): nothing is looked up.

Diagnostics: raises nothing; complaints only.
"""

import re

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_key, domain_to_ascii
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.schema import Config


def explain_domain(domain: str) -> str:
    """Why a text is no full domain name ("" when it is one): letters, digits and hyphens, at least two labels."""
    try:
        ascii_domain = domain_to_ascii(domain)
    except GrammarError as error:
        return f"{error}, must be a full domain name such as example.org"
    if "." not in ascii_domain:
        return "has no dot, must be a full domain name such as mail.example.org"
    if re.fullmatch(r"[0-9]+", ascii_domain.rpartition(".")[2]):
        return "ends in a number, must be a domain name and not an IP address"
    return ""


def check_hostname(config: Config, complaints: Complaints) -> None:
    """RFC 5321 section 4.1.1.1: what EHLO and the greeting say is the host's full name, in ASCII."""
    path: KeyPath = ("hostname",)
    if complaints.hit(path):
        return
    if reason := explain_domain(config.hostname):
        complaints.add(path, f'"{config.hostname}": {reason}')
    elif not config.hostname.isascii():
        complaints.add(path, f'"{config.hostname}" is not ASCII, must be {domain_to_ascii(config.hostname)}')
    elif len(config.hostname) > 253:
        complaints.add(path, "is longer than 253 characters, no host name is")


def check_domains(config: Config, complaints: Complaints) -> None:
    """Each a full domain name, none twice; without any, everything is denied, which may be meant."""
    seen: dict[str, str] = {}
    for index, domain in enumerate(config.domains):
        path: KeyPath = ("domains", index)
        if complaints.hit(path):
            continue
        if reason := explain_domain(domain):
            complaints.add(path, f'"{domain}": {reason}')
        elif domain_key(domain) in seen:
            complaints.add(path, f'"{domain}" is there twice, remove one')
        seen.setdefault(domain_key(domain), domain)
    if config.listeners and not config.domains and not complaints.hit(("domains",)):
        complaints.warn(("listeners",), "there are listeners but no domains, every recipient will be denied")
    if not config.listeners and not complaints.hit(("listeners",)):
        complaints.warn(("listeners",), "there are none, so nothing will be served")


def check_domain_aliases(config: Config, complaints: Complaints) -> None:
    """The name is a domain that is not one of domains; what it stands for is one of them."""
    domains = {domain_key(domain) for domain in config.domains}
    seen: set[str] = set()
    if complaints.hit(("domains",)):
        return
    for name, target in config.domain_aliases.items():
        path: KeyPath = ("domain_aliases", name)
        if complaints.hit(path):
            continue
        if reason := explain_domain(name):
            complaints.add(path, reason)
        elif domain_key(name) in domains:
            complaints.add(path, "is in domains too, remove it from one of them")
        elif domain_key(name) in seen:
            complaints.add(path, "is there twice, remove one")
        elif domain_key(target) not in domains:
            complaints.add(path, f'"{target}" is not in domains, a domain alias must stand for one of them')
        seen.add(domain_key(name))
