"""Logins of one session, whatever its protocol: SASL exchanges, what they prove, and what failing costs.

Submission and IMAP share this, so that a guess costs the same on either port: a wrong password, an unknown account, an
account without password and a malformed exchange get one and the same answer after the same work. Each failure is
slowed down before its answer, the longer the more the address has failed of late; the third of a session ends it, and
too many of an address ban it for a time. Addresses in bans.allow are spared both. How an answer is worded is the
protocol's business (RFC 4954, RFC 9051 section 6.2). Nothing about a password is kept or logged here.

Diagnostics: raises nothing; Busy (no slot for a password check) becomes an Outcome, a ban that cannot be stored is
logged.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from mailsrv.errors import Busy, GrammarError, StorageError
from mailsrv.system import entropy, events
from mailsrv.system.log import Log
from mailsrv.config.schema import Config
from mailsrv.sasl.login import Login as LoginMechanism
from mailsrv.sasl.mechanism import Challenge, Credentials, Done, Failed, Mechanism, Step
from mailsrv.sasl.plain import Plain, check_credentials
from mailsrv.sasl.scram import ChannelBinding, Scram, ScramKey, parse_key

FAILURES = 3  # of one session, the last of which ends it
FIRST_DELAY = 0.5  # seconds, doubled by each further failure of the address
LONGEST_DELAY = 15.0  # seconds: what Dovecot's penalty takes at most, and clients bear
_NONCE_OCTETS = 18

_SCRAM = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
_SIMPLE: dict[str, Callable[[], Mechanism]] = {"PLAIN": Plain, "LOGIN": LoginMechanism}
_BINDING = re.compile(rb"p=([A-Za-z0-9.-]+),")

# Stands in for the key of an account that has none, so that reading a key takes the same time for everybody.
_NO_KEY = f"SCRAM-SHA-256$4096:{'A' * 22}==${'A' * 43}=:{'A' * 43}="


class Outcome(Enum):
    """How a login ended."""

    SUCCESS = "logged in"
    WRONG = "wrong, whatever was wrong"
    ENOUGH = "wrong, and the session is to end"
    BUSY = "no password can be checked at this moment"
    NOT_OFFERED = "the mechanism is not offered"


class Account(Protocol):
    """An account as the directory knows it."""

    @property
    def name(self) -> str: ...
    @property
    def scram(self) -> str: ...


class Accounts(Protocol):
    """Who exists (directory.accounts.Directory)."""

    def account(self, login: str, /) -> Account | None: ...


class Passwords(Protocol):
    """directory.passwords.Passwords: the same work for an account, for one without hash and for None. Raises Busy."""

    def check(self, account: Any, password: str, /) -> bool: ...


class Throttle(Protocol):
    """Counts over all processes (serve.counts.WorkerCounts)."""

    def login_failed(self, client: str, /) -> int: ...
    def count(self, name: str, number: int = 1, /) -> None: ...


class Ban(Protocol):
    """A ban; `network` is what it covers."""

    @property
    def network(self) -> str: ...


class Bans(Protocol):
    """serve.bans.Bans; raises StorageError."""

    def add(self, address: str, seconds: float, reason: str, /) -> Ban: ...


class House(Protocol):
    """The services of a process of which logins are made; both receive.house.House and imapd.house.House are such.

    `secret` keys the fake salts of SCRAM, `wait` lets the session's thread sleep, `allows` knows bans.allow.
    """

    @property
    def config(self) -> Config: ...
    @property
    def directory(self) -> Accounts: ...
    @property
    def passwords(self) -> Passwords: ...
    @property
    def throttle(self) -> Throttle: ...
    @property
    def bans(self) -> Bans: ...
    @property
    def log(self) -> Log: ...
    @property
    def wait(self) -> Callable[[float], None]: ...
    @property
    def secret(self) -> bytes: ...
    def allows(self, client: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who tries to log in: an IP address or "local", by a listener of this kind."""

    session_id: str
    kind: str
    client: str


def offered_mechanisms(scram_ready: bool, bindings: Mapping[str, bytes]) -> tuple[str, ...]:
    """Mechanisms in their order of preference, where logins are allowed at all; `bindings` are those of the TLS
    connection."""
    scram: tuple[str, ...] = ()
    if scram_ready:
        scram = _SCRAM if bindings else _SCRAM[1:]
    return (*scram, *_SIMPLE)


def delay_of(failures: int) -> float:
    """Seconds that a failed login waits for its answer, by how many its address has had of late, this one included."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (min(failures, 16) - 1))


class Logins:
    """The exchanges of one session, one after the other. `account` is who is logged in behind SUCCESS."""

    __slots__ = ("_bindings", "_failures", "_house", "_mechanism", "_name", "_visitor", "account")

    def __init__(self, house: House, visitor: Visitor) -> None:
        self._house = house
        self._visitor = visitor
        self._failures = 0
        self._name = ""
        self._bindings: Mapping[str, bytes] = {}
        self._mechanism: Mechanism | None = None
        self.account: Account | None = None

    def begin(
        self, mechanism: str, initial: bytes | None, offered: tuple[str, ...], bindings: Mapping[str, bytes]
    ) -> Challenge | Outcome:
        """Begin an exchange with a mechanism, which must be among those offered."""
        self._name = mechanism
        self._mechanism = None
        self._bindings = bindings
        if mechanism not in offered:
            return Outcome.NOT_OFFERED
        make = _SIMPLE.get(mechanism)
        if make is None and initial is None:
            return Challenge(b"")  # which binding SCRAM is to use stands in its first message
        self._mechanism = make() if make else self._make_scram(initial or b"")
        return self._settle(self._mechanism.start(initial))

    def go_on(self, octets: bytes) -> Challenge | Outcome:
        """Take the client's next message."""
        if self._mechanism is None:
            self._mechanism = self._make_scram(octets)
            return self._settle(self._mechanism.start(octets))
        return self._settle(self._mechanism.step(octets))

    def cancel(self) -> None:
        """The exchange is over without a result."""
        self._mechanism = None

    def try_password(self, name: str, password: str) -> Outcome:
        """A name and a password in one command, without SASL; logged as the mechanism LOGIN."""
        self._name = "LOGIN"
        settled = self._settle(check_credentials("", name, password))
        assert isinstance(settled, Outcome)  # credentials are never followed by a challenge
        return settled

    def _settle(self, step: Step) -> Challenge | Outcome:
        """Turn a mechanism's step into the answer."""
        if isinstance(step, Challenge):
            return step
        self._mechanism = None
        if isinstance(step, Credentials):
            return self._check(step)
        if isinstance(step, Done):
            account = self._house.directory.account(step.account)
            if account is not None:
                return self._succeed(account)
            return self._fail(step.account)
        return self._fail(step.authcid if isinstance(step, Failed) else "")

    def _check(self, claim: Credentials) -> Outcome:
        account = self._house.directory.account(claim.authcid)
        try:
            right = self._house.passwords.check(account, claim.password)
        except Busy:
            self._log(claim.authcid, "busy")
            return Outcome.BUSY
        return self._succeed(account) if right and account is not None else self._fail(claim.authcid)

    def _make_scram(self, first: bytes) -> Scram:
        """A SCRAM exchange; `first` is the client's first message, which names the binding it wants to use."""
        bindings = self._bindings
        wanted = _BINDING.match(first)
        name = wanted[1].decode("ascii") if wanted else ""
        if name not in bindings:
            name = next(iter(bindings), "")
        return Scram(
            lambda login: _find_key(self._house.directory, login),
            self._house.secret,
            entropy.octets(_NONCE_OCTETS),
            ChannelBinding(name, bindings[name]) if name else None,
            self._name == _SCRAM[0],
        )

    def _succeed(self, account: Account) -> Outcome:
        self.account = account
        self._house.throttle.count("logins")
        self._log(account.name, "ok")
        return Outcome.SUCCESS

    def _fail(self, name: str) -> Outcome:
        """Count, slow down, ban where it is due, and say no more than that it failed."""
        house, client = self._house, self._visitor.client
        self._failures += 1
        recent = house.throttle.login_failed(client)
        last = self._failures >= FAILURES
        if client == "local" or house.allows(client):
            self._log(name, "wrong")
            return Outcome.ENOUGH if last else Outcome.WRONG
        banned = self._ban(client, recent)
        self._log(name, "banned" if banned else "wrong")
        house.wait(delay_of(recent))
        return Outcome.ENOUGH if last or banned else Outcome.WRONG

    def _ban(self, client: str, recent: int) -> bool:
        """Ban an address that has failed too often; False when it has not."""
        house = self._house
        bans = house.config.bans
        if not bans.failures or recent < bans.failures:
            return False
        reason = f"{recent} failed logins within {bans.window_seconds} s"
        try:
            ban = house.bans.add(client, bans.ban_seconds, reason)
        except StorageError as error:
            events.storage(house.log, path=house.config.data_dir, reason=str(error))
            return True
        house.throttle.count("bans")
        events.ban(house.log, address=ban.network, seconds=bans.ban_seconds, reason=reason)
        return True

    def _log(self, name: str, result: str) -> None:
        visitor = self._visitor
        events.login(
            self._house.log,
            id=visitor.session_id,
            client=visitor.client,
            kind=visitor.kind,
            account=name,
            mechanism=self._name,
            result=result,
        )


def _find_key(directory: Accounts, login: str) -> ScramKey | None:
    """The SCRAM key of a login name, at the same cost when there is none."""
    account = directory.account(login)
    text = account.scram if account is not None else ""
    try:
        key = parse_key(text or _NO_KEY)
    except GrammarError:
        return None
    return key if text else None
