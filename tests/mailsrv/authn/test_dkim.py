"""Signatures: the published example, cases with their exact fields, and what an independent verifier says of both.

tests/cases/authn/dkim-NN-*/: message.eml, and in `expected` the fields that both keys of dkim-00-rfc8463 make for it.
"""

import base64
import re
from pathlib import Path

import dkim
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.authn.dkim import (
    OVERSIGNED,
    SIGNED,
    FieldNames,
    SigningKey,
    choose_fields,
    compute_signature,
    hash_body,
    select_fields,
    sign,
)
from mailsrv.authn.keys import parse_private_key
from mailsrv.errors import GrammarError
from mailsrv.mail.header import Header, scan

CASES = Path(__file__).parents[2] / "cases" / "authn"
EXAMPLE = CASES / "dkim-00-rfc8463"
MESSAGES = sorted(path for path in CASES.glob("dkim-[0-9]*") if path != EXAMPLE)
DOMAIN = "football.example.com"
NOW = 1528637909

ZONE = {
    f"{name}.".encode(): record.encode()
    for name, record in (line.split(" TXT ") for line in (EXAMPLE / "zone").read_text().splitlines())
}
KEYS = [
    SigningKey(DOMAIN, selector, parse_private_key((EXAMPLE / file).read_bytes()))
    for selector, file in (("brisbane", "ed25519.pem"), ("test", "rsa.pem"))
]
USUAL = FieldNames()
PLAIN = (CASES / "dkim-01-plain" / "message.eml").read_bytes()


def read_header(message: bytes) -> Header:
    header = scan(message, True)
    assert header is not None
    return header


def sign_message(message: bytes, keys: list[SigningKey] = KEYS, chosen: FieldNames = USUAL) -> bytes:
    header = read_header(message)
    return sign(select_fields(header, chosen), hash_body([message[header.length :]]), keys, NOW)


def verify(message: bytes) -> list[bool]:
    """What dkimpy says of each signature, the uppermost first."""
    count = len(re.findall(rb"^DKIM-Signature:", message, re.MULTILINE))
    return [_verify_one(message, number) for number in range(count)]


def _verify_one(message: bytes, number: int) -> bool:
    try:
        return dkim.DKIM(message).verify(idx=number, dnsfunc=lambda name, timeout=5: ZONE.get(name))
    except dkim.ValidationError:  # its way to say that the body is another one
        return False


def tags(field: bytes) -> dict[str, str]:
    text = re.sub(r"\s+", "", field.decode().partition(":")[2])
    return dict(part.split("=", 1) for part in text.split(";"))


def fields_of(octets: bytes) -> list[bytes]:
    return re.findall(rb"DKIM-Signature: (?:[^\r]|\r\n )*\r\n", octets)


def test_the_published_message_verifies() -> None:
    assert verify((EXAMPLE / "message.eml").read_bytes()) == [True, True]


def test_the_published_signatures_are_ours_to_the_octet() -> None:
    header = read_header((EXAMPLE / "message.eml").read_bytes())
    values = header.values(b"dkim-signature")
    names = (b"from", b"to", b"subject", b"date", b"message-id")
    octets = select_fields(header, FieldNames(oversigned=(), signed=names)).octets
    for key, value in zip(KEYS, values, strict=True):
        before, _, signature = value.rpartition(b" b=")
        assert compute_signature(key.private, octets, before + b" b=") == base64.b64decode(signature)


def test_the_published_body_hash() -> None:
    message = (EXAMPLE / "message.eml").read_bytes()
    assert hash_body([message[read_header(message).length :]]) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)
def test_cases(case: Path) -> None:
    message = (case / "message.eml").read_bytes()
    fields = sign_message(message)
    assert fields.replace(b"\r\n", b"\n") == (case / "expected").read_bytes()
    assert verify(fields + message) == [True, True]


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)
def test_form_of_the_field(case: Path) -> None:
    fields = sign_message((case / "message.eml").read_bytes())
    for line in fields.split(b"\r\n"):
        assert len(line) <= 76
        assert line == line.rstrip()
    first, second = fields_of(fields)
    assert first + second == fields
    for field, key in zip((first, second), KEYS, strict=True):
        found = tags(field)
        assert list(found) == ["v", "a", "c", "d", "s", "t", "h", "bh", "b"]
        assert found["v"] == "1"
        assert found["a"] == f"{key.private.algorithm.value}-sha256"
        assert found["c"] == "relaxed/relaxed"
        assert (found["d"], found["s"], found["t"]) == (DOMAIN, key.selector, str(NOW))
        names = [name.encode() for name in found["h"].split(":")]
        header = read_header((case / "message.eml").read_bytes())
        for name in OVERSIGNED:
            assert names.count(name) == header.count(name) + 1
        for name in SIGNED:
            assert names.count(name) == header.count(name)


@pytest.mark.parametrize("name", OVERSIGNED)
@pytest.mark.parametrize("where", ["above", "below"])
def test_a_signed_field_cannot_be_added(name: bytes, where: str) -> None:
    added = name.title() + b": <evil@example.net>\r\n"
    below = PLAIN.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)
    assert verify(sign_message(PLAIN) + (added + PLAIN if where == "above" else below)) == [False, False]


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        (b"A line.", b"B line.", False),
        (b"A line.\r\n", b"A line. \t\r\n", True),
        (b"Another one.\r\n", b"Another\t one.\r\n\r\n\r\n", True),
        (b"Another one.\r\n", b"Another one.\r\nUnsigned text.\r\n", False),
        (b"Subject: A plain message", b"SUBJECT:\r\n\tA plain\r\n message", True),
        (b"Subject: A plain message", b"Subject: another message", False),
        (b"From: Ada", b"Received: from somewhere\r\nX-Spam: no\r\nFrom: Ada", True),
        (b"Subject: A plain message\r\n", b"", False),
    ],
)
def test_what_a_signature_survives(old: bytes, new: bytes, holds: bool) -> None:
    assert old in PLAIN
    assert verify(sign_message(PLAIN) + PLAIN.replace(old, new, 1)) == [holds, holds]


def test_each_signature_stands_alone() -> None:
    ed25519, rsa = fields_of(sign_message(PLAIN))
    assert verify(ed25519 + PLAIN) == [True]
    assert verify(rsa + PLAIN) == [True]
    assert verify(rsa + ed25519 + PLAIN) == [True, True]
    assert sign_message(PLAIN, KEYS[:1]) == ed25519
    assert sign_message(PLAIN, []) == b""


def test_an_earlier_signature_stays_out_of_it() -> None:
    once = sign_message(PLAIN, KEYS[1:]) + PLAIN
    assert verify(sign_message(once, KEYS[:1]) + once) == [True, True]


def test_the_obsolete_space_before_a_colon_is_no_part_of_a_field() -> None:
    for head in (b"From:", b"FROM \t:"):
        header = read_header(head + b" a@b.example\r\n\r\n")
        assert select_fields(header, USUAL).octets == b"from:a@b.example\r\n"


def test_fields_can_be_chosen() -> None:
    field = sign_message(PLAIN, KEYS[:1], FieldNames((), (b"from",)))
    assert tags(field)["h"] == "from"
    assert verify(field + PLAIN) == [True]


def test_long_names_and_many_fields_are_folded() -> None:
    domain = ".".join(["d" * 60] * 3)
    (field,) = fields_of(sign_message(PLAIN, [SigningKey(domain, "s" * 40, KEYS[0].private)]))
    assert tags(field)["d"] == domain
    assert all(len(line) <= 76 for line in field.split(b"\r\n") if domain.encode() not in line)
    many = b"List-Id: x\r\n" * 300 + PLAIN
    assert verify(sign_message(many) + many) == [True, True]


NAMES = st.sampled_from(
    [b"From", b"to", b"SUBJECT", b"List-Id", b"X-Other", b"Received", b"DKIM-Filter", b"References"]
)
WORDS = st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b":", b";", b"b=c", "ü".encode()])
LINES = st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"b  c", "ü".encode(), b"--"])


def _is_a_value(value: bytes) -> bool:
    """Every line of a folded field has more than space (RFC 5322 section 3.2.2)."""
    return all(line.strip() for line in value.split(b"\r\n"))


@settings(max_examples=200)
@given(st.lists(st.tuples(NAMES, st.lists(WORDS).map(b"".join).filter(_is_a_value))), st.lists(LINES).map(b"".join))
def test_whatever_is_signed_an_independent_verifier_accepts(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    header = b"".join(name + b":" + value + b"\r\n" for name, value in fields)
    message = b"From: ada@example.com\r\n" + header + b"\r\n" + body + b"\r\n"
    assert verify(sign_message(message, KEYS[:1]) + message) == [True]


def test_further_fields() -> None:
    chosen = choose_fields(["X-Mailer", "From", "list-id", "x-mailer", "Keywords"])
    assert chosen.oversigned == OVERSIGNED
    assert chosen.signed == (*SIGNED, b"x-mailer", b"keywords")
    assert choose_fields([]) == FieldNames()
    for bad in ("", "a:b", "a;b", "a b", "ü", "DKIM-Signature", "Received", "Return-Path"):
        with pytest.raises(GrammarError, match="is not the name of a header field that can be signed"):
            choose_fields([bad])
