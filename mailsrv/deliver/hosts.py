"""The walk over the hosts of a next hop: which one is tried next, and what it means when none was of use.

Only the decisions: whoever holds the walk connects, and tells it how that ended. Names are looked up when they are
needed, all those of one preference together (RFC 5321 section 5.1): the MX hosts in the order of preference, shuffled
inside one; a domain without MX hosts is its own; one that says so takes no mail (RFC 7505). Hosts as far away as
ourselves, or farther, are left out, so that mail does not go in circles. After every failure that is not about the
message itself the next host is offered; those whose TLS failed once more at the end, without it, unless the level
demands it. The walk is bounded, whatever a domain publishes.

Diagnostics: raises nothing; DNS failures are temporary failures of the walk.
"""

import ipaddress
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from mailsrv.system.dns_values import Answer, Budget, DnsFailure, MxRecord, Resolver, Status
from mailsrv.mail.outcome import Status as Outcome
from mailsrv.mail.reply import Reply
from mailsrv.config.schema import Config
from mailsrv.deliver.route import HopKind, NextHop

MAX_HOSTS = 10  # MX hosts of one walk, the best ones
MAX_ADDRESSES = 20  # of one walk
MAX_HOST_ADDRESSES = 5  # of one host, half of them of each family if it has both
MAX_ANSWERS = 5  # hosts that answered, each with a refusal: the next one will say the same

_NULL_MX = "."


class Fault(Enum):
    """Why a host could not be used."""

    TEMPORARY = "not now"
    PERMANENT = "never, it says"
    TLS = "the required TLS did not come about"


@dataclass(frozen=True, slots=True)
class Host:
    """Whom to connect to. `address` is an IP address, or the path of a unix socket; `name` is what a certificate must
    be for. `plain`: without TLS even if it is offered, since it failed before and nothing demands it. `authentic`: the
    name comes from DNS answers that are proven (RFC 7672 section 2.2)."""

    name: str
    address: str
    port: int
    preference: int = 0
    plain: bool = False
    authentic: bool = False

    def __str__(self) -> str:
        """As the log and reports name it."""
        return self.address if self.address.startswith("/") else f"{self.name} [{self.address}]"


@dataclass(frozen=True, slots=True)
class Ourselves:
    """What we are called and where we listen, to see that mail comes back. `is_own` tells whether an IP address is one
    of this machine; only connections to `ports` reach us there."""

    names: frozenset[str]
    ports: frozenset[int]
    is_own: Callable[[str], bool]

    @classmethod
    def from_config(cls, config: Config, is_own: Callable[[str], bool]) -> Self:
        """By a checked configuration: the names that we say, and the ports on which we take mail from others."""
        names = frozenset(name.lower() for name in (config.hostname, config.queue.helo_name) if name)
        ports = frozenset(one.effective_port for one in config.listeners if one.kind == "smtp" and not one.is_unix)
        return cls(names, ports, is_own)

    def is_here(self, name: str, addresses: Iterable[str], port: int) -> bool:
        """Whether a host is this server."""
        return name in self.names or (port in self.ports and any(self.is_own(address) for address in addresses))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk without success means for its recipients: DELAYED or FAILED, and the words for it. `host` has said
    them, "" when it was us."""

    status: Outcome
    reply: Reply
    host: str = ""


class HostWalk:
    """One attempt at one next hop. Ask `next_host` until a delivery succeeds or it gives None; then there is a
    `verdict`.
    """

    def __init__(
        self,
        resolver: Resolver,
        next_hop: NextHop,
        ourselves: Ourselves,
        below: Callable[[int], int],
        budget: Budget | None = None,
    ) -> None:
        """`below(n)` gives a random number from 0 to n - 1; `budget` bounds the lookups."""
        self._resolver = resolver
        self._hop = next_hop
        self._ourselves = ourselves
        self._below = below
        self._budget = budget
        self._groups: deque[tuple[int, list[str]]] = deque()  # preference, host names; best first
        self._hosts: deque[Host] = deque()
        self._in_plain: deque[Host] = deque()
        self._addresses = self._answers = 0
        self._authentic = self._started = False
        self._failures: list[Verdict] = []
        self._final: Verdict | None = None  # nothing that follows can change it

    def next_host(self) -> Host | None:
        """The next host to try, None when there is none (any more)."""
        if not self._started:
            self._started = True
            self._start()
        while self._final is None and self._answers < MAX_ANSWERS:
            if self._hosts:
                self._addresses += 1
                return self._hosts.popleft()
            if not self._groups or self._addresses >= MAX_ADDRESSES:
                return self._in_plain.popleft() if self._in_plain else None
            self._resolve_group()
        return None

    def failed(self, host: Host, fault: Fault, reply: Reply, by_peer: bool = False) -> None:
        """A host was of no use; `reply` says why, in its words if `by_peer`, else in ours."""
        self._answers += by_peer and fault is not Fault.TLS
        if fault is Fault.TLS and not self._hop.level.needs_tls and not host.plain:
            self._in_plain.append(replace(host, plain=True))
        self._note(fault is Fault.PERMANENT and not self._hop.configured, reply, str(host) if by_peer else "")

    @property
    def verdict(self) -> Verdict:
        """What the walk has come to so far; meant for when `next_host` gave None.

        Its words are those that say most: a host's own before ours, the last ones of these. It has failed for good only
        when every host has.
        """
        if self._final is not None:
            return self._final
        if not self._failures:
            return self._give_up(False, 451, "4.4.4", f"no host of {self._hop} is left to be tried")
        said = [failure for failure in self._failures if failure.host]
        last = (said or self._failures)[-1]
        if all(failure.status is Outcome.FAILED for failure in self._failures):
            return last
        return Verdict(Outcome.DELAYED, as_temporary(last.reply), last.host)

    @property
    def authentic(self) -> bool:
        """Whether the DNS has proven which hosts these are."""
        return self._authentic

    def _note(self, is_permanent: bool, reply: Reply, host: str = "") -> None:
        self._failures.append(Verdict(Outcome.FAILED if is_permanent else Outcome.DELAYED, reply, host))

    def _give_up(self, is_permanent: bool, code: int, enhanced: str, text: str) -> Verdict:
        """Our own words; a next hop that the operator has named is never the recipient's fault."""
        reply = Reply(code, enhanced, text)
        if is_permanent and not self._hop.configured:
            return Verdict(Outcome.FAILED, reply)
        return Verdict(Outcome.DELAYED, as_temporary(reply))

    # Where the walk begins: one function per kind of next hop.

    def _start(self) -> None:
        {
            HopKind.DIRECT: self._start_direct,
            HopKind.SMTP: self._start_named,
            HopKind.LMTP: self._start_named,
            HopKind.LMTP_UNIX: self._start_unix,
            HopKind.LOCAL: self._start_nowhere,
        }[self._hop.kind]()

    def _start_unix(self) -> None:
        self._hosts.append(Host("localhost", self._hop.host, 0))

    def _start_nowhere(self) -> None:
        self._final = Verdict(Outcome.DELAYED, Reply(451, "4.3.5", f"{self._hop} is no host to connect to"))

    def _start_named(self) -> None:
        """A host of the configuration: whoever wrote it knows what is there, so it may be this machine."""
        if (address := _parse_ip(self._hop.host)) is not None:
            self._hosts.append(Host(address, address, self._hop.port, authentic=True))
        else:
            self._groups.append((0, [self._hop.host]))

    def _start_direct(self) -> None:
        domain = self._hop.host
        if domain.startswith("["):
            self._start_literal(domain)
            return
        try:
            answer = self._resolver.query(domain, "MX", self._budget)
        except DnsFailure as failure:
            self._final = self._give_up(False, 451, "4.4.3", f"the mail servers of {domain} cannot be found: {failure}")
            return
        self._authentic = answer.authentic
        if answer.status is Status.NO_NAME:
            self._final = self._give_up(True, 550, "5.1.2", f"the domain {domain} does not exist")
        elif answer.status is Status.NO_DATA:
            self._groups.append((0, [domain]))  # the implicit MX
        else:
            self._start_mx(answer)

    def _start_literal(self, literal: str) -> None:
        address = _parse_ip(literal[1:-1].removeprefix("ipv6:"))
        if address is None:
            self._final = self._give_up(True, 550, "5.1.2", f"{literal} is no address of a host")
        elif self._ourselves.is_here("", [address], self._hop.port):
            self._final = self._loop(literal)
        else:
            self._hosts.append(Host(literal, address, self._hop.port))

    def _start_mx(self, answer: Answer) -> None:
        """Group the MX hosts by preference, without those that are as far away as ourselves."""
        records: Sequence[MxRecord] = answer.records
        usable = sorted({record for record in records if record.host not in ("", _NULL_MX)}, key=_by_preference)
        if not usable:
            text = f"the domain {self._hop.host} does not accept mail (null MX)"
            self._final = self._give_up(True, 556, "5.1.10", text)
            return
        ours = next((record for record in usable if record.host in self._ourselves.names), None)
        groups: dict[int, list[str]] = {}
        for record in usable:
            if ours is None or record.preference < ours.preference:
                groups.setdefault(record.preference, []).append(record.host)
        if not groups:
            self._final = self._loop(self._hop.host)
        left = MAX_HOSTS
        for preference, names in groups.items():
            self._shuffle(names)
            if names[:left]:
                self._groups.append((preference, names[:left]))
            left -= len(names[:left])

    # From names to addresses.

    def _resolve_group(self) -> None:
        """Put the hosts of the next preference into the walk."""
        preference, names = self._groups.popleft()
        found: list[Host] = []
        for name in names:
            addresses, authentic = self._resolve(name)
            if self._hop.kind is HopKind.DIRECT and self._ourselves.is_here(name, addresses, self._hop.port):
                # This host and all farther ones would bring the mail back to us.
                self._groups.clear()
                if not self._failures and not self._addresses:
                    self._final = self._loop(self._hop.host)
                return
            found += [
                Host(name, address, self._hop.port, preference, authentic=authentic and self._is_proven())
                for address in addresses
            ]
        self._hosts.extend(found[: MAX_ADDRESSES - self._addresses])

    def _is_proven(self) -> bool:
        return self._authentic or self._hop.kind is not HopKind.DIRECT

    def _resolve(self, name: str) -> tuple[list[str], bool]:
        """The addresses of a host, shuffled, the families in turn; and whether the DNS has proven them."""
        families: list[list[str]] = []
        failure: DnsFailure | None = None
        exists, authentic = False, True
        for kind in ("A", "AAAA"):
            try:
                answer = self._resolver.query(name, kind, self._budget)
            except DnsFailure as error:
                failure = error
                continue
            exists |= answer.status is not Status.NO_NAME
            authentic &= answer.authentic
            addresses = [str(address) for address in answer.records]
            self._shuffle(addresses)
            families.append(addresses)
        # IPv4 first: an address that does not work costs a moment, but a host that refuses mail over IPv6 for want of a
        # name in reverse DNS refuses it for good.
        mixed = _alternate(families)[:MAX_HOST_ADDRESSES]
        if not mixed and failure is not None:
            self._note(False, Reply(451, "4.4.3", f"the address of {name} cannot be found: {failure}"))
        elif not mixed:
            self._note_without_address(name, exists)
        return mixed, authentic

    def _note_without_address(self, name: str, exists: bool) -> None:
        if name == self._hop.host:
            what = "has neither a mail server nor an address" if exists else "does not exist"
            words = Reply(550, "5.1.2", f"the domain {name} {what}")
        else:
            what = "has no address" if exists else "does not exist"
            words = Reply(550, "5.4.4", f"{name}, a mail server of {self._hop.host}, {what}")
        if self._hop.configured:
            words = as_temporary(Reply(550, "5.4.4", f"{name}, to which mail is routed here, has no address"))
        self._note(not self._hop.configured, words)

    def _loop(self, name: str) -> Verdict:
        text = f"mail for {name} comes back to this server, which does not take it"
        return self._give_up(True, 550, "5.4.6", text)

    def _shuffle(self, items: list[str]) -> None:
        """Put items into a random order, so that equal hosts share the load (Fisher and Yates)."""
        for at in range(len(items) - 1, 0, -1):
            other = self._below(at + 1)
            items[at], items[other] = items[other], items[at]


def _by_preference(record: MxRecord) -> tuple[int, str]:
    return record.preference, record.host


def _alternate(families: Sequence[Sequence[str]]) -> list[str]:
    """One of each in turn, as long as there are any."""
    longest = max((len(family) for family in families), default=0)
    return [family[at] for at in range(longest) for family in families if at < len(family)]


def as_temporary(reply: Reply) -> Reply:
    """The same words with a code that lets the mail wait."""
    if reply.code < 500:
        return reply
    return Reply(451, "4" + reply.enhanced[1:] if reply.enhanced else "", reply.text)


def _parse_ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
