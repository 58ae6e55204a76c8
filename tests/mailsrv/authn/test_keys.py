"""Keys and their records: what is made is read back, signatures hold, and what is no key or record is refused."""

import base64
import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from mailsrv.authn.keys import (
    Algorithm,
    PrivateKey,
    PublicKey,
    make_private_key,
    parse_private_key,
    parse_record,
    record_name,
    zone_lines,
)
from mailsrv.errors import GrammarError

# The key of RFC 8463 appendix A, secret and public.
SECRET = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
PUBLIC = base64.b64decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_is_read_back_from_its_file(algorithm: Algorithm) -> None:
    key = make_private_key(algorithm)
    again = parse_private_key(key.pem)
    assert again.algorithm is algorithm
    assert again.public == key.public
    assert again.sign(b"d" * 32) == key.sign(b"d" * 32)
    assert parse_record(key.public.record.encode()) == key.public


def test_the_example_key_of_the_rfc() -> None:
    key = PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(SECRET))
    assert key.public.record == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    ed25519.Ed25519PublicKey.from_public_bytes(key.public.octets).verify(key.sign(b"d" * 32), b"d" * 32)


def test_rsa_signatures_are_pkcs1_of_the_digest() -> None:
    key = make_private_key(Algorithm.RSA)
    public = serialization.load_der_public_key(key.public.octets)
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 2048
    public.verify(key.sign(b"d" * 32), b"d" * 32, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(key.sign(b"d" * 32), b"e" * 32, padding.PKCS1v15(), Prehashed(hashes.SHA256()))


@pytest.mark.parametrize(("algorithm", "bits"), [(Algorithm.RSA, 2048), (Algorithm.ED25519, 256)])
def test_a_public_key_verifies_what_its_private_one_signed(algorithm: Algorithm, bits: int) -> None:
    private = make_private_key(algorithm)
    public = parse_record(private.public.record.encode())
    signature = private.sign(b"d" * 32)
    assert (public.bits, public.fault) == (bits, "")
    assert public.verify(b"d" * 32, signature)
    assert not public.verify(b"e" * 32, signature)
    assert not public.verify(b"d" * 32, signature[::-1])
    assert not make_private_key(algorithm).public.verify(b"d" * 32, signature)
    revoked = PublicKey(algorithm, b"")
    assert (revoked.bits, bool(revoked.fault), revoked.verify(b"d" * 32, signature)) == (0, True, False)


def test_what_is_no_key_that_can_sign() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert parse_private_key(pem(short)).algorithm is Algorithm.RSA
    for octets, complaint in (
        (b"", "is not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is not a private key"),
        (pem(short, b"secret"), "without a password"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither an Ed25519 nor an RSA key"),
    ):
        with pytest.raises(GrammarError, match=complaint):
            parse_private_key(octets)


def test_keys_too_short_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Such a key cannot be made any more, so the bound is moved instead.
    monkeypatch.setattr("mailsrv.authn.keys.LEAST_RSA_BITS", 1025)
    with pytest.raises(GrammarError, match="1024 bits, at least 1025 are needed"):
        parse_private_key(pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)))


@pytest.mark.parametrize(
    "text",
    [
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        " v = DKIM1 ;k= ed25519;p=11qYAYKxCrfVS/7TyWQHOg7h cvPapiMlrwIaaPcHURo =;",
        "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; n=a note; x_new=1",
    ],
)
def test_records_that_mean_the_same(text: str) -> None:
    assert parse_record(text.encode()) == PublicKey(Algorithm.ED25519, PUBLIC)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"v=DKIM1; p=\xff", "ASCII"),
        (b"v=DKIM1; k=ed25519", "no p="),
        (b"", "no p="),
        (b"v=DKIM2; p=AAAA", "begin with v=DKIM1"),
        (b"p=AAAA; v=DKIM1", "begin with v=DKIM1"),
        (b"v=DKIM1; p=AAAA; p=AAAA", "p= more than once"),
        (b"v=DKIM1; nothing; p=AAAA", "list of tags"),
        (b"v=DKIM1; p=A", "base64"),
        (b"v=DKIM1; p=A!AA", "base64"),
        (b"v=DKIM1; k=dsa; p=AAAA", "k=dsa is not known"),
        (b"v=spf1 -all", "list of tags|begin with"),
    ],
)
def test_what_is_no_record(text: bytes, complaint: str) -> None:
    with pytest.raises(GrammarError, match=complaint):
        parse_record(text)


def test_a_revoked_key_has_no_octets_and_rsa_is_the_default() -> None:
    assert parse_record(b"v=DKIM1; p=") == PublicKey(Algorithm.RSA, b"")


def test_zone_lines() -> None:
    assert record_name("s1", "example.com") == "s1._domainkey.example.com"
    assert zone_lines("n.example", "v=DKIM1; p=") == 'n.example. IN TXT "v=DKIM1; p="'
    record = make_private_key(Algorithm.RSA).public.record
    lines = zone_lines("n.example", record)
    strings = re.findall('"([^"]*)"', lines)
    assert "".join(strings) == record
    assert [len(string) for string in strings] == [255, len(record) - 255]
    assert lines.startswith("n.example. IN TXT (\n")
    assert lines.endswith('" )')
