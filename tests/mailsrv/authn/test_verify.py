"""Verification: published and made cases cut and mangled, dkimpy as the oracle, and what hostile messages cost.

tests/cases/authn/dkim-verify-NN-*/: message.eml, zone, `expected` (the time, then one line a finding: result, domain,
selector, reason) and perhaps `mangled`: JSON lists of an octet sequence, what replaces its first occurrence, and the
results that the message has then. 01 is the message of RFC 6376 appendix A.2 with the white space that its signature
is over, which the layout of the RFC does not show: six spaces before each continuation, one behind "the game.".
"""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.authn.canonical import Form
from mailsrv.authn.dkim import FieldNames, SigningKey, hash_body, select_fields
from mailsrv.authn.dkim import sign as sign_as_here
from mailsrv.authn.findings import Ask, DkimFinding, Result
from mailsrv.authn.keys import Algorithm, PrivateKey, PublicKey, make_private_key, parse_private_key
from mailsrv.authn.signature import parse_signature
from mailsrv.authn.verify import hash_bodies, verify_signatures
from mailsrv.mail.header import scan
from mailsrv.system.dns_values import BudgetSpent
from tests.fakes.dns import FakeResolver
from tests.fakes.signer import sign

CASES = sorted((Path(__file__).parents[2] / "cases" / "authn").glob("dkim-verify-*"))
KEYS = CASES[0].parent / "dkim-00-rfc8463"
NOW = 1528637909
LATER = 1 << 40  # behind every time that dkimpy signs at
ED25519 = parse_private_key((KEYS / "ed25519.pem").read_bytes())
RSA = parse_private_key((KEYS / "rsa.pem").read_bytes())
ZONE = (
    f"ed._domainkey.example.com TXT {ED25519.public.record}\n"
    f"rsa._domainkey.example.com TXT {RSA.public.record}\n"
    f"sel._domainkey.example.com TXT {ED25519.public.record}\n"
)
PLAIN = b"From: Ada <ada@example.com>\r\nTo: bob@example.net\r\nSubject: A test\r\n\r\nFirst line.\r\nSecond.\r\n"


def verify(
    message: bytes, zone: str = ZONE, now: float = NOW, blocks: Iterable[bytes] | None = None, most: int = 10
) -> tuple[DkimFinding, ...]:
    header = scan(message, True)
    assert header is not None
    cut = [message[header.length :]] if blocks is None else blocks
    return verify_signatures(header, lambda: cut, FakeResolver(zone).query, now, most)


def results(message: bytes, zone: str = ZONE, now: float = NOW) -> str:
    return " ".join(finding.result.value for finding in verify(message, zone, now))


def reason(message: bytes, zone: str = ZONE) -> str:
    (finding,) = verify(message, zone)
    return f"{finding.result.value}: {finding.reason}"


def body_of(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case: Path) -> None:
    message, zone = (case / "message.eml").read_bytes(), (case / "zone").read_text()
    first, *lines = (case / "expected").read_text().splitlines()
    now = int(first.removeprefix("now "))
    findings = verify(message, zone, now)
    assert [f"{f.result.value} {f.domain or '-'} {f.selector or '-'} {f.reason}".rstrip() for f in findings] == lines
    body = body_of(message)
    for place in range(len(body) + 1):
        assert verify(message, zone, now, [body[:place], body[place:]]) == findings
    assert verify(message, zone, now, (body[place : place + 1] for place in range(len(body)))) == findings
    mangled = case / "mangled"
    for line in mangled.read_text().splitlines() if mangled.exists() else ():
        old, new, expected = json.loads(line)
        assert old.encode() in message
        assert results(message.replace(old.encode(), new.encode(), 1), zone, now) == expected, line


def test_a_finding_in_full() -> None:
    message = sign(PLAIN, RSA, {"s": "RSA", "d": "Example.COM", "i": "a b@Mail.example.com"}) + PLAIN
    signature = parse_signature(message.partition(b"From:")[0])
    assert verify(message) == (
        DkimFinding(
            Result.PASS,
            "example.com",
            "rsa",
            "ab@Mail.example.com",
            "rsa-sha256",
            1024,
            base64.b64encode(signature.octets)[:8].decode(),
        ),
    )


def test_no_signature_and_nothing_is_read() -> None:
    header = scan(PLAIN, True)
    assert header is not None

    def body() -> Iterable[bytes]:
        raise AssertionError("the body is read")

    resolver = FakeResolver(ZONE)
    assert verify_signatures(header, body, resolver.query, NOW) == ()
    broken = scan(b"DKIM-Signature: nothing\r\n" + PLAIN, True)
    assert broken is not None
    (finding,) = verify_signatures(broken, body, resolver.query, NOW)
    assert finding.result is Result.NEUTRAL
    assert resolver.queries == []


def test_the_body_is_read_once_for_all_signatures() -> None:
    forms = [f"{header}/{body}" for header in ("simple", "relaxed") for body in ("simple", "relaxed")]
    message = b"".join(sign(PLAIN, ED25519, {"c": form}) for form in forms) + PLAIN
    header = scan(message, True)
    assert header is not None
    reads = []

    def body() -> Iterator[bytes]:
        reads.append(1)
        yield from (body_of(message)[:7], body_of(message)[7:])

    findings = verify_signatures(header, body, FakeResolver(ZONE).query, NOW)
    assert [finding.result for finding in findings] == [Result.PASS] * 4
    assert reads == [1]


def test_a_key_is_asked_for_only_when_the_body_is_right() -> None:
    message = sign(PLAIN, ED25519) + PLAIN + b"more"
    header = scan(message, True)
    assert header is not None
    resolver = FakeResolver(ZONE)
    (finding,) = verify_signatures(header, lambda: [body_of(message)], resolver.query, NOW)
    assert (finding.result, finding.reason) == (Result.FAIL, "the body is not the one that was signed")
    assert resolver.queries == []


def test_a_length_beyond_the_body() -> None:
    assert reason(sign(PLAIN, ED25519, {"l": "23"}) + PLAIN) == "permerror: l=23 is more than the body has"
    assert reason(sign(PLAIN, ED25519, {"l": "9" * 76}) + PLAIN).startswith("permerror: l=999")
    assert reason(sign(PLAIN, ED25519, {"l": "22"}) + PLAIN) == "pass: "
    assert reason(sign(PLAIN, ED25519, {"l": "21"}) + PLAIN) == "policy: l= covers 21 of 22 octets of the body"


def test_what_was_not_signed_is_a_failure_even_if_it_were_not_trusted() -> None:
    message = sign(PLAIN, ED25519, {"x": "5", "t": "4"}) + PLAIN
    assert reason(message) == "policy: the signature has expired"
    assert reason(message.replace(b"A test", b"another")) == "fail: the signature does not verify"


def test_testing_keys_are_told() -> None:
    zone = f"sel._domainkey.example.com TXT {ED25519.public.record}; t=y\n"
    message = sign(PLAIN, ED25519) + PLAIN
    assert verify(message, zone)[0].testing
    assert not verify(message)[0].testing
    assert verify(message.replace(b"A test", b"x"), zone)[0] == DkimFinding(
        Result.FAIL,
        "example.com",
        "sel",
        "@example.com",
        "ed25519-sha256",
        256,
        verify(message)[0].signature,
        True,
        "the signature does not verify",
    )


def test_a_spent_budget_is_temporary() -> None:
    def ask(name: str, kind: str) -> None:
        raise BudgetSpent("nothing is left " * 99)

    message = sign(PLAIN, ED25519) + PLAIN
    header = scan(message, True)
    assert header is not None
    asked: Ask = ask  # type: ignore[assignment]
    (finding,) = verify_signatures(header, lambda: [body_of(message)], asked, NOW)
    assert finding.result is Result.TEMPERROR
    assert len(finding.reason) <= 200


def test_bare_rsa_public_keys_verify() -> None:
    key = serialization.load_der_public_key(RSA.public.octets)
    octets = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    zone = f"rsa._domainkey.example.com TXT {PublicKey(Algorithm.RSA, octets).record}\n"
    assert results(sign(PLAIN, RSA, {"s": "rsa"}) + PLAIN, zone) == "pass"


@pytest.mark.parametrize("place", range(7))
def test_b_stands_anywhere_in_the_field(place: int) -> None:
    rest = ["v", "a", "c", "d", "s", "bh", "h"]
    order = [*rest[:place], "b", *rest[place:]]
    for form in ("simple/simple", "relaxed/relaxed"):
        for glue in (";", "; ", ";\r\n\t"):
            message = sign(PLAIN, ED25519, {"c": form}, order, glue=glue) + PLAIN
            assert results(message) == "pass"


def test_signatures_that_begin_alike_are_told_apart() -> None:
    octets = [b"x" * length + end * 40 for length in (6, 12, 30) for end in (b"a", b"b")]
    message = b"".join(sign(PLAIN, ED25519, {"b": base64.b64encode(b).decode()}) for b in octets) + PLAIN
    told = [finding.signature for finding in verify(message)]
    assert len(set(told)) == 6
    same = sign(PLAIN, ED25519) * 2 + PLAIN
    assert {len(finding.signature) for finding in verify(same)} == {8}


def test_signatures_beyond_the_bound_are_counted() -> None:
    message = b"".join(sign(PLAIN, ED25519, {"t": str(number)}) for number in range(5)) + PLAIN
    findings = verify(message, most=2)
    assert [finding.result for finding in findings] == [Result.PASS, Result.PASS, Result.NEUTRAL]
    assert findings[2] == DkimFinding(Result.NEUTRAL, "", "", reason="3 more signatures were not looked at")
    assert len(verify(message, most=5)) == 5


def test_an_earlier_signature_may_be_signed_as_well() -> None:
    once = sign(PLAIN, RSA, {"s": "rsa"}) + PLAIN
    for form in ("simple", "relaxed"):
        names = "from:subject:dkim-signature:dkim-signature"
        assert results(sign(once, ED25519, {"h": names, "c": form}) + once) == "pass pass"
        changed = sign(once, ED25519, {"h": names, "c": form}) + once.replace(b"v=1; a=rsa", b"v=1; n=x; a=rsa")
        assert results(changed) == "fail fail"


NAMES = st.sampled_from([b"From", b"to", b"SUBJECT", b"List-Id", b"X-Other", b"Received", b"References"])
WORDS = st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b":", b";", b"b=c", "ü".encode()])
VALUES = st.lists(WORDS).map(b"".join).filter(lambda value: all(line.strip() for line in value.split(b"\r\n")))
LINES = st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"b  c", "ü".encode(), b"--"])
BODIES = st.lists(LINES).map(lambda lines: b"x" + b"".join(lines))  # dkimpy makes a line of a body of space alone
FORMS = [(header, body) for header in (b"simple", b"relaxed") for body in (b"simple", b"relaxed")]
DKIMPY_KEYS = {
    b"ed": (base64.b64encode(ED25519._key.private_bytes_raw()), b"ed25519-sha256"),  # type: ignore[union-attr]
    b"rsa": ((KEYS / "rsa.pem").read_bytes(), b"rsa-sha256"),
}


def sign_with_dkimpy(message: bytes, selector: bytes, forms: tuple[bytes, bytes]) -> bytes:
    key, algorithm = DKIMPY_KEYS[selector]
    field = dkim.sign(message, selector, b"example.com", key, canonicalize=forms, signature_algorithm=algorithm)
    assert isinstance(field, bytes)
    return field


def verify_with_dkimpy(message: bytes) -> bool:
    zone = {name.encode() + b".": text.encode() for name, text in (line.split(" TXT ") for line in ZONE.splitlines())}
    try:
        return dkim.DKIM(message).verify(dnsfunc=lambda name, timeout=5: zone.get(name))
    except dkim.DKIMException:
        return False


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, VALUES)), BODIES, st.sampled_from(FORMS), st.sampled_from([b"ed", b"rsa"]))
def test_what_dkimpy_signs_verifies(
    fields: list[tuple[bytes, bytes]], body: bytes, forms: tuple[bytes, bytes], selector: bytes
) -> None:
    header = b"".join(name + b": x" + value + b"\r\n" for name, value in fields)
    message = b"From: ada@example.com\r\n" + header + b"\r\n" + body + b"\r\n"
    signed = sign_with_dkimpy(message, selector, forms) + message
    (finding,) = verify(signed, now=LATER)
    # A second Subject that the first signature of dkimpy leaves out is not trusted here.
    assert finding.result is Result.PASS or finding.reason.startswith("covers ")


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, VALUES)), st.lists(LINES).map(b"".join), st.sampled_from(["ed", "rsa"]))
def test_what_is_signed_here_verifies(fields: list[tuple[bytes, bytes]], body: bytes, selector: str) -> None:
    lines = b"".join(name + b":" + value + b"\r\n" for name, value in fields)
    message = b"From: ada@example.com\r\n" + lines + b"\r\n" + body
    header = scan(message, True)
    assert header is not None
    key = SigningKey("example.com", selector, ED25519 if selector == "ed" else RSA)
    signed = sign_as_here(select_fields(header, FieldNames()), hash_body([body_of(message)]), [key], NOW) + message
    assert results(signed) == "pass"


MANGLES: list[tuple[bytes, bytes]] = [
    (b"First", b"first"),
    (b"First", b" First"),
    (b"First line", b"First \t line"),
    (b"First line.", b"First line. "),
    (b"Second.\r\n", b"Second.\r\n\r\n"),
    (b"Second.\r\n", b"Second.\r\nx\r\n"),
    (b"Second.\r\n", b""),
    (b"Subject:", b"SUBJECT:"),
    (b"Subject: A", b"Subject:\tA"),
    (b"Subject: A test", b"Subject: A\r\n test"),
    (b"Subject: A test", b"Subject: A  test "),
    (b"Subject: A test", b"Subject: a test"),
    (b"Subject: A test\r\n", b""),
    (b"From: Ada", b"From: Eve"),
    (b"To: bob", b"X-New: x\r\nTo: bob"),
    (b"v=1;", b"v=1; new=x;"),
    (b"v=1;", b"v=2;"),
    (b"v=1;", b"v=1; v=1;"),
    (b"v=1;", b"v=1;;"),
    (b"-sha256", b"-sha1"),
    (b"d=example.com", b"d=example.net"),
    (b" bh=", b" bh=A"),
    (b"DKIM-Signature", b"dkim-signature"),
]


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize("selector", [b"ed", b"rsa"])
def test_what_is_broken_fails_as_with_dkimpy(forms: tuple[bytes, bytes], selector: bytes) -> None:
    signed = sign_with_dkimpy(PLAIN, selector, forms) + PLAIN
    assert verify_with_dkimpy(signed)
    for old, new in MANGLES:
        assert old in signed
        message = signed.replace(old, new, 1)
        assert (results(message, now=LATER) == "pass") == verify_with_dkimpy(message), (old, new)


@settings(max_examples=60)
@given(st.sampled_from(FORMS), st.sampled_from([b"ed", b"rsa"]), st.data())
def test_no_changed_octet_is_overlooked(forms: tuple[bytes, bytes], selector: bytes, data: st.DataObject) -> None:
    signed = sign_with_dkimpy(PLAIN, selector, forms) + PLAIN
    place = data.draw(st.integers(0, len(signed) - 1))
    octet = data.draw(st.sampled_from(b"aA \t;=:0/"))
    message = signed[:place] + bytes([octet]) + signed[place + 1 :]
    if results(message, now=LATER) == "pass":
        assert verify_with_dkimpy(message)


HOSTILE = {
    "a megabyte of b=": sign(PLAIN, ED25519, {"b": "A" * 1_000_000}),
    "many names": sign(PLAIN, ED25519, {"h": "from" + ":x" * 30_000, "b": "QUJD"}),
    "many tags": sign(PLAIN, ED25519, {"b": "QUJD"}).replace(b"v=1", b"v=1" + b";" * 60_000),
    "many spaces": sign(PLAIN, ED25519, {"b": "QUJD"}).replace(b"v=1", b"v=1" + b" " * 60_000),
    "a long name": sign(PLAIN, ED25519, {"d": "a." * 30_000 + "b", "b": "QUJD"}),
    "a long U-label": sign(PLAIN, ED25519, {"d": "ü" * 30_000 + ".example", "b": "QUJD"}),
    "a long selector": sign(PLAIN, ED25519, {"s": "a-" * 30_000, "b": "QUJD"}),
    "a thousand names": sign(PLAIN, ED25519, {"h": ":".join(["from"] * 999)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_fields_end_quickly(name: str) -> None:
    field = HOSTILE[name]
    findings = verify(field * 10 + PLAIN)
    assert len(findings) == 10
    assert {finding.result for finding in findings} <= {Result.NEUTRAL, Result.FAIL, Result.PASS}
    assert all(len(finding.reason) < 200 for finding in findings)


def test_each_length_is_hashed_once() -> None:
    signatures = [parse_signature(sign(PLAIN, ED25519, {"l": str(length)})) for length in (3, 3, 4)]
    bodies = hash_bodies(signatures, lambda: [body_of(PLAIN)])
    assert list(bodies) == [Form.RELAXED]
    assert bodies[Form.RELAXED].digest(3) != bodies[Form.RELAXED].digest(4)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_garbage_raises_nothing(octets: bytes, place: int) -> None:
    signed = sign(PLAIN, ED25519)
    message = signed[: place % len(signed)] + octets + signed[place % len(signed) :] + PLAIN
    for finding in verify(message):
        assert isinstance(finding.result, Result)


def test_keys_as_signers_have_them() -> None:
    private = make_private_key(Algorithm.RSA)
    zone = f"big._domainkey.example.com TXT {private.public.record}\n"
    (finding,) = verify(sign(PLAIN, private, {"s": "big"}) + PLAIN, zone)
    assert (finding.result, finding.bits) == (Result.PASS, 2048)


@pytest.mark.parametrize("form", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed", "relaxed"])
@pytest.mark.parametrize(("selector", "private"), [("ed", ED25519), ("rsa", RSA)])
def test_every_form_and_algorithm(form: str, selector: str, private: PrivateKey) -> None:
    assert results(sign(PLAIN, private, {"c": form, "s": selector}) + PLAIN) == "pass"
