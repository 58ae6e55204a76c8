"""SCRAM-SHA-256: the example of RFC 7677 section 3, a client that follows the RFC, and every way to cheat."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.sasl.mechanism import Challenge, Done, Failed, Step
from mailsrv.sasl.scram import ITERATIONS, ChannelBinding, Scram, ScramKey, derive, format_key, parse_key

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
KEY = derive("pencil", SALT, 4096)
BINDING = ChannelBinding("tls-server-end-point", b"hash of a certificate")


def lookup(name: str) -> ScramKey | None:
    return KEY if name in ("user", "a,b=c") else None


def make(**more: object) -> Scram:
    return Scram(lookup, b"secret", b"server nonce", **more)  # type: ignore[arg-type]


class Client:
    """The client's side of RFC 5802 section 3, independent of the code under test."""

    def __init__(self, name: str = "user", password: str = "pencil", header: str = "n,,", bound: bytes = b"") -> None:
        self.password, self.header, self.bound = password, header, bound
        self.bare = f"n={name},r=cnonce"

    def first(self) -> bytes:
        return (self.header + self.bare).encode()

    def final(self, server_first: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        c = base64.b64encode(self.header.encode() + self.bound).decode()
        without_proof = f"c={c},r={fields['r']}"
        signed = f"{self.bare},{server_first.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
        self.verifier = b"v=" + base64.b64encode(
            hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        )
        return f"{without_proof},p={proof}".encode()


def converse(scram: Scram, client: Client) -> Step:
    """A whole exchange; its last step."""
    step = scram.start(client.first())
    if not isinstance(step, Challenge):
        return step
    step = scram.step(client.final(step.octets))
    if not isinstance(step, Challenge):
        return step
    assert step.octets == client.verifier
    return scram.step(b"")


def test_the_example_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    scram = make()
    monkeypatch.setattr(scram, "_nonce", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert scram.start(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == Challenge(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert scram.step(final) == Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert scram.step(b"") == Done("user")
    assert scram.step(b"") == Failed("the exchange is over", "user")


def test_without_initial_response() -> None:
    scram = make()
    assert scram.start(None) == Challenge(b"")
    assert isinstance(scram.step(b"n,,n=user,r=x"), Challenge)


def test_right_and_wrong() -> None:
    assert converse(make(), Client()) == Done("user")
    assert converse(make(), Client(header="n,a=user,")) == Done("user")
    assert converse(make(), Client(header="y,,")) == Done("user")
    assert converse(make(), Client("a=2Cb=3Dc")) == Done("a,b=c")
    wrong = Failed("wrong password or no such account", "user")
    assert converse(make(), Client(password="Pencil")) == wrong
    assert converse(make(), Client("nobody")) == Failed(wrong.reason, "nobody")


def test_channel_binding() -> None:
    name = BINDING.name
    plus = {"binding": BINDING, "plus": True}
    assert converse(make(**plus), Client(header=f"p={name},,", bound=BINDING.octets)) == Done("user")
    assert isinstance(converse(make(**plus), Client(header=f"p={name},,", bound=b"another")), Failed)
    assert isinstance(converse(make(**plus), Client(header=f"p={name},,")), Failed)
    assert converse(make(**plus), Client()) == Failed("PLUS without channel binding", "user")
    assert converse(make(**plus), Client(header="y,,")) == Failed("PLUS without channel binding", "user")
    assert converse(make(**plus), Client(header="p=tls-exporter,,")) == Failed(
        "unknown type of channel binding", "user"
    )
    assert isinstance(converse(make(plus=True), Client(header=f"p={name},,")), Failed)


def test_downgrade_is_noticed() -> None:
    # "n": the client cannot bind; "y": it could, and believes that the server cannot.
    assert converse(make(binding=BINDING), Client()) == Done("user")
    assert converse(make(binding=BINDING), Client(header="y,,")) == Failed(
        "downgrade: PLUS was removed from the offer", "user"
    )
    assert converse(make(binding=BINDING), Client(header=f"p={BINDING.name},,")) == Failed(
        "channel binding without PLUS", "user"
    )


def test_unknown_accounts_look_the_same_every_time() -> None:
    def first(name: str, secret: bytes = b"secret") -> bytes:
        step = Scram(lookup, secret, b"server nonce").start(f"n,,n={name},r=x".encode())
        assert isinstance(step, Challenge)
        return step.octets

    assert first("nobody") == first("nobody") == first("NoBody")
    assert first("nobody") != first("somebody")
    assert first("nobody") != first("nobody", b"another secret")
    assert len(first("nobody")) == len(first("user"))
    assert first("nobody").endswith(f",i={ITERATIONS}".encode())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n=user,r=x",
        b"n,n=user,r=x",
        b"x,,n=user,r=x",
        b"n,,m=x,n=user,r=x",
        b"n,,n=,r=x",
        b"n,,n=user,r=",
        b"n,,n=us=er,r=x",
        b"n,,n=user",
        b"n,a=other,n=user,r=x",
        b"n,,n=us\0er,r=x",
        b"n,,n=\xff,r=x",
        b"n,,n=user,r=a b",
        b"p=,,n=user,r=x",
        b"n,,n=us\ner,r=x",
        b"n,,n=user,r=x,junk",
    ],
)
def test_malformed_first_messages(message: bytes) -> None:
    assert isinstance(make().start(message), Failed)


def test_extensions_are_ignored() -> None:
    assert isinstance(make().start(b"n,,n=user,r=x,z=something,y="), Challenge)


def test_cheating_in_the_final_message() -> None:
    for old, new in [
        (b"r=cnonce", b"r=other"),
        (b"c=biws", b"c=eSws"),
        (b",p=", b",p=AAAA"),
        (b",p=", b",x="),
        (b"c=", b"c=!"),
    ]:
        scram, client = make(), Client()
        step = scram.start(client.first())
        assert isinstance(step, Challenge)
        assert isinstance(scram.step(client.final(step.octets).replace(old, new, 1)), Failed)
        assert isinstance(scram.step(client.final(step.octets)), Failed), "there is no second try"


def test_something_behind_the_end() -> None:
    scram, client = make(), Client()
    step = scram.start(client.first())
    assert isinstance(step, Challenge)
    assert isinstance(scram.step(client.final(step.octets)), Challenge)
    assert scram.step(b"x") == Failed("octets behind the end", "user")


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_nothing_raises(messages: list[bytes]) -> None:
    scram = make()
    scram.start(b"n,,n=user,r=x")
    for message in messages:
        assert isinstance(scram.step(message), Failed)


def test_keys_as_text() -> None:
    text = format_key(KEY)
    assert text == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert parse_key(text) == KEY
    assert "stored" not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SCRAM-SHA-1$4096:AA==$AA==:AA==",
        "SCRAM-SHA-256$4096:AA==$AA==:AA==",
        "SCRAM-SHA-256$0:AA==$A:A",
        format_key(KEY)[:-1],
        format_key(KEY) + "\n",
        format_key(KEY).replace("4096", "96"),
        format_key(KEY).replace("W22Z", "===="),
        format_key(KEY).replace("W22ZaJ0SNY7soEsUEjb6gQ==", "A"),
    ],
)
def test_no_keys(text: str) -> None:
    with pytest.raises(GrammarError):
        parse_key(text)


def test_passwords_are_prepared() -> None:
    assert derive("I\u00adX", SALT) == derive("IX", SALT)
    with pytest.raises(GrammarError):
        derive("a\u0007", SALT)
