"""`mailsrv dkim-keygen` and `mailsrv dkim status|rotate`: the DKIM keys, their DNS records, and their life.

As root, everything under data_dir is made as the service user, so that the server can read it.

Diagnostics: ConfigError for the configuration; GrammarError for a domain or selector that is none, and for damaged
keys; Refused for a domain that the configuration does not have; AlreadyThere, StorageError from the disk.
`run_keygen` and `run` give the exit code.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsrv.errors import Exit, Refused
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.dns import DnsResolver
from mailsrv.system.dns_values import Resolver
from mailsrv.mail.address import domain_key, domain_to_ascii
from mailsrv.authn.keys import Algorithm, make_private_key, record_name, zone_lines
from mailsrv.authn.keystore import (
    DIRECTORY,
    KeyStore,
    check_selector,
    dated_selector,
    read_key_file,
    write_key_file,
)
from mailsrv.authn.published import look
from mailsrv.authn.rotation import Change, Key, Sight, State, advance, advise, endangers_mail
from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.deliver.sign import signing_domains
from mailsrv.serve.privileges import choose
from mailsrv.cli.control import print_json, print_table

_BOTH = tuple(Algorithm)
_DAY_SECONDS = 86400.0
_YOUR_DOMAIN = "<your-domain>"


@dataclass(frozen=True, slots=True)
class _Row:
    """A key of `domain` as `status` shows it; `until` is the day until which a retiring key keeps its record."""

    domain: str
    key: Key
    sight: Sight
    until: str

    @property
    def name(self) -> str:
        return record_name(self.key.selector, self.domain)

    @property
    def advice(self) -> str:
        return advise(self.key, self.sight, self.domain, self.until)

    def cells(self) -> tuple[str, ...]:
        return (self.name, self.key.state.value, _day(self.key.since), self.sight.value, self.advice)

    def to_json(self) -> dict[str, object]:
        return {
            "domain": self.domain,
            "selector": self.key.selector,
            "algorithm": self.key.algorithm.value,
            "state": self.key.state.value,
            "since": self.key.since,
            "name": self.name,
            "record": self.key.record,
            "dns": self.sight.value,
            "advice": self.advice,
        }


def add_arguments_keygen(parser: argparse.ArgumentParser) -> None:
    """--domain, --selector, --algorithm, --out or --key."""
    _add_domain(parser)
    parser.add_argument("--selector", metavar="S", default="", help="its selector; for two keys Se and Sr")
    parser.add_argument(
        "--algorithm",
        choices=[algorithm.value for algorithm in Algorithm],
        help="make only this kind (default: both, with --out ed25519)",
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--key", metavar="FILE", default="", help="take the key in FILE over, as selector S")
    files.add_argument("--out", metavar="FILE", default="", help="write one key to FILE, which must not exist yet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two actions with their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    status = actions.add_parser("status", help="show every key, what DNS says of it, and what is to be done")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(action=_status)
    rotate = actions.add_parser("rotate", help="make the next keys, or activate those that DNS shows")
    rotate.set_defaults(action=_rotate)
    for action in (status, rotate):
        _add_domain(action)
        action.add_argument(
            "--nameserver",
            metavar="ADDRESS",
            action="append",
            default=[],
            help="ask this resolver, may be repeated: each must show a key (default: those of the configuration)",
        )


def run_keygen(arguments: argparse.Namespace) -> int:
    """Make keys and print their records; 1 when a file or selector exists already."""
    if arguments.key and (not arguments.selector or arguments.algorithm):
        print("mailsrv: --key needs --selector, and no --algorithm", file=sys.stderr)
        return Exit.USAGE
    algorithm = Algorithm(arguments.algorithm) if arguments.algorithm else None
    if arguments.out:
        return _write_one(arguments, algorithm or Algorithm.ED25519)
    config = load(arguments.config, os.environ)
    domains = _choose_domains(config, arguments.domain)
    now = SystemClock.now()
    given = read_key_file(Disk(), arguments.key) if arguments.key else None
    with _open_store(config) as store, store.lock():
        for domain in domains:
            if given is not None:
                made = [store.add(domain, arguments.selector, given, now)]
            else:
                made = store.make(domain, (algorithm,) if algorithm else _BOTH, now, arguments.selector)
            _print_records(domain, made)
    return Exit.OK


def run(arguments: argparse.Namespace) -> int:
    """Do one action."""
    code: int = arguments.action(arguments)
    return code


def _add_domain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--domain",
        metavar="D",
        action="append",
        default=[],
        help="this domain, may be repeated (default: all of the configuration)",
    )


def _write_one(arguments: argparse.Namespace, algorithm: Algorithm) -> int:
    """One key in a file of its own; the configuration is read only to name the domain, and only if it is there."""
    domains = [domain_to_ascii(domain) for domain in arguments.domain]
    if not domains and os.path.exists(arguments.config):
        domains = _own_domains(load(arguments.config, os.environ))
    domains = domains or [_YOUR_DOMAIN]
    selector = arguments.selector or dated_selector(SystemClock.now(), algorithm, ())
    for domain in domains:
        selector = check_selector(selector, domain)
    private = make_private_key(algorithm)
    write_key_file(Disk(), arguments.out, private)
    print(arguments.out)
    for domain in domains:
        print(f"publish this text as the TXT record of {record_name(selector, domain)}:")
    print(private.public.record)
    return Exit.OK


def _status(arguments: argparse.Namespace) -> int:
    """0, or 1 when signatures fail because DNS lacks the record of a key that signs."""
    config = load(arguments.config, os.environ)
    resolvers = _open_resolvers(config, arguments.nameserver)
    keep = config.dkim.retire_days * _DAY_SECONDS
    store = KeyStore(Disk(), config.data_dir)  # read only, so nobody's rights matter
    domains = _choose_domains(config, arguments.domain)
    if not arguments.domain:
        domains += [domain for domain in store.domains() if domain not in domains]
    # Shown as time has made them; `rotate` writes it down.
    keys = {domain: advance(store.read(domain), {}, SystemClock.now(), keep)[0] for domain in domains}
    rows = [
        _Row(domain, key, look(resolvers, domain, key, _complain), _day(key.since + keep))
        for domain, its_keys in keys.items()
        for key in its_keys
    ]
    code = Exit.FAILED if any(endangers_mail(row.key, row.sight) for row in rows) else Exit.OK
    if arguments.json:
        print_json([row.to_json() for row in rows])
        return code
    if rows:
        print_table(("RECORD", "STATE", "SINCE", "DNS", "TO DO"), [row.cells() for row in rows])
    for domain in (domain for domain, its_keys in keys.items() if not its_keys):
        print(f"{domain}: no keys, its mail is not signed; `mailsrv dkim-keygen --domain {domain}` makes some")
    return code


def _rotate(arguments: argparse.Namespace) -> int:
    """0, or 75 while next keys wait for their records to be published."""
    config = load(arguments.config, os.environ)
    resolvers = _open_resolvers(config, arguments.nameserver)
    now = SystemClock.now()
    waiting = False
    with _open_store(config) as store, store.lock():
        domains = _choose_domains(config, arguments.domain)
        if not arguments.domain:
            domains += [domain for domain in store.domains() if domain in signing_domains(config)]
        for domain in dict.fromkeys(domains):
            keys = store.read(domain)
            sights = {key.selector: look(resolvers, domain, key, _complain) for key in keys}
            advanced, changes = advance(keys, sights, now, config.dkim.retire_days * _DAY_SECONDS)
            if changes:
                store.write(domain, advanced)
            for change in changes:
                print(_describe(domain, change))
            if not any(key.state is State.NEXT for key in keys):
                _print_records(domain, store.make(domain, _BOTH, now))
            for key in (key for key in advanced if key.state is State.NEXT):
                waiting = True
                print(f"; {domain}: {key.selector} waits, DNS shows its record: {sights[key.selector].value}")
                print(zone_lines(record_name(key.selector, domain), key.record))
    return Exit.TEMPFAIL if waiting else Exit.OK


def _own_domains(config: Config) -> list[str]:
    """The domains that need keys, in A-labels: those of the configuration and their other names. The host's own name
    can do without: a domain above it signs for it.
    """
    return list(dict.fromkeys(domain_key(domain) for domain in (*config.domains, *config.domain_aliases)))


def _choose_domains(config: Config, asked: Sequence[str]) -> list[str]:
    """The domains asked for, in A-labels, or all that need keys. Raises Refused for one that is not ours."""
    if not asked:
        if not (known := _own_domains(config)):
            raise Refused(f"{config.source} has no domains; name one with --domain")
        return known
    chosen = [domain_to_ascii(domain) for domain in asked]
    for domain in chosen:
        if domain not in signing_domains(config):
            raise Refused(f"{domain} is not in the domains of {config.source}; put it there first")
    return list(dict.fromkeys(chosen))


@contextmanager
def _open_store(config: Config) -> Iterator[KeyStore]:
    """The key store, as the service user when this is root: what root makes the server could not read."""
    identity = choose(config)
    if not identity.drops:
        yield KeyStore(Disk(), config.data_dir)
        return
    root = f"{config.data_dir}/{DIRECTORY}"
    # A data_dir that was there before may be a mistake (/var): who serves it will look, and it is not given away here.
    fresh = [path for path in (config.data_dir, root) if not Disk().exists(path)]
    Disk().make_directories(root)
    for path in fresh:
        if os.lstat(path).st_uid == 0:
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(identity.gid)
    os.seteuid(identity.uid)
    try:
        yield KeyStore(Disk(), config.data_dir)
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _open_resolvers(config: Config, nameservers: Sequence[str]) -> list[Resolver]:
    """A resolver for each nameserver, so that each of them is asked; one for the system's."""
    clock = SystemClock()
    timeout = float(config.dns.timeout_seconds)
    servers = list(nameservers) or config.dns.nameservers
    return [DnsResolver([server], timeout, clock) for server in servers] or [DnsResolver([], timeout, clock)]


def _complain(text: str) -> None:
    print(f"mailsrv: {text}", file=sys.stderr)


def _print_records(domain: str, keys: Sequence[Key]) -> None:
    """New records as lines of a zone file."""
    print(f"; {domain}: new keys; publish these records, then `mailsrv dkim rotate` makes the keys active")
    for key in keys:
        print(zone_lines(record_name(key.selector, domain), key.record))


def _describe(domain: str, change: Change) -> str:
    state = change.state.value if change.state else "forgotten"
    text = f"; {domain}: {change.key.selector} {change.key.state.value} -> {state}: {change.why.value}"
    if change.state is State.GONE:
        text += f"; remove {record_name(change.key.selector, domain)} from the DNS"
    return text


def _day(seconds: float) -> str:
    """A day in UTC, as ISO 8601 has it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
