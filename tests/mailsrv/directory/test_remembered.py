"""Passwords that were right are remembered for a minute; nothing else is."""

from dataclasses import dataclass

import pytest

from mailsrv.directory import remembered
from mailsrv.directory.remembered import SECONDS, Remembered
from tests.fakes.clock import FakeClock


@dataclass(frozen=True)
class Account:
    name: str
    password_hash: str


class Checker:
    """`right` is the password of everybody; counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def check(self, account: Account | None, password: str) -> bool:
        self.asked += 1
        return account is not None and bool(account.password_hash) and password == "right"


ALICE = Account("alice", "hash 1")


@pytest.fixture
def checker() -> Checker:
    return Checker()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_what_was_right_is_remembered_for_a_minute(checker: Checker, clock: FakeClock) -> None:
    passwords = Remembered(checker, clock)
    assert passwords.check(ALICE, "right")
    clock.advance(SECONDS - 1)
    assert passwords.check(ALICE, "right")
    assert checker.asked == 1
    clock.advance(1)
    assert passwords.check(ALICE, "right")
    assert checker.asked == 2


def test_what_was_wrong_costs_the_same_each_time(checker: Checker, clock: FakeClock) -> None:
    passwords = Remembered(checker, clock)
    for _ in range(3):
        assert not passwords.check(ALICE, "wrong")
        assert not passwords.check(None, "right")
        assert not passwords.check(Account("bob", ""), "right")
    assert checker.asked == 9


@pytest.mark.parametrize("other", [Account("alice", "hash 2"), Account("bob", "hash 1"), Account("alic", "ehash 1")])
def test_another_hash_or_account_is_not_known(checker: Checker, clock: FakeClock, other: Account) -> None:
    passwords = Remembered(checker, clock)
    assert passwords.check(ALICE, "right")
    assert passwords.check(other, "right")
    assert checker.asked == 2


def test_only_digests_under_a_key_of_the_process_are_kept(checker: Checker, clock: FakeClock) -> None:
    one, two = Remembered(checker, clock), Remembered(checker, clock)
    one.check(ALICE, "right")
    two.check(ALICE, "right")
    assert checker.asked == 2
    assert set(one._until) != set(two._until)
    assert all(len(digest) == 32 for digest in one._until)


def test_there_is_a_bound(checker: Checker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST", 2)
    passwords = Remembered(checker, clock)
    accounts = [Account(name, "hash") for name in "abc"]
    for account in accounts:
        passwords.check(account, "right")
    assert len(passwords._until) == 2
    assert passwords.check(accounts[2], "right")
    assert checker.asked == 3
    assert passwords.check(accounts[0], "right")
    assert checker.asked == 4
