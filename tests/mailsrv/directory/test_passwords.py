"""Passwords: right ones pass, all others cost the same one check, inside a slot."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from mailsrv.directory import passwords
from mailsrv.directory.passwords import Passwords, hash_password, prepare_password
from mailsrv.errors import Busy, GrammarError


@dataclass(frozen=True)
class Login:
    password_hash: str


# A cost that a test can pay often.
CHEAP = passwords.hash_secret(b"secret", b"saltsalt", 1, 8, 1, 32, passwords.Type.ID).decode()
ALICE = Login(CHEAP)
RECEIVER = Login("")


def test_a_hash_is_argon2id_at_the_stated_cost_and_never_twice_the_same() -> None:
    one, other = hash_password("secret"), hash_password("secret")
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other
    assert Passwords(nullcontext()).check(Login(one), "secret")


def test_right_and_wrong() -> None:
    checks = Passwords(nullcontext(), [CHEAP])
    assert checks.check(ALICE, "secret")
    for account, password in ((ALICE, "Secret"), (ALICE, ""), (ALICE, "secret\0"), (None, "secret"), (RECEIVER, "")):
        assert not checks.check(account, password)


def test_the_form_of_a_password_does_not_matter() -> None:
    composed = Login(hash_password("pass\u00e9 word"))
    assert Passwords(nullcontext()).check(composed, "passe\u0301\u00a0word")


@pytest.mark.parametrize("password", ["", "a\0b", "a\nb", "\x7f"])
def test_what_cannot_be_a_password(password: str) -> None:
    with pytest.raises(GrammarError):
        prepare_password(password)
    with pytest.raises(GrammarError):
        hash_password(password)


def test_every_check_verifies_one_hash_of_the_same_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def watch(expected: bytes, secret: bytes, kind: Any) -> bool:
        seen.append(expected)
        return verify(expected, secret, kind)

    verify = passwords.verify_secret
    monkeypatch.setattr(passwords, "verify_secret", watch)
    dearer = CHEAP.replace("m=8", "m=16")
    checks = Passwords(nullcontext(), ["", CHEAP, dearer, CHEAP])
    for account, password in ((ALICE, "secret"), (ALICE, "wrong"), (None, "wrong"), (RECEIVER, "wrong"), (ALICE, "\0")):
        checks.check(account, password)
    assert len(seen) == 5
    assert {text.split(b"$")[3] for text in seen} == {b"m=8,t=1,p=1"}
    assert len({len(text) for text in seen}) <= 2, "salt and digest have their usual lengths"
    assert seen[2] == seen[3] == seen[4] != seen[0]


def test_without_any_hash_nobody_costs_what_a_new_one_would() -> None:
    checks = Passwords(nullcontext())
    assert not checks.check(None, "secret")
    assert checks._nobody.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")


def test_each_check_holds_a_slot_and_gives_it_back() -> None:
    held: list[str] = []

    class Slots:
        def __enter__(self) -> None:
            held.append("taken")

        def __exit__(self, *_: object) -> None:
            held.append("given")

    checks = Passwords(Slots(), [CHEAP])
    for account, password in ((ALICE, "secret"), (ALICE, "wrong"), (None, "wrong"), (ALICE, "\0")):
        checks.check(account, password)
    assert held == ["taken", "given"] * 4


def test_no_slot_is_busy_for_everybody_alike() -> None:
    @contextmanager
    def none() -> Iterator[None]:
        raise Busy("no slot")
        yield

    for account in (ALICE, None):
        with pytest.raises(Busy):
            Passwords(none(), [CHEAP]).check(account, "secret")
