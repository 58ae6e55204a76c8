"""Which fields a signature covers: from the last one up, never its own, and what is there more often than signed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.canonical import Form
from mailsrv.authn.keys import Algorithm
from mailsrv.authn.selection import SINGLE, FieldTable
from mailsrv.authn.signature import Signature
from mailsrv.mail.header import scan
from tests.fakes.signer import HEADER, select, split


def signature(names: str, form: Form = Form.RELAXED, own: bytes = b"DKIM-Signature: x \r\n y; b=") -> Signature:
    listed = tuple(name.encode() for name in names.split(":"))
    return Signature(b"dkim-signature", own, "a.b", "s", Algorithm.RSA, b"", form, form, listed)


def table(octets: bytes) -> FieldTable:
    header = scan(octets + b"\r\n", True)
    assert header is not None
    return FieldTable(header)


def expect(*octets: bytes) -> bytes:
    return hashlib.sha256(b"".join(octets)).digest()


HEADER_OCTETS = b"A: 1\r\nB: 2\r\na: 3 \r\n\t3\r\nFrom : x\r\nA:4\r\n"


@pytest.mark.parametrize(
    ("names", "octets"),
    [
        ("a", b"a:4\r\n"),
        ("a:a", b"a:4\r\na:3 3\r\n"),
        ("a:b:a:a:a", b"a:4\r\nb:2\r\na:3 3\r\na:1\r\n"),
        ("c:from:c", b"from:x\r\n"),
        ("c", b""),
    ],
)
def test_the_last_field_comes_first(names: str, octets: bytes) -> None:
    fields = table(HEADER_OCTETS)
    for _ in range(2):
        assert fields.digest(signature(names), 0) == expect(octets, b"dkim-signature:x y; b=")


def test_the_simple_form_changes_nothing() -> None:
    assert table(HEADER_OCTETS).digest(signature("a:a:from", Form.SIMPLE), 0) == expect(
        b"A:4\r\n", b"a: 3 \r\n\t3\r\n", b"From : x\r\n", b"DKIM-Signature: x \r\n y; b="
    )


def test_the_last_line_may_lack_its_end() -> None:
    header = scan(b"From: x", True)
    assert header is not None
    assert FieldTable(header).digest(signature("from", Form.SIMPLE), 0) == expect(
        b"From: x\r\n", b"DKIM-Signature: x \r\n y; b="
    )


@pytest.mark.parametrize("form", Form)
def test_a_signature_is_never_among_its_own_fields(form: Form) -> None:
    fields = table(b"dkim-signature:1\r\ndkim-signature:2\r\ndkim-signature:3\r\n")
    names = "dkim-signature:dkim-signature:dkim-signature"
    own = b"dkim-signature:x"
    assert fields.digest(signature(names, form, own), 0) == expect(
        b"dkim-signature:3\r\ndkim-signature:2\r\n", b"dkim-signature:x"
    )
    assert fields.digest(signature(names, form, own), 1) == expect(
        b"dkim-signature:3\r\ndkim-signature:1\r\n", b"dkim-signature:x"
    )
    assert fields.digest(signature("dkim-signature", form, own), 2) == expect(
        b"dkim-signature:2\r\n", b"dkim-signature:x"
    )
    assert fields.named(b"dkim-signature")[1] == b"dkim-signature:2\r\n"
    assert fields.named(b"other") == ()


NAMES = st.sampled_from(["A", "a", "B", "From", "c"])
VALUES = st.sampled_from(["", " x", " x \t y\r\n  z", ":", "\t "])


@given(st.lists(st.tuples(NAMES, VALUES)), st.lists(NAMES.map(str.lower), min_size=1), st.sampled_from(Form))
def test_any_header(fields: list[tuple[str, str]], names: list[str], form: Form) -> None:
    octets = "".join(f"{name}:{value}\r\n" for name, value in fields).encode()
    own = signature(":".join(names), form)
    chosen = select(split(octets + b"\r\n")[0], [name.encode() for name in names])
    expected = b"".join(map(HEADER[form.value], chosen))
    assert table(octets).digest(own, 0) == expect(expected, own.canonical)


@pytest.mark.parametrize(
    ("header", "names", "complaint"),
    [
        (b"From: a\r\n", "from", ""),
        (b"From: a\r\nFrom: b\r\n", "from", "covers 1 of 2 From fields"),
        (b"From: a\r\nFrom : b\r\n", "from:from", ""),
        (b"From: a\r\nFrom: b\r\n", "from:from:from", ""),
        (b"Subject: a\r\nSubject: b\r\nSubject: c\r\n", "from:subject:subject", "covers 2 of 3 Subject fields"),
        (b"Subject: a\r\nSubject: b\r\n", "from", ""),
        (b"Received: a\r\nReceived: b\r\n", "from:received", ""),
    ],
)
def test_half_signed_fields(header: bytes, names: str, complaint: str) -> None:
    assert table(header).find_half_signed(signature(names)) == complaint


@pytest.mark.parametrize("name", SINGLE.values())
def test_each_field_that_a_message_has_once(name: str) -> None:
    header = f"{name}: 1\r\n{name.upper()}: 2\r\n".encode()
    complaint = table(header).find_half_signed(signature(f"from:{name.lower()}"))
    assert complaint == ("" if name == "From" else f"covers 1 of 2 {name} fields")
