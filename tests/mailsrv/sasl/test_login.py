"""LOGIN: two questions."""

import pytest

from mailsrv.sasl.login import Login
from mailsrv.sasl.mechanism import Challenge, Credentials, Failed


@pytest.mark.parametrize("initial", [None, b""])
def test_the_questions(initial: bytes | None) -> None:
    exchange = Login()
    assert exchange.start(initial) == Challenge(b"Username:")
    assert exchange.step(b"alice") == Challenge(b"Password:")
    assert exchange.step(b"secret") == Credentials("", "alice", "secret")


def test_the_name_as_initial_response() -> None:
    exchange = Login()
    assert exchange.start(b"alice") == Challenge(b"Password:")
    assert exchange.step(b"secret") == Credentials("", "alice", "secret")


@pytest.mark.parametrize(
    ("name", "password"), [(b"", b"x"), (b"x", b""), (b"\xff", b"x"), (b"x", b"\xff"), (b"a\0b", b"x")]
)
def test_refused(name: bytes, password: bytes) -> None:
    exchange = Login()
    exchange.start(None)
    assert isinstance(exchange.step(name), Challenge)
    assert isinstance(exchange.step(password), Failed)
