"""The life of a key: every state with everything that can happen, and whole rotations."""

import itertools

import pytest

from mailsrv.authn.keys import Algorithm
from mailsrv.authn.rotation import (
    KEEP_SECONDS,
    STEPS,
    Happening,
    Key,
    Sight,
    State,
    advance,
    advise,
    endangers_mail,
)

NOW = 1_800_000_000
ED, RSA = Algorithm.ED25519, Algorithm.RSA


def key(selector: str, state: State, algorithm: Algorithm = ED, since: int = NOW) -> Key:
    return Key(selector, algorithm, state, since, f"record of {selector}")


def states(keys: tuple[Key, ...]) -> dict[str, State]:
    return {one.selector: one.state for one in keys}


def test_the_table_is_one_line_of_life() -> None:
    assert STEPS == {
        (State.NEXT, Happening.SHOWN): State.ACTIVE,
        (State.ACTIVE, Happening.REPLACED): State.RETIRING,
        (State.RETIRING, Happening.AGED): State.GONE,
        (State.GONE, Happening.REMOVED): None,
    }


@pytest.mark.parametrize(("state", "sight", "old"), list(itertools.product(State, Sight, (False, True))))
def test_one_key_alone(state: State, sight: Sight, old: bool) -> None:
    since = NOW - KEEP_SECONDS if old else NOW - KEEP_SECONDS + 1
    keys, changes = advance([key("a", state, since=since)], {"a": sight}, NOW)
    expected: State | None = state
    if state is State.NEXT and sight is Sight.SHOWN:
        expected = State.ACTIVE
    elif state is State.RETIRING and old:
        expected = State.GONE
    elif state is State.GONE and sight in (Sight.ABSENT, Sight.OTHER):
        expected = None
    assert states(keys) == ({"a": expected} if expected else {})
    if expected is state:
        assert changes == []
        assert keys[0].since == since
    else:
        assert [(change.key.state, change.state) for change in changes] == [(state, expected)]
        assert all(one.since == NOW for one in keys)


def test_only_a_key_of_the_same_algorithm_replaces() -> None:
    old = (key("e1", State.ACTIVE), key("r1", State.ACTIVE, RSA))
    keys, changes = advance((*old, key("e2", State.NEXT), key("r2", State.NEXT, RSA)), {"e2": Sight.SHOWN}, NOW)
    assert states(keys) == {
        "e1": State.RETIRING,
        "r1": State.ACTIVE,
        "e2": State.ACTIVE,
        "r2": State.NEXT,
    }
    assert [(change.key.selector, change.why) for change in changes] == [
        ("e2", Happening.SHOWN),
        ("e1", Happening.REPLACED),
    ]


def test_an_active_key_is_never_retired_without_another() -> None:
    for sight in Sight:
        keys, changes = advance([key("e1", State.ACTIVE, since=0), key("e2", State.NEXT)], {"e1": sight}, NOW)
        assert states(keys) == {"e1": State.ACTIVE, "e2": State.NEXT}
        assert changes == []


def test_two_next_keys_both_become_active() -> None:
    keys, _ = advance([key("a", State.NEXT), key("b", State.NEXT)], dict.fromkeys("ab", Sight.SHOWN), NOW)
    assert states(keys) == {"a": State.ACTIVE, "b": State.ACTIVE}


def test_a_whole_life() -> None:
    keys: tuple[Key, ...] = (key("a", State.NEXT),)
    keys, _ = advance(keys, {"a": Sight.ABSENT}, NOW)
    keys, _ = advance(keys, {"a": Sight.SHOWN}, NOW)
    keys += (key("b", State.NEXT),)
    keys, _ = advance(keys, {"a": Sight.SHOWN, "b": Sight.SHOWN}, NOW + 10)
    assert states(keys) == {"a": State.RETIRING, "b": State.ACTIVE}
    keys, _ = advance(keys, {"a": Sight.SHOWN, "b": Sight.SHOWN}, NOW + 10 + KEEP_SECONDS - 1)
    assert states(keys) == {"a": State.RETIRING, "b": State.ACTIVE}
    keys, _ = advance(keys, {"a": Sight.SHOWN, "b": Sight.SHOWN}, NOW + 10 + KEEP_SECONDS)
    assert states(keys) == {"a": State.GONE, "b": State.ACTIVE}
    keys, _ = advance(keys, {"b": Sight.SHOWN}, NOW + 20 + KEEP_SECONDS)  # no answer is no proof
    assert states(keys) == {"a": State.GONE, "b": State.ACTIVE}
    keys, _ = advance(keys, {"a": Sight.ABSENT, "b": Sight.SHOWN}, NOW + 20 + KEEP_SECONDS)
    assert states(keys) == {"b": State.ACTIVE}


@pytest.mark.parametrize(("state", "sight"), list(itertools.product(State, Sight)))
def test_there_is_advice_for_everything(state: State, sight: Sight) -> None:
    text = advise(key("s", state), sight, "example.com", "2030-01-02")
    assert text
    assert "{" not in text
    if endangers_mail(key("s", state), sight):
        assert "fail" in text
        assert "s._domainkey.example.com" in text
