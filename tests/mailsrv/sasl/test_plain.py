"""PLAIN: the examples of RFC 4616 section 4, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.sasl.mechanism import Challenge, Credentials, Failed
from mailsrv.sasl.plain import Plain


def test_the_examples_of_the_rfc() -> None:
    assert Plain().start(b"\0tim\0tanstaaftanstaaf") == Credentials("", "tim", "tanstaaftanstaaf")
    # Kurt acts for Ursel there; nobody may here.
    assert Plain().start(b"Ursel\0Kurt\0xipj3plmq") == Failed("acting for another account is not possible", "Kurt")


def test_without_initial_response() -> None:
    exchange = Plain()
    assert exchange.start(None) == Challenge(b"")
    assert exchange.step(b"\0alice\0secret") == Credentials("", "alice", "secret")


def test_acting_for_oneself() -> None:
    assert Plain().start(b"alice\0alice\0secret") == Credentials("alice", "alice", "secret")


def test_names_and_passwords_are_prepared() -> None:
    assert Plain().start("\0Ⅸ\0I\u00adX".encode()) == Credentials("", "IX", "IX")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"alice\0secret",
        b"\0alice\0",
        b"\0\0secret",
        b"\0alice\0secret\0",
        b"\0\xff\0secret",
        b"\0alice\0se\x07cret",
        b"\0ali\nce\0secret",
        "\0alice\0\ufffd".encode(),
        b"bob\0alice\0secret",
    ],
)
def test_refused(message: bytes) -> None:
    assert isinstance(Plain().start(message), Failed)


@given(st.binary(max_size=40))
def test_nothing_raises(message: bytes) -> None:
    assert isinstance(Plain().start(message), Failed | Credentials)
