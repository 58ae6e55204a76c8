"""What a rehearsal is given: who sends, the message on standard input, the time, and the configuration.

A message saved by a mail program is taken as it would come over the wire: CRLF at the end of each line, no line of an
mbox above it. Nothing else of it is changed.

Diagnostics: the readers of arguments raise argparse.ArgumentTypeError; `read_config` raises ConfigError.
"""

import argparse
import ipaddress
import os
import re
import sys
from datetime import UTC, datetime
from typing import BinaryIO

from mailsrv.errors import GrammarError
from mailsrv.system.clock import Clock, SystemClock
from mailsrv.system.dns import DnsResolver
from mailsrv.system.dns_values import Resolver
from mailsrv.mail.address import Address, domain_to_ascii, parse_address
from mailsrv.mail.envelope import ReversePath
from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.cli.program import DEFAULT_CONFIG

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class RehearsalClock:
    """The system's clock, or one that stands still at `moment` (seconds since the epoch), as old signatures need."""

    def __init__(self, moment: float | None = None) -> None:
        self._moment = moment

    def now(self) -> float:
        """See Clock."""
        return SystemClock.now() if self._moment is None else self._moment

    def monotonic(self) -> float:
        """See Clock."""
        return SystemClock.monotonic()


def read_ip(text: str) -> str:
    """An IP address in its usual form, an IPv4 address inside IPv6 as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            raise argparse.ArgumentTypeError(f"{text!r} has a zone, which means nothing to others")
        if address.ipv4_mapped:
            address = address.ipv4_mapped
    return str(address)


def read_helo(text: str) -> str:
    """What a client says in EHLO: whatever can stand there, since clients say anything."""
    if not text or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} cannot stand in EHLO")
    return text


def read_path(text: str) -> ReversePath:
    """An address, with angle brackets or without; None for `<>` or nothing."""
    inner = text[1:-1] if text[:1] == "<" and text[-1:] == ">" else text
    return read_address(inner) if inner else None


def read_address(text: str) -> Address:
    """An address."""
    try:
        return parse_address(text)
    except GrammarError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: {error}") from None


def read_domain(text: str) -> str:
    """A domain in A-labels."""
    try:
        return domain_to_ascii(text.rstrip("."))
    except GrammarError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no domain: {error}") from None


def read_time(text: str) -> float:
    """Seconds since the epoch, or a date of ISO 8601, in UTC unless it says otherwise; gives seconds."""
    try:
        if re.fullmatch(r"[0-9]{1,12}", text):
            return float(text)
        date = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: say 1700000000 or 2026-11-22T14:00") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def read_message(stream: BinaryIO) -> bytes:
    """The message on standard input with CRLF line ends, the last line ended."""
    if stream.isatty():
        print("mailsrv: reading the message from the terminal; ^D ends it", file=sys.stderr)
    octets = stream.read()
    if octets.startswith(b"From "):  # an mbox's line, which is no field
        octets = octets.partition(b"\n")[2]
    octets = _BARE_LINE_FEED.sub(b"\r\n", octets)
    return octets if not octets or octets.endswith(b"\r\n") else octets + b"\r\n"


def read_config(path: str) -> Config:
    """The configuration, or without one at the usual place the defaults, for checks that need nothing else of it."""
    if path == DEFAULT_CONFIG and not os.access(path, os.R_OK):
        if os.path.exists(path):
            print(f"mailsrv: {path} cannot be read by this user; the defaults are used", file=sys.stderr)
        return Config(hostname=os.uname().nodename, data_dir="")
    return load(path, os.environ)


def open_resolver(config: Config, nameservers: list[str], clock: Clock) -> Resolver:
    """The way to the DNS: these nameservers, or the configuration's, or the system's."""
    servers = nameservers or config.dns.nameservers
    return DnsResolver(servers, float(config.dns.timeout_seconds), clock, trust_ad=config.dns.trust_ad)
