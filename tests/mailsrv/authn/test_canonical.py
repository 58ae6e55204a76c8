"""Canonical forms, compared with a slow rule-by-rule reading and with dkimpy, for bodies cut anywhere."""

import base64
import hashlib
import re

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.canonical import CanonicalBody, Form, relax_field, relax_value

EMPTY = hashlib.sha256(b"").digest()


def feed(form: Form, *blocks: bytes, lengths: tuple[int, ...] = ()) -> CanonicalBody:
    body = CanonicalBody(form, lengths)
    for block in blocks:
        body.update(block)
    return body


def digest(*blocks: bytes) -> bytes:
    return feed(Form.RELAXED, *blocks).digest()


def relax_slowly(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4, word by word."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def simplify_slowly(body: bytes) -> bytes:
    """RFC 6376 section 3.4.3, word by word."""
    lines = body.split(b"\r\n")
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines) or b"\r\n"


SLOWLY = {Form.RELAXED: relax_slowly, Form.SIMPLE: simplify_slowly}


@pytest.mark.parametrize(
    ("value", "relaxed"),
    [
        (b" X ", b"X"),
        (b" Y\t\r\n\tZ  ", b"Y Z"),
        (b"", b""),
        (b"\r\n ", b""),
        (b" a\t \t b", b"a b"),
        (b" a\x0bb\x0c", b"a\x0bb\x0c"),
        (" ü\u00a0 ".encode(), "ü\u00a0".encode()),
    ],
)
def test_values(value: bytes, relaxed: bytes) -> None:
    assert relax_value(value) == relaxed


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # the example of section 3.4.5
        (b"", b""),
        (b"\r\n", b""),
        (b"\r\n\r\n", b""),
        (b" \r\n", b""),
        (b" ", b""),
        (b"x", b"x\r\n"),
        (b"x ", b"x\r\n"),
        (b"x\r\n \t", b"x\r\n"),
        (b"\r\nx\r\n", b"\r\nx\r\n"),
        (b"a\r\n\r\n\r\nb\r\n", b"a\r\n\r\n\r\nb\r\n"),
        (b"a\r\n \r\n\t\r\n", b"a\r\n"),
        (b"a \rb\r\n", b"a \rb\r\n"),
        (b"a\r", b"a\r\r\n"),
        (b"a \r", b"a \r\r\n"),
        (b"a\n\r\n\r\n", b"a\n\r\n"),
        (b"a\r\n\n\r\n\r\n", b"a\r\n\n\r\n"),
        (b"a\r\n\r\r\n\r\n", b"a\r\n\r\r\n"),
        (b"\n", b"\n\r\n"),
    ],
)
def test_bodies(body: bytes, canonical: bytes) -> None:
    expected = hashlib.sha256(canonical).digest()
    assert hashlib.sha256(relax_slowly(body)).digest() == expected
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            assert digest(body[:first], body[first:second], body[second:]) == expected, (first, second)
    assert digest(*(body[place : place + 1] for place in range(len(body)))) == expected


def test_the_empty_body_has_the_hash_of_the_rfc() -> None:
    assert base64.b64encode(digest()) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert digest() == EMPTY


PIECES = st.sampled_from([b" ", b"\t", b"\r\n", b"\r\n\r\n", b"a", b"b  c", b" \r\n", b".", b"\r", b"\n"])


@given(st.lists(st.lists(PIECES).map(b"".join)))
def test_any_body_cut_anywhere(blocks: list[bytes]) -> None:
    assert digest(*blocks) == hashlib.sha256(relax_slowly(b"".join(blocks))).digest()


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"b c"])).map(b"".join))
def test_an_independent_implementation_agrees(body: bytes) -> None:
    if body.strip(b" \t\r\n"):  # dkimpy makes a line of a body that has only space
        assert digest(body) == hashlib.sha256(Relaxed.canonicalize_body(body + b"\r\n")).digest()


@pytest.mark.parametrize("octet", [b" ", b"\t", b"\r\n", b" \r\n"])
def test_millions_of_nothing_take_no_memory_and_mean_nothing(octet: bytes) -> None:
    block = octet * 200_000
    assert digest(*[block] * 10) == EMPTY
    assert digest(b"x", *[block] * 3) == hashlib.sha256(b"x\r\n").digest()


@pytest.mark.parametrize("name", [b"subject", b"x"])
def test_fields(name: bytes) -> None:
    for field in (b"%b: A\tb \r\n", b"%b :A\r\n  b\r\n", b"%b:\r\n\tA b\r\n"):
        assert relax_field(name, field % name.upper()) == name + b":A b\r\n"


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n"),  # the example of section 3.4.5
        (b"", b"\r\n"),
        (b"\r\n\r\n", b"\r\n"),
        (b" \r\n", b" \r\n"),
        (b"x", b"x\r\n"),
        (b"x\r", b"x\r\r\n"),
        (b"x\n", b"x\n\r\n"),
        (b"x\r\n\r", b"x\r\n\r\r\n"),
        (b"\r\nx \r\n", b"\r\nx \r\n"),
        (b"a\n\r\n\r\n", b"a\n\r\n"),
    ],
)
def test_simple_bodies(body: bytes, canonical: bytes) -> None:
    expected = hashlib.sha256(canonical).digest()
    assert simplify_slowly(body) == canonical
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            assert feed(Form.SIMPLE, body[:first], body[first:second], body[second:]).digest() == expected
    assert feed(Form.SIMPLE, *(body[place : place + 1] for place in range(len(body)))).digest() == expected


@given(st.sampled_from(Form), st.lists(st.lists(PIECES).map(b"".join)), st.sets(st.integers(0, 30)))
def test_beginnings_and_size(form: Form, blocks: list[bytes], lengths: set[int]) -> None:
    body = feed(form, *blocks, lengths=tuple(lengths))
    canonical = SLOWLY[form](b"".join(blocks))
    assert body.size == len(canonical)
    assert body.digest() == hashlib.sha256(canonical).digest()
    for length in lengths:
        assert body.digest(length) == hashlib.sha256(canonical[:length]).digest()


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"b c"])).map(b"".join))
def test_an_independent_implementation_agrees_on_the_simple_form(body: bytes) -> None:
    assert feed(Form.SIMPLE, body).digest() == hashlib.sha256(Simple.canonicalize_body(body + b"\r\n")).digest()


def test_a_length_has_to_be_announced() -> None:
    with pytest.raises(KeyError):
        feed(Form.SIMPLE, b"x").digest(1)
