"""Levels: their order, and which one a route demands."""

import pytest

from mailsrv.config.schema import TLS_LEVELS
from mailsrv.transport.level import Level, level_of, strictest


def test_their_order_is_how_much_they_demand() -> None:
    assert sorted(Level) == [Level.NONE, Level.MAY, Level.ENCRYPT, Level.VERIFY]
    assert [level for level in Level if level.needs_tls] == [Level.ENCRYPT, Level.VERIFY]


def test_the_configuration_has_the_same_words() -> None:
    assert TLS_LEVELS == ("", *(level.word for level in sorted(Level)))
    assert [level_of(level.word, has_password=True) for level in Level] == list(Level)


@pytest.mark.parametrize(
    ("has_password", "is_unix", "level"),
    [(False, False, Level.MAY), (True, False, Level.VERIFY), (False, True, Level.NONE), (True, True, Level.NONE)],
)
def test_without_a_word(has_password: bool, is_unix: bool, level: Level) -> None:
    assert level_of("", has_password=has_password, is_unix=is_unix) is level


def test_the_strictest_policy_holds() -> None:
    assert strictest() is Level.MAY
    assert strictest(Level.NONE) is Level.NONE
    assert strictest(Level.MAY, Level.VERIFY, Level.ENCRYPT) is Level.VERIFY


def test_other_words_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="secure"):
        level_of("secure")
