"""Logins without a protocol: outcomes, and what failing costs. How submission words them is receive/test_login's."""

import base64
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import BansConfig
from mailsrv.directory.logins import Logins, Outcome, Visitor, delay_of, offered_mechanisms
from mailsrv.errors import Busy, StorageError
from mailsrv.sasl.mechanism import Challenge
from tests.fakes.log import FakeLog


@dataclass
class House:
    """Everybody's password is `secret`; alice exists."""

    config: object = field(default_factory=lambda: SimpleNamespace(bans=BansConfig(failures=4), data_dir="/data"))
    log: FakeLog = field(default_factory=FakeLog)
    secret: bytes = b"k" * 32
    waits: list[float] = field(default_factory=list)
    banned: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    allowed: bool = False
    busy: bool = False
    full: bool = False

    directory = property(lambda self: self)
    passwords = property(lambda self: self)
    throttle = property(lambda self: self)
    bans = property(lambda self: self)

    def account(self, login):
        return SimpleNamespace(name="alice", scram="") if login == "alice" else None

    def check(self, account, password):
        if self.busy:
            raise Busy("no slot")
        return account is not None and password == "secret"

    def login_failed(self, client):
        self.failed += 1
        return self.failed

    def count(self, name, number=1):
        self.counts[name] = self.counts.get(name, 0) + number

    def add(self, address, seconds, reason):
        if self.full:
            raise StorageError("full")
        self.banned.append(address)
        return SimpleNamespace(network=address)

    def allows(self, client):
        return self.allowed

    def wait(self, seconds):
        self.waits.append(seconds)


OFFERED = ("SCRAM-SHA-256", "PLAIN", "LOGIN")


def make(house: House, client: str = "192.0.2.1") -> Logins:
    return Logins(house, Visitor("S1", "imap", client))


def plain(logins: Logins, name: str, password: str) -> object:
    return logins.begin("PLAIN", f"\0{name}\0{password}".encode(), OFFERED, {})


@pytest.mark.parametrize(
    ("ready", "bindings", "mechanisms"),
    [
        (False, {}, ("PLAIN", "LOGIN")),
        (True, {}, ("SCRAM-SHA-256", "PLAIN", "LOGIN")),
        (True, {"tls-unique": b"x"}, ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")),
    ],
)
def test_offered_mechanisms(ready, bindings, mechanisms) -> None:
    assert offered_mechanisms(ready, bindings) == mechanisms


def test_a_right_password() -> None:
    house = House()
    logins = make(house)
    assert plain(logins, "alice", "secret") is Outcome.SUCCESS
    assert logins.account.name == "alice"
    assert house.counts == {"logins": 1}
    assert house.log.named("login") == [
        {"id": "S1", "client": "192.0.2.1", "kind": "imap", "account": "alice", "mechanism": "PLAIN", "result": "ok"}
    ]
    assert make(house).try_password("alice", "secret") is Outcome.SUCCESS


def test_failures_are_slowed_down_and_the_third_ends_the_session() -> None:
    house = House()
    logins = make(house)
    assert plain(logins, "alice", "wrong") is Outcome.WRONG
    assert logins.try_password("nobody", "secret") is Outcome.WRONG
    assert plain(logins, "", "") is Outcome.ENOUGH
    assert house.waits == [0.5, 1.0, 2.0] == [delay_of(count) for count in (1, 2, 3)]
    assert logins.account is None
    assert plain(make(house), "alice", "wrong") is Outcome.ENOUGH
    assert house.banned == ["192.0.2.1"]
    assert [event["result"] for event in house.log.named("login")] == ["wrong"] * 3 + ["banned"]


def test_who_is_allowed_is_neither_slowed_down_nor_banned() -> None:
    house = House(allowed=True)
    for _ in range(5):
        assert make(house).try_password("alice", "wrong") is Outcome.WRONG
    assert (house.waits, house.banned) == ([], [])


def test_busy_and_a_ban_that_cannot_be_stored() -> None:
    house = House(busy=True)
    assert make(house).try_password("alice", "secret") is Outcome.BUSY
    assert house.failed == 0
    house = House(full=True, failed=9)
    assert make(house).try_password("alice", "wrong") is Outcome.ENOUGH
    assert house.log.named("storage")


def test_a_dialogue_and_its_end() -> None:
    logins = make(House())
    asked = logins.begin("LOGIN", None, OFFERED, {})
    assert asked == Challenge(b"Username:")
    assert logins.go_on(b"alice") == Challenge(b"Password:")
    assert logins.go_on(b"secret") is Outcome.SUCCESS
    logins.begin("LOGIN", None, OFFERED, {})
    logins.cancel()
    assert logins.begin("CRAM-MD5", None, OFFERED, {}) is Outcome.NOT_OFFERED


def test_scram_for_an_account_without_a_key_fails_at_the_end() -> None:
    logins = make(House())
    assert logins.begin("SCRAM-SHA-256", None, OFFERED, {}) == Challenge(b"")
    first = logins.go_on(b"n,,n=alice,r=abcdef")
    assert isinstance(first, Challenge)
    assert first.octets.startswith(b"r=abcdef")
    nonce = first.octets.split(b",")[0]
    proof = base64.b64encode(bytes(32))
    assert logins.go_on(b"c=biws," + nonce + b",p=" + proof) is Outcome.WRONG
