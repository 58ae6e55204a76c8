"""Key records: what each tag does, which of several records counts, and what keys are not used."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mailsrv.authn.findings import Result
from mailsrv.authn.key_record import KeyRecord, Keys, check_key, find_key, parse_key_record
from mailsrv.authn.keys import Algorithm, PublicKey, make_private_key
from mailsrv.authn.signature import Signature, Unverified
from mailsrv.errors import GrammarError
from tests.fakes.dns import FakeResolver

ED = PublicKey(Algorithm.ED25519, base64.b64decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="))
ED_TEXT = "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
OTHER_TEXT = "k=ed25519; p=" + base64.b64encode(b"o" * 32).decode()
NAME = "sel._domainkey.example.com"


def signature(algorithm: Algorithm = Algorithm.ED25519, identity: str = "example.com") -> Signature:
    return Signature(b"dkim-signature", b"", "example.com", "sel", algorithm, b"", identity_domain=identity)


def find(*texts: str) -> KeyRecord:
    zone = "".join(f"{NAME} TXT {text}\n" for text in texts)
    return find_key(signature(), FakeResolver(zone).query)


def der(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, bare: bool = False) -> bytes:
    form = serialization.PublicFormat.PKCS1 if bare else serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)


def rsa_record(modulus: int, exponent: int = 65537, bare: bool = False) -> KeyRecord:
    return KeyRecord(PublicKey(Algorithm.RSA, der(rsa.RSAPublicNumbers(exponent, modulus).public_key(), bare)))


def test_all_tags() -> None:
    text = f"v=DKIM1; h=SHA1 : sha256; n=a note; s=email:x; t=y : S; g=*; {ED_TEXT}"
    record = parse_key_record(text.encode())
    assert record == KeyRecord(ED, ("sha1", "sha256"), ("email", "x"), ("y", "s"))
    assert record.testing
    assert parse_key_record(ED_TEXT.encode()) == KeyRecord(ED, (), ("*",), ("",))
    assert not parse_key_record(ED_TEXT.encode()).testing


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"v=DKIM1; p=" + b"A" * 4096, "more than 4096 octets"),
        ("v=DKIM1; n=ü; p=".encode(), "is not ASCII"),
        (b"v=DKIM1", "has no p="),
        (b"v=DKIM1.0; p=", "begin with v=DKIM1"),
        (b"k=rsa; v=DKIM1; p=", "begin with v=DKIM1"),
        (b"v=DKIM1; k=x" + b"y" * 99 + b"; p=", "k=xyyyyyyyyyyyyyyyyyyy is not known"),
        (b"v=DKIM1; p=!", "p= is not base64"),
        (b"v=DKIM1; p=; p=", "p= more than once"),
    ],
)
def test_what_is_no_key_record(octets: bytes, complaint: str) -> None:
    with pytest.raises(GrammarError, match=complaint):
        parse_key_record(octets)


def test_one_record_counts() -> None:
    assert find(ED_TEXT).public == ED
    assert find("v=spf1 -all", ED_TEXT, "some words").public == ED
    assert find(ED_TEXT, ED_TEXT.replace("; ", ";")).public == ED


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ((), "no key at the selector"),
        (("v=spf1 -all",), "the key record is not a list of tags|the key record does not begin"),
        ((ED_TEXT, OTHER_TEXT), "2 different keys"),
        ((OTHER_TEXT, ED_TEXT), "2 different keys"),
        ((ED_TEXT, "v=DKIM1; p="), "2 different keys"),
    ],
)
def test_no_one_record(texts: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(Unverified, match=complaint) as caught:
        find(*texts)
    assert caught.value.result is Result.PERMERROR


def test_no_answer() -> None:
    with pytest.raises(Unverified, match="no answer for the key") as caught:
        find_key(signature(), FakeResolver(f"FAIL {NAME}").query)
    assert caught.value.result is Result.TEMPERROR


@pytest.mark.parametrize("zone", [f"{NAME} TXT {ED_TEXT}", f"FAIL {NAME}", ""])
def test_each_key_is_asked_for_once(zone: str) -> None:
    resolver = FakeResolver(zone)
    keys = Keys(resolver.query)
    heard = []
    for _ in range(3):
        try:
            heard.append(keys.find(signature()).public.bits)
        except Unverified as fault:
            heard.append(fault.reason)
    assert heard == heard[:1] * 3
    assert resolver.queries == [(NAME, "TXT")]


@pytest.mark.parametrize(
    ("tags", "identity"),
    [("", "example.com"), ("s=email;", "example.com"), ("s=x:*;", "a.example.com"), ("h=sha256;", "example.com")]
    + [("t=s;", "example.com"), ("t=s;", ""), ("t=y;", "a.example.com"), ("h=sha1:sha256; t=z;", "example.com")],
)
def test_keys_that_may_be_used(tags: str, identity: str) -> None:
    check_key(signature(identity=identity), find(tags + ED_TEXT))


@pytest.mark.parametrize(
    ("text", "result", "complaint"),
    [
        ("s=tlsrpt; " + ED_TEXT, Result.PERMERROR, "not for mail"),
        ("s=; " + ED_TEXT, Result.PERMERROR, "not for mail"),
        ("h=sha1; " + ED_TEXT, Result.PERMERROR, "not for SHA-256"),
        ("h=; " + ED_TEXT, Result.PERMERROR, "not for SHA-256"),
        ("t=s; " + ED_TEXT, Result.PERMERROR, "i= is in a subdomain"),
        ("t=y:s; " + ED_TEXT, Result.PERMERROR, "i= is in a subdomain"),
        ("k=ed25519; p=", Result.FAIL, "revoked"),
        ("p=", Result.FAIL, "revoked"),
        ("p=QUJD", Result.PERMERROR, "the key is for rsa"),
        ("k=ed25519; p=QUJD", Result.PERMERROR, "the key has 3 octets instead of 32"),
    ],
)
def test_keys_that_may_not_be_used(text: str, result: Result, complaint: str) -> None:
    with pytest.raises(Unverified, match=complaint) as caught:
        check_key(signature(identity="a.example.com"), find(text))
    assert caught.value.result is result


@pytest.mark.parametrize("bits", [512, 768, 1023, 8193, 16384, 20000])
@pytest.mark.parametrize("bare", [False, True])
def test_rsa_keys_of_a_size_that_is_not_used(bits: int, bare: bool) -> None:
    record = rsa_record((1 << bits - 1) + 1, bare=bare)
    with pytest.raises(Unverified, match=f"key of {bits} bits") as caught:
        check_key(signature(Algorithm.RSA), record)
    assert caught.value.result is Result.POLICY
    assert not record.public.verify(b"d" * 32, b"s" * (bits // 8))


@pytest.mark.parametrize("bits", [1024, 2048, 4096, 8192])
def test_rsa_keys_that_are_used(bits: int) -> None:
    record = rsa_record((1 << bits - 1) + 1)
    check_key(signature(Algorithm.RSA), record)
    assert record.public.bits == bits
    assert not record.public.verify(b"d" * 32, b"s" * (bits // 8))


def test_a_bare_rsa_key_is_the_same_key() -> None:
    private = make_private_key(Algorithm.RSA)
    key = serialization.load_der_public_key(private.public.octets)
    assert isinstance(key, rsa.RSAPublicKey)
    public = PublicKey(Algorithm.RSA, der(key, bare=True))
    assert public.octets != private.public.octets
    assert (public.bits, public.fault) == (2048, "")
    assert public.verify(b"d" * 32, private.sign(b"d" * 32))
    assert not public.verify(b"e" * 32, private.sign(b"d" * 32))


@pytest.mark.parametrize(
    "octets",
    [
        b"garbage",
        b"\x30\x80" + b"\x00" * 99,
        der(ec.generate_private_key(ec.SECP256R1()).public_key()),
        ED.octets,
        bytes.fromhex("3006020100020103"),  # modulus 0
        bytes.fromhex("30060201ff020103"),  # a negative one
    ],
)
def test_what_is_no_rsa_key(octets: bytes) -> None:
    public = PublicKey(Algorithm.RSA, octets)
    assert not public.verify(b"d" * 32, b"s" * 256)
    with pytest.raises(Unverified, match=r"the key is not an RSA key|key of \d bits"):
        check_key(signature(Algorithm.RSA), KeyRecord(public))


def test_exponents_that_cost() -> None:
    modulus = (1 << 2047) + 1
    for exponent in ((1 << 2040) + 1, (1 << 64) + 1, (1 << 33) + 1):
        record = rsa_record(modulus, exponent)
        with pytest.raises(Unverified, match="an exponent that nobody needs"):
            check_key(signature(Algorithm.RSA), record)
        assert not record.public.verify(b"d" * 32, b"s" * 256)
    check_key(signature(Algorithm.RSA), rsa_record(modulus, 3))


def test_an_even_modulus_verifies_nothing() -> None:
    record = rsa_record(1 << 2047)
    assert not record.public.verify(b"d" * 32, b"s" * 256)
    assert not record.public.verify(b"d" * 32, b"\x00" * 256)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 256, 100_000])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_signatures_of_any_length(algorithm: Algorithm, length: int) -> None:
    assert not make_private_key(algorithm).public.verify(b"d" * 32, b"s" * length)
