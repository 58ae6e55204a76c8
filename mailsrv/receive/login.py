"""Logins of one session (RFC 4954): SASL exchanges, what they prove, and what failing costs.

A wrong password, an unknown account, an account without password and a malformed exchange get one and the same answer
after the same work. Each failure is slowed down before its answer, the longer the more the address has failed of late;
the third of a session ends it, and too many of an address ban it for a time. Addresses in bans.allow are spared both.
Nothing about a password is kept or logged.

Diagnostics: raises nothing; Busy (no slot for a password check) becomes 454 4.7.0, a ban that cannot be stored is
logged.
"""

import base64
import re
from collections.abc import Callable

from mailsrv.errors import Busy, GrammarError, StorageError
from mailsrv.mail.reply import Reply
from mailsrv.receive.house import Account, Directory
from mailsrv.receive.state import State
from mailsrv.sasl.login import Login as LoginMechanism
from mailsrv.sasl.mechanism import Challenge, Credentials, Done, Failed, Mechanism, Step
from mailsrv.sasl.plain import Plain
from mailsrv.sasl.scram import ChannelBinding, Scram, ScramKey, parse_key
from mailsrv.smtp.events import Auth, AuthCancelled, AuthResponse
from mailsrv.system import entropy, events

SUCCESS = Reply(235, "2.7.0", "authentication successful")
INVALID = Reply(535, "5.7.8", "authentication credentials invalid")
BUSY = Reply(454, "4.7.0", "too many logins at this moment, try again later")
ENOUGH = Reply(421, "4.7.0", "too many failed logins, closing connection")
NOT_OFFERED = Reply(504, "5.5.4", "this mechanism is not offered")

FAILURES = 3  # of one session, the last of which ends it
FIRST_DELAY = 0.5  # seconds, doubled by each further failure of the address
LONGEST_DELAY = 15.0  # seconds: what Dovecot's penalty takes at most, and clients bear
_NONCE_OCTETS = 18

_SCRAM = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
_SIMPLE: dict[str, Callable[[], Mechanism]] = {"PLAIN": Plain, "LOGIN": LoginMechanism}
_BINDING = re.compile(rb"p=([A-Za-z0-9.-]+),")

# Stands in for the key of an account that has none, so that reading a key takes the same time for everybody.
_NO_KEY = f"SCRAM-SHA-256$4096:{'A' * 22}==${'A' * 43}=:{'A' * 43}="


def offered_mechanisms(state: State) -> tuple[str, ...]:
    """Mechanisms in the order of EHLO: only where clients must log in, only inside TLS (or on a loopback listener that
    allows it without), never twice."""
    if not state.is_submission or state.account or (state.tls is None and not state.peer.without_tls):
        return ()
    scram: tuple[str, ...] = ()
    if state.house.directory.scram_ready:
        scram = _SCRAM if state.tls is not None and state.tls.bindings else _SCRAM[1:]
    return (*scram, *_SIMPLE)


def delay_of(failures: int) -> float:
    """Seconds that a failed login waits for its answer, by how many its address has had of late, this one included."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (min(failures, 16) - 1))


class Logins:
    """The exchanges of one session, one after the other."""

    __slots__ = ("_failures", "_mechanism", "_name", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._failures = 0
        self._name = ""
        self._mechanism: Mechanism | None = None

    def begin(self, event: Auth) -> Reply:
        """Answer AUTH."""
        self._name = event.mechanism
        self._mechanism = None
        if event.mechanism not in offered_mechanisms(self._state):
            return NOT_OFFERED
        make = _SIMPLE.get(event.mechanism)
        if make is None and event.initial is None:
            return Reply(334, "", "")  # which binding SCRAM is to use stands in its first message
        self._mechanism = make() if make else self._make_scram(event.initial or b"")
        return self._settle(self._mechanism.start(event.initial))

    def go_on(self, event: AuthResponse) -> Reply:
        """Answer the client's next message."""
        if self._mechanism is None:
            self._mechanism = self._make_scram(event.octets)
            return self._settle(self._mechanism.start(event.octets))
        return self._settle(self._mechanism.step(event.octets))

    def cancel(self, event: AuthCancelled) -> Reply:
        """The exchange is over without a result."""
        self._mechanism = None
        return event.reply

    def _settle(self, step: Step) -> Reply:
        """Turn a mechanism's step into the answer."""
        if isinstance(step, Challenge):
            return Reply(334, "", base64.b64encode(step.octets).decode("ascii"))
        self._mechanism = None
        if isinstance(step, Credentials):
            return self._check(step)
        if isinstance(step, Done):
            account = self._state.house.directory.account(step.account)
            if account is not None:
                return self._succeed(account)
            return self._fail(step.account)
        return self._fail(step.authcid if isinstance(step, Failed) else "")

    def _check(self, claim: Credentials) -> Reply:
        house = self._state.house
        account = house.directory.account(claim.authcid)
        try:
            right = house.passwords.check(account, claim.password)
        except Busy:
            self._log(claim.authcid, "busy")
            return BUSY
        return self._succeed(account) if right and account is not None else self._fail(claim.authcid)

    def _make_scram(self, first: bytes) -> Scram:
        """A SCRAM exchange; `first` is the client's first message, which names the binding it wants to use."""
        house = self._state.house
        bindings = self._state.tls.bindings if self._state.tls else {}
        wanted = _BINDING.match(first)
        name = wanted[1].decode("ascii") if wanted else ""
        if name not in bindings:
            name = next(iter(bindings), "")
        binding = ChannelBinding(name, bindings[name]) if name else None
        return Scram(
            lambda login: _find_key(house.directory, login),
            house.secret,
            entropy.octets(_NONCE_OCTETS),
            binding,
            self._name == _SCRAM[0],
        )

    def _succeed(self, account: Account) -> Reply:
        self._state.account = account.name
        self._state.identity_changed()
        self._state.house.throttle.count("logins")
        self._log(account.name, "ok")
        return SUCCESS

    def _fail(self, name: str) -> Reply:
        """Count, slow down, ban where it is due, and say no more than that it failed."""
        house = self._state.house
        client = self._state.peer.client
        self._failures += 1
        recent = house.throttle.login_failed(client)
        last = self._failures >= FAILURES
        if client == "local" or house.allows(client):
            self._log(name, "wrong")
            return ENOUGH if last else INVALID
        banned = self._ban(client, recent)
        self._log(name, "banned" if banned else "wrong")
        house.wait(delay_of(recent))
        return ENOUGH if last or banned else INVALID

    def _ban(self, client: str, recent: int) -> bool:
        """Ban an address that has failed too often; False when it has not."""
        house = self._state.house
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
        peer = self._state.peer
        events.login(
            self._state.house.log,
            id=peer.session_id,
            client=peer.client,
            kind=peer.kind.value,
            account=name,
            mechanism=self._name,
            result=result,
        )


def _find_key(directory: Directory, login: str) -> ScramKey | None:
    """The SCRAM key of a login name, at the same cost when there is none."""
    account = directory.account(login)
    text = account.scram if account is not None else ""
    try:
        key = parse_key(text or _NO_KEY)
    except GrammarError:
        return None
    return key if text else None
