"""Which resolvers are asked, and in which order: those of the configuration, or else those of /etc/resolv.conf.

The file is read again when it changes (a laptop, DHCP, a VPN); of its lines only `nameserver` counts: names are always
absolute here, so a search list must not turn one domain into another. With no server named anywhere, this machine is
asked, as resolv.conf(5) says. A server that was silent or away is asked last for a while, never left out.

Diagnostics: `parse_nameserver` raises GrammarError; an unreadable resolv.conf counts as one without servers.
"""

import ipaddress
import os
import re
import threading
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.system.clock import Clock

DNS_PORT = 53
RESOLV_CONF = "/etc/resolv.conf"
MAX_SERVERS = 8  # a lookup's time is divided among them
SHUN_SECONDS = 30.0
LOCAL = "127.0.0.1"

_WITH_PORT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<four>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Nameserver:
    """Where a resolver listens. `is_local`: on loopback, so that nobody between it and us can forge an answer."""

    address: str
    port: int
    is_local: bool

    def __str__(self) -> str:
        if self.port == DNS_PORT:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse_nameserver(text: str) -> Nameserver:
    """192.0.2.53, 192.0.2.53:5353, 2001:db8::53, [2001:db8::53] or [2001:db8::53]:5353; raises GrammarError."""
    port = DNS_PORT
    address = text
    if match := _WITH_PORT.fullmatch(text):
        address = match["six"] or match["four"]
        port = int(match["port"] or DNS_PORT)
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        ip = None
    if ip is None or not 1 <= port <= 65535 or (text.startswith("[") and ip.version != 6):
        raise GrammarError(f'"{text}" is no IP address, must be like 127.0.0.1, 127.0.0.1:5353, ::1 or [::1]:53')
    return Nameserver(str(ip), port, ip.is_loopback)


def parse_resolv_conf(text: str) -> list[Nameserver]:
    """The servers named in the text of a resolv.conf, in order; lines that are not understood are passed over, as the
    C library does.
    """
    servers: list[Nameserver] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                servers.append(parse_nameserver(words[1]))
            except GrammarError:
                continue
    return servers[:MAX_SERVERS]


class ServerList:
    """The servers to ask now. Threads share it."""

    def __init__(self, nameservers: list[str], clock: Clock, resolv_conf: str) -> None:
        """Entries of `nameservers` as parse_nameserver takes them; raises GrammarError."""
        self._configured = tuple(parse_nameserver(text) for text in nameservers)[:MAX_SERVERS]
        self._clock = clock
        self._path = resolv_conf
        self._stamp: tuple[int, ...] | None = ()
        self._found: tuple[Nameserver, ...] = ()
        self._shunned: dict[Nameserver, float] = {}
        self._lock = threading.Lock()

    def current(self) -> list[Nameserver]:
        """At least one; those that failed lately come last."""
        with self._lock:
            servers = self._configured or self._read_system()
            now = self._clock.monotonic()
            self._shunned = {server: until for server, until in self._shunned.items() if until > now}
            return sorted(servers, key=self._shunned.__contains__)

    def shun(self, server: Nameserver) -> None:
        """`server` was silent or away: others are asked before it for a while."""
        with self._lock:
            self._shunned[server] = self._clock.monotonic() + SHUN_SECONDS

    def _read_system(self) -> tuple[Nameserver, ...]:
        try:
            state = os.stat(self._path)
            # Not the modification time: a file that becomes readable must be read as well.
            stamp: tuple[int, ...] | None = (state.st_ctime_ns, state.st_ino, state.st_size)
        except OSError:
            stamp = None
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    self._found = tuple(parse_resolv_conf(file.read(1 << 16)))
            except OSError:
                self._found = ()
        return self._found or (parse_nameserver(LOCAL),)
