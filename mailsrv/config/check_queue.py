"""Checks of how mail leaves: [queue], [[routes]], srs_secret, [reports] and [dkim].

Names of hosts are judged by their form; nothing is looked up and no connection is tried.

Diagnostics: raises nothing; complaints and warnings only.
"""

import ipaddress
import re

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_key, domain_to_ascii, parse_address
from mailsrv.config.check_domains import explain_domain
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.next_hop import HopAddress, parse_next_hop
from mailsrv.config.schema import Config, RouteConfig

SECRET_CHARACTERS = 16

_ENCRYPTED = ("encrypt", "verify")
_FIELD_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 section 2.2
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")  # the form of RFC 5646, as file names have it
_ANY = "*"


def check_queue(config: Config, complaints: Complaints) -> None:
    """The times fit together, and the name in EHLO is a full one."""
    path: KeyPath = ("queue",)
    queue = config.queue
    if complaints.hit(path):
        return
    waits: KeyPath = (*path, "retry_seconds")
    if not queue.retry_seconds and not complaints.hit(waits):
        complaints.add(waits, "is empty, must have at least one wait")
    give_up: KeyPath = (*path, "give_up_seconds")
    if queue.delay_report_seconds >= queue.give_up_seconds and not complaints.hit(give_up):
        text = f"is not before give_up_seconds ({queue.give_up_seconds}), must be less, or 0 for no such report"
        complaints.add((*path, "delay_report_seconds"), text)
    if queue.connections_per_hop > queue.connections and not complaints.hit((*path, "connections")):
        text = f"is more than connections ({queue.connections}), must be at most as many"
        complaints.add((*path, "connections_per_hop"), text)
    name: KeyPath = (*path, "helo_name")
    if queue.helo_name and not complaints.hit(name):
        reason = explain_domain(queue.helo_name)
        if not reason and not queue.helo_name.isascii():
            reason = "is not ASCII, must be written with A-labels"
        if reason:
            complaints.add(name, f'"{queue.helo_name}": {reason}')


def check_next_hops(config: Config, complaints: Complaints) -> None:
    """Every route by itself, then whether a route above it leaves it any mail."""
    names = None if complaints.hit(("accounts",)) else {account.name for account in config.accounts}
    seen: set[tuple[str, str]] = set()
    for index, route in enumerate(config.routes):
        path: KeyPath = ("routes", index)
        if complaints.hit(path):
            continue
        _check_hop(route, path, complaints)
        if _is_faulty(path, ("domains", "accounts"), complaints):
            continue
        if not route.domains and not route.accounts:
            complaints.add(path, 'is for no mail, give it domains (["*"] for all) or accounts', usable=True)
            continue
        patterns = [
            _check_pattern(config, route, (*path, "domains", at), complaints) for at in range(len(route.domains))
        ]
        accounts = [
            _check_account(route, (*path, "accounts", at), names, complaints) for at in range(len(route.accounts))
        ]
        if all(patterns) and all(accounts):
            pairs = {(pattern, account) for pattern in patterns or [_ANY] for account in accounts or [_ANY]}
            if all({pair, (pair[0], _ANY), (_ANY, pair[1]), (_ANY, _ANY)} & seen for pair in pairs):
                text = "is for mail that routes above it take already, remove it or move it up"
                complaints.add(path, text, usable=True)
            seen |= pairs


def pattern_key(pattern: str) -> str:
    """The form in which patterns of domains are compared: as domain_key, with the leading dot."""
    return "." + domain_key(pattern[1:]) if pattern.startswith(".") else domain_key(pattern)


def _is_faulty(path: KeyPath, keys: tuple[str, ...], complaints: Complaints) -> bool:
    return any(complaints.hit((*path, key)) for key in keys)


def _check_account(route: RouteConfig, path: KeyPath, names: set[str] | None, complaints: Complaints) -> str:
    """One of a route's accounts; "" when it is none. `names` is None when nobody knows."""
    if complaints.hit(path) or not isinstance(path[-1], int):
        return ""
    account = route.accounts[path[-1]]
    if names is None or account in names:
        return account
    complaints.add(path, f'"{account}" is no account, must be the name of one')
    return ""


def _check_pattern(config: Config, route: RouteConfig, path: KeyPath, complaints: Complaints) -> str:
    """One of a route's domains: a domain, all domains below one, or all; "" when it is none of these."""
    if complaints.hit(path) or not isinstance(path[-1], int):
        return ""
    pattern = route.domains[path[-1]]
    if pattern == _ANY:
        return pattern
    try:
        # One label is enough here: an internal network may have a domain like that.
        domain_to_ascii(pattern.removeprefix("."))
    except GrammarError as error:
        complaints.add(path, f'"{pattern}": {error}, must be like example.org, .example.org or *')
        return ""
    local = {domain_key(domain) for domain in (*config.domains, *config.domain_aliases)}
    if pattern_key(pattern) in local:
        complaints.warn(path, f'"{pattern}" is one of our domains, whose mail is delivered here and takes no route')
    return pattern_key(pattern)


def _check_hop(route: RouteConfig, path: KeyPath, complaints: Complaints) -> None:
    """The next hop's form, and what is asked of the way to it."""
    if complaints.hit((*path, "next_hop")):
        return
    try:
        hop = parse_next_hop(route.next_hop)
    except GrammarError as error:
        complaints.add((*path, "next_hop"), f'"{route.next_hop}" {error}')
        return
    for key, other in (("username", "password"), ("password", "username")):
        if getattr(route, key) and not getattr(route, other) and not _is_faulty(path, (key, other), complaints):
            complaints.add((*path, key), f"is given without {other}, give both")
    if hop.word == "direct" and route.username and not complaints.hit((*path, "username")):
        complaints.add((*path, "username"), "means nothing for direct, MX hosts of others know no login of ours")
    if complaints.hit((*path, "tls")):
        return
    if hop.path and route.tls not in ("", "none"):
        complaints.add((*path, "tls"), "means nothing for a unix socket, remove it")
    elif route.password and route.tls not in ("", *_ENCRYPTED) and not _is_loopback(hop):
        complaints.add((*path, "tls"), f"{route.tls} could send the password readable, must be encrypt or verify")


def _is_loopback(hop: HopAddress) -> bool:
    if hop.path or hop.host == "localhost":
        return True
    return hop.is_ip and ipaddress.ip_address(hop.host).is_loopback


def check_srs(config: Config, complaints: Complaints) -> None:
    """A secret that cannot be guessed, since who knows it can send through us to anybody."""
    path: KeyPath = ("srs_secret",)
    if config.srs_secret and not complaints.hit(path) and len(config.srs_secret) < SECRET_CHARACTERS:
        right = f"must have at least {SECRET_CHARACTERS}, as from: openssl rand -base64 24"
        complaints.add(path, f"has {len(config.srs_secret)} characters, {right}")


def check_reports(config: Config, complaints: Complaints) -> None:
    """Languages and addresses by their form; which templates there are is found out by the runner."""
    path: KeyPath = ("reports",)
    reports = config.reports
    if complaints.hit(path):
        return
    languages: KeyPath = (*path, "languages")
    if not reports.languages and not complaints.hit(languages):
        complaints.add(languages, "is empty, a report needs a language")
    for at, language in enumerate(reports.languages):
        if not _LANGUAGE.fullmatch(language) and not complaints.hit((*languages, at)):
            complaints.add((*languages, at), f'"{language}" is no language, must be like en or pt-BR')
    directory = reports.template_dir
    if directory and not directory.startswith("/") and not complaints.hit((*path, "template_dir")):
        complaints.add((*path, "template_dir"), f'"{directory}" is not absolute, must begin with /')
    for key in ("author", "postmaster"):
        text = getattr(reports, key)
        if complaints.hit((*path, key)):
            continue
        try:
            parse_address(text if "@" in text else f"{text}@example.org")
        except GrammarError as error:
            complaints.add((*path, key), f'"{text}": {error}, must be an address or a local part')


def check_dkim(config: Config, complaints: Complaints) -> None:
    """Names of header fields; a replaced key's record outlives the mail that it signed."""
    path: KeyPath = ("dkim",)
    if complaints.hit(path):
        return
    for at, name in enumerate(config.dkim.headers):
        if not _FIELD_NAME.fullmatch(name) and not complaints.hit((*path, "headers", at)):
            complaints.add((*path, "headers", at), f'"{name}" is no name of a header field, must be like X-Campaign')
    queue: KeyPath = ("queue", "give_up_seconds")
    days = -(-config.queue.give_up_seconds // 86400)
    if config.dkim.retire_days < days and not complaints.hit((*path, "retire_days")) and not complaints.hit(queue):
        text = f"is {config.dkim.retire_days}, must be at least {days}, since signed mail may wait so long in the queue"
        complaints.add((*path, "retire_days"), text)
