"""Checks of what the values mean, each a function of the whole configuration, in one table: fail closed, report
everything.

This module has those of data_dir, networks, privileges, log and resolvers; the modules check_* have the others. A
value that has been complained about already is left out. Nothing is changed and nothing but certificates, keys and the
user database is looked at; that data_dir can be written is found out by `mailsrv serve`.

Diagnostics: raises nothing; complaints and warnings only.
"""

import grp
import ipaddress
import os
import pwd
from collections.abc import Callable

from mailsrv.errors import GrammarError
from mailsrv.system.dns_servers import parse_nameserver
from mailsrv.config.check_accounts import check_accounts, check_quotas
from mailsrv.config.check_checks import (
    check_contact,
    check_filter,
    check_greylist,
    check_sealers,
    check_zones,
)
from mailsrv.config.check_domains import check_domain_aliases, check_domains, check_hostname
from mailsrv.config.check_listeners import check_listeners, check_tls
from mailsrv.config.check_queue import check_dkim, check_next_hops, check_queue, check_reports, check_srs
from mailsrv.config.check_routes import check_aliases, check_catch_all, check_postmaster
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath
from mailsrv.config.schema import Config

# What may separate user and detail: the characters of RFC 5321's atoms that are neither letters nor digits.
DELIMITERS = "!#$%&'*+-/=?^_`{|}~"

_ID_LIMIT = 2**32 - 1  # (uid_t) -1 means "unchanged" to the kernel and is no user


def check(config: Config, complaints: Complaints) -> None:
    """Every check, one after the other; each adds its complaints."""
    for check_one in CHECKS:
        check_one(config, complaints)


def check_data_dir(config: Config, complaints: Complaints) -> None:
    """One absolute directory of its own."""
    path: KeyPath = ("data_dir",)
    if complaints.hit(path):
        return
    if not config.data_dir.startswith("/"):
        complaints.add(path, f'"{config.data_dir}" is not absolute, must begin with /, such as /var/lib/mailsrv')
    elif "\0" in config.data_dir or not os.path.normpath(config.data_dir).strip("/"):
        complaints.add(path, f'"{config.data_dir}" cannot be it, must be a directory of its own')


def check_drop_dir(config: Config, complaints: Complaints) -> None:
    """An absolute directory outside of data_dir, which nobody else can enter."""
    path: KeyPath = ("drop_dir",)
    if not config.drop_dir or complaints.hit(path):
        return
    if not config.drop_dir.startswith("/") or "\0" in config.drop_dir:
        complaints.add(path, f'"{config.drop_dir}" is not absolute, must begin with /, such as /var/spool/mailsrv-drop')
    elif f"{os.path.normpath(config.drop_dir)}/".startswith(f"{os.path.normpath(config.data_dir)}/"):
        complaints.add(path, f'"{config.drop_dir}" is in data_dir, where no other user gets, must be outside of it')


def check_delimiter(config: Config, complaints: Complaints) -> None:
    """Each character of recipient_delimiter can stand in a local part and is no letter or digit."""
    path: KeyPath = ("recipient_delimiter",)
    wrong = "".join(sorted(set(config.recipient_delimiter) - set(DELIMITERS)))
    if wrong and not complaints.hit(path):
        complaints.add(path, f'"{wrong}" cannot separate user and detail, must be of {DELIMITERS}')


def check_networks(config: Config, complaints: Complaints) -> None:
    """bans.allow, checks.exempt and each listener's proxy_from: IP addresses and networks."""
    lists: list[tuple[KeyPath, list[str]]] = [
        (("bans", "allow"), config.bans.allow),
        (("checks", "exempt"), config.checks.exempt),
    ]
    lists += [(("listeners", at, "proxy_from"), listener.proxy_from) for at, listener in enumerate(config.listeners)]
    for path, networks in lists:
        for index, network in enumerate(networks):
            element = (*path, index)
            if not complaints.hit(element) and (reason := _explain_network(network)):
                complaints.add(element, reason)


def _explain_network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f'"{text}" is no network, must be like 192.0.2.0/24, 2001:db8::/32 or one IP address'
    address = ipaddress.ip_address(text.partition("/")[0])
    if address != network.network_address:
        return f'"{text}" has bits behind its prefix, must be {network} or {address}'
    return ""


def check_privileges(config: Config, complaints: Complaints) -> None:
    """User and group exist, if this process could become them, and are not root's."""
    wanted: tuple[tuple[str, str, Callable[[str], int]], ...] = (
        ("user", config.privileges.user, lambda name: pwd.getpwnam(name).pw_uid),
        ("group", config.privileges.group, lambda name: grp.getgrnam(name).gr_gid),
    )
    for key, name, find in wanted:
        path: KeyPath = ("privileges", key)
        if not name or complaints.hit(path):
            continue
        number = -1
        if name.isascii() and name.isdigit():
            # Python reads no number of thousands of digits.
            number = int(name) if len(name) < 20 else _ID_LIMIT
            if number >= _ID_LIMIT:
                complaints.add(path, f"{name} is no {key}'s number, must be below {_ID_LIMIT}")
        else:
            try:
                number = find(name)
            except KeyError:
                # Who checks a file for another machine is not told that this one lacks its user.
                if os.geteuid() == 0:
                    complaints.add(path, f'"{name}" does not exist, make this {key} or name another')
        if number == 0 or name == "root":
            complaints.add(path, f'"{name}" is root, must be a {key} with few rights, such as mailsrv')
    if config.privileges.group and not config.privileges.user and not complaints.hit(("privileges", "group")):
        complaints.add(("privileges", "group"), "is given without a user, give privileges.user too")


def check_log(config: Config, complaints: Complaints) -> None:
    """Where the log goes."""
    path: KeyPath = ("log", "destination")
    to = config.log.destination
    if to not in ("stderr", "syslog") and not to.startswith("/") and not complaints.hit(path):
        complaints.add(path, f'"{to}" is not known, must be stderr, syslog or the absolute path of a file')


def check_dns(config: Config, complaints: Complaints) -> None:
    """Resolvers are named by IP address: looking one up would need another."""
    for index, server in enumerate(config.dns.nameservers):
        path: KeyPath = ("dns", "nameservers", index)
        if complaints.hit(path):
            continue
        try:
            parse_nameserver(server)
        except GrammarError as error:
            complaints.add(path, str(error))


CHECKS: tuple[Callable[[Config, Complaints], None], ...] = (
    check_hostname,
    check_data_dir,
    check_drop_dir,
    check_domains,
    check_delimiter,
    check_accounts,
    check_quotas,
    check_domain_aliases,
    check_aliases,
    check_catch_all,
    check_postmaster,
    check_listeners,
    check_tls,
    check_networks,
    check_privileges,
    check_log,
    check_dns,
    check_queue,
    check_next_hops,
    check_srs,
    check_reports,
    check_dkim,
    check_sealers,
    check_contact,
    check_greylist,
    check_zones,
    check_filter,
)
