"""Mechanisms on the client's side: the RFCs' examples, our own server's side, and servers that cheat."""

import base64

import pytest

from mailsrv.errors import GrammarError
from mailsrv.sasl.client import LoginClient, PlainClient, ScramClient, choose
from mailsrv.sasl.login import Login
from mailsrv.sasl.mechanism import Challenge, Credentials, Done
from mailsrv.sasl.plain import Plain
from mailsrv.sasl.scram import Scram, derive

NONCE = base64.b64decode("rOprNGfwEbeRWgbNEkqO")


def test_the_example_of_rfc_7677() -> None:
    # Section 3; the client's nonce there is the base64 text, which is longer than ours by characters that base64 lacks.
    client = ScramClient("user", "pencil", b"\0" * 15)
    client._nonce = "rOprNGfwEbeRWgbNEkqO"
    client._bare = "n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert client.start() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    final = client.step(b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert final == b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert not client.is_complete
    assert client.step(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    assert client.is_complete


@pytest.mark.parametrize(("name", "password"), [("me", "pw"), ("a,b=c", "x"), ("mé", "p ß")])
def test_our_own_server_believes_it(name: str, password: str) -> None:
    key = derive(password, b"salt" * 4)
    server = Scram(lambda account: key if account == name else None, b"secret", b"s" * 18)
    client = ScramClient(name, password, b"c" * 18)
    step = server.start(client.start())
    while isinstance(step, Challenge):
        step = server.step(client.step(step.octets))
    assert step == Done(name) and client.is_complete
    assert Plain().start(PlainClient(name, password).start()) == Credentials("", name, password)
    login_server, login = Login(), LoginClient(name, password)
    asked = login_server.start(login.start())
    while isinstance(asked, Challenge):
        asked = login_server.step(login.step(asked.octets))
    assert asked == Credentials("", name, password) and login.is_complete


def first(nonce: str = "x", salt: str = "c2FsdA==", iterations: str = "4096", more: str = "") -> bytes:
    return f"{more}r={base64.b64encode(NONCE).decode()}{nonce},s={salt},i={iterations}".encode()


@pytest.mark.parametrize(
    "challenge",
    [
        b"", b"\xff", b"e=other-error", first(nonce=""), first(salt="!"), first(salt="===="), first(iterations="1"),
        first(iterations="4095"), first(iterations="1000001"), first(more="m=ext,"), b"r=other,s=c2FsdA==,i=4096",
    ],
)  # fmt: skip
def test_wrong_challenges(challenge: bytes) -> None:
    client = ScramClient("user", "pencil", NONCE)
    client.start()
    with pytest.raises(GrammarError):
        client.step(challenge)
    assert not client.is_complete


@pytest.mark.parametrize("final", [b"", b"e=invalid-proof", b"v=AAAA", b"v=!", b"v=" + base64.b64encode(b"x" * 32)])
def test_a_server_that_does_not_know_the_password(final: bytes) -> None:
    client = ScramClient("user", "pencil", NONCE)
    client.start()
    client.step(first())
    with pytest.raises(GrammarError, match="prove"):
        client.step(final)
    assert not client.is_complete


def test_questions_too_many() -> None:
    with pytest.raises(GrammarError):
        PlainClient("a", "b").step(b"")
    login = LoginClient("a", "b")
    assert (login.step(b"Username:"), login.is_complete, login.step(b"Password:")) == (b"a", False, b"b")
    with pytest.raises(GrammarError):
        login.step(b"More:")


def test_nothing_is_sent_that_ends_a_field() -> None:
    with pytest.raises(GrammarError):
        PlainClient("a\0b", "c")
    with pytest.raises(GrammarError):
        LoginClient("a", "c\0")


@pytest.mark.parametrize(
    ("offered", "secure", "chosen"),
    [
        (("PLAIN", "LOGIN", "SCRAM-SHA-256"), True, "SCRAM-SHA-256"),
        (("PLAIN", "SCRAM-SHA-256"), False, "SCRAM-SHA-256"),
        (("LOGIN", "PLAIN"), True, "PLAIN"),
        (("LOGIN", "CRAM-MD5"), True, "LOGIN"),
        (("LOGIN", "PLAIN"), False, None),
        ((), True, None),
    ],
)
def test_the_best_that_is_offered(offered: tuple[str, ...], secure: bool, chosen: str | None) -> None:
    mechanism = choose(offered, "me", "pw", b"n" * 18, secure=secure)
    assert (mechanism.name if mechanism else None) == chosen
