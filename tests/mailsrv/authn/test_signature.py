"""Signature fields: what is read from good ones, which result and reason bad ones get, and that none takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.canonical import Form
from mailsrv.authn.findings import Result
from mailsrv.authn.keys import Algorithm
from mailsrv.authn.signature import MOST_OCTETS, Signature, Unverified, parse_signature

HASH = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
USUAL = {"v": "1", "a": "rsa-sha256", "d": "example.com", "s": "sel", "h": "From:To", "bh": HASH, "b": "QUJD"}


def write(name: str = "DKIM-Signature", **tags: str | None) -> bytes:
    """A field with the usual tags but for these; a value None leaves one out."""
    return f"{name}: {'; '.join(f'{t}={v}' for t, v in {**USUAL, **tags}.items() if v is not None)}\r\n".encode()


def read(**tags: str | None) -> Signature:
    return parse_signature(write(**tags))


def test_defaults() -> None:
    signature = read()
    assert (signature.field, signature.domain, signature.selector) == (b"dkim-signature", "example.com", "sel")
    assert (signature.header_form, signature.body_form) == (Form.SIMPLE, Form.SIMPLE)
    assert (signature.algorithm, signature.octets) == (Algorithm.RSA, b"ABC")
    assert signature.names == (b"from", b"to")
    assert (signature.identity, signature.identity_domain) == ("@example.com", "example.com")
    assert (signature.length, signature.signed_at, signature.expires) == (None, None, None)
    assert len(signature.body_hash) == 32
    assert (signature.instance, signature.chain) == (0, "")


def test_all_tags() -> None:
    signature = read(
        c="Relaxed/simple", i="Ada =2B x@Mail.Example.com", l="12", q="x/y : dns/txt", t="5", x="6", z="From:a", new="?"
    )
    assert (signature.header_form, signature.body_form) == (Form.RELAXED, Form.SIMPLE)
    assert (signature.identity, signature.identity_domain) == ("Ada=2Bx@Mail.Example.com", "mail.example.com")
    assert (signature.length, signature.signed_at, signature.expires) == (12, 5, 6)
    assert read(c="relaxed").body_form is Form.SIMPLE
    assert read(c="simple/relaxed").body_form is Form.RELAXED
    assert read(t="9" * 70, x=None).signed_at == 10**12
    assert read(l="9" * 76).length == int("9" * 76)
    assert read(s="a.b_c-2020.D").selector == "a.b_c-2020.d"
    assert read(a="Ed25519-SHA256").algorithm is Algorithm.ED25519
    assert read(h=" From :\tX-Thing ").names == (b"from", b"x-thing")


def test_u_labels_become_a_labels() -> None:
    signature = read(d="Bücher.example", s="schlüssel", i="ärger@post.bücher.EXAMPLE")
    assert signature.domain == "xn--bcher-kva.example"
    assert signature.selector == "xn--schlssel-95a"
    assert signature.identity == "ärger@post.bücher.EXAMPLE"
    assert signature.identity_domain == "post.xn--bcher-kva.example"
    assert read(d="xn--bcher-kva.example", i="@bücher.example").identity_domain == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("field", "emptied", "canonical"),
    [
        (b"A; b=QUJD; t=1\r\n", b"A; b=; t=1", b"A; b=; t=1"),
        (b"A; t=1; b=QUJD\r\n", b"A; t=1; b=", b"A; t=1; b="),
        (b"A; t=1; b=QUJD;\r\n", b"A; t=1; b=;", b"A; t=1; b=;"),
        (b"A;\r\n\tb =\r\n\tQU\r\n\tJD\r\n", b"A;\r\n\tb =", b"A; b ="),
        (b"A;\r\n  b\t= QU JD ; t=1\r\n", b"A;\r\n  b\t=; t=1", b"A; b =; t=1"),
        (b"b=QUJD; A\r\n", b"b=; A", b"b=; A"),
        (b" b=QUJD;A;\r\n \r\n", b" b=;A;\r\n ", b"b=;A;"),
    ],
)
def test_the_value_of_b_is_left_out_however_it_is_folded(field: bytes, emptied: bytes, canonical: bytes) -> None:
    rest = f"v=1; a=rsa-sha256; d=example.com; s=sel; h=From; xb=b; z=b=b; bb=b=c; bh={HASH}".encode()
    octets = b"DKIM-signature :" + field.replace(b"A", rest)
    simple = parse_signature(octets)
    assert simple.octets == b"ABC"
    assert simple.emptied == b"DKIM-signature :" + emptied.replace(b"A", rest)
    assert simple.canonical == simple.emptied
    relaxed = parse_signature(octets.replace(b"xb=b", b"c=relaxed"))
    assert relaxed.canonical == b"dkim-signature:" + canonical.replace(b"A", rest.replace(b"xb=b", b"c=relaxed"))


FAULTS: list[tuple[dict[str, str | None], Result, str]] = [
    *(({tag: None}, Result.PERMERROR, f"has no {tag}=") for tag in USUAL),
    *(({tag: ""}, Result.PERMERROR, f"has no {tag}=") for tag in USUAL),
    ({"v": "2"}, Result.PERMERROR, "v= is not 1"),
    ({"v": "1.0"}, Result.PERMERROR, "v= is not 1"),
    ({"a": "rsa-sha1"}, Result.PERMERROR, "SHA-1"),
    ({"a": "rsa-sha512"}, Result.NEUTRAL, "a= is not known"),
    ({"a": "dsa-sha256"}, Result.NEUTRAL, "a= is not known"),
    ({"a": "rsa"}, Result.NEUTRAL, "a= is not known"),
    ({"a": "ŕsa-sha256"}, Result.NEUTRAL, "a= is not known"),
    ({"b": "Q"}, Result.NEUTRAL, "b= is not base64"),
    ({"b": "A" * 2736}, Result.NEUTRAL, "b= has 2052 octets"),
    ({"bh": "?"}, Result.NEUTRAL, "bh= is not base64"),
    ({"bh": "QUJD"}, Result.NEUTRAL, "bh= has 3 octets"),
    ({"c": "nofws"}, Result.NEUTRAL, "c= is not known"),
    ({"c": "simple/x"}, Result.NEUTRAL, "c= is not known"),
    ({"c": ""}, Result.NEUTRAL, "c= is not known"),
    ({"c": "simple/"}, Result.NEUTRAL, "c= is not known"),
    ({"c": "simple/simple/simple"}, Result.NEUTRAL, "c= is not known"),
    ({"d": "com"}, Result.NEUTRAL, "d= has one label only"),
    ({"d": "a..b"}, Result.NEUTRAL, "d= is not the name"),
    ({"d": "exa mple.com"}, Result.NEUTRAL, "d= is not the name"),
    ({"d": "☃.example"}, Result.NEUTRAL, "d= is not the name"),
    ({"d": "x." * 200 + "com"}, Result.NEUTRAL, "d= is not the name"),
    ({"s": "a..b"}, Result.NEUTRAL, "s= is not a selector"),
    ({"s": "a b"}, Result.NEUTRAL, "s= is not a selector"),
    ({"s": "-a"}, Result.NEUTRAL, "s= is not a selector"),
    ({"s": "a*"}, Result.NEUTRAL, "s= is not a selector"),
    ({"s": "☃"}, Result.NEUTRAL, "s= is not the name"),
    ({"s": "a" * 300}, Result.NEUTRAL, "s= is not a selector"),
    ({"h": "To:Subject"}, Result.PERMERROR, "h= does not have From"),
    ({"h": "From::To"}, Result.NEUTRAL, "h= is not a list"),
    ({"h": "From:ü"}, Result.NEUTRAL, "h= is not a list"),
    ({"h": "From" + ":To" * 10_000}, Result.NEUTRAL, "h= has more than 1000 names"),
    ({"i": "@example.net"}, Result.PERMERROR, "i= is not under d="),
    ({"i": "@badexample.com"}, Result.PERMERROR, "i= is not under d="),
    ({"i": "@com"}, Result.PERMERROR, "i= is not under d="),
    ({"i": "a@"}, Result.PERMERROR, "i= is not under d="),
    ({"i": "example.com"}, Result.NEUTRAL, "i= is not an identity"),
    ({"i": ""}, Result.NEUTRAL, "i= is not an identity"),
    ({"i": "a" * 2000 + "@example.com"}, Result.NEUTRAL, "i= is not an identity"),
    ({"i": "@a..example.com"}, Result.NEUTRAL, "i= is not the name"),
    ({"l": "-1"}, Result.NEUTRAL, "l= is not a length"),
    ({"l": "9" * 77}, Result.NEUTRAL, "l= is not a length"),
    ({"l": "٣"}, Result.NEUTRAL, "l= is not a length"),
    ({"l": ""}, Result.NEUTRAL, "l= is not a length"),
    ({"q": "dns/a"}, Result.NEUTRAL, "q= has no method"),
    ({"q": ""}, Result.NEUTRAL, "q= has no method"),
    ({"t": "1.5"}, Result.NEUTRAL, "t= is not a time"),
    ({"t": ""}, Result.NEUTRAL, "t= is not a time"),
    ({"x": "soon"}, Result.NEUTRAL, "x= is not a time"),
    ({"t": "5", "x": "5"}, Result.NEUTRAL, "x= is not behind t="),
    ({"t": "9" * 20, "x": "9" * 21}, Result.NEUTRAL, "x= is not behind t="),
    ({"z": "x; a=rsa-sha256"}, Result.PERMERROR, "has the tag a= more than once"),
    ({"z": "x; junk"}, Result.NEUTRAL, "is not a list of tags"),
    ({"z": "x\x00"}, Result.NEUTRAL, "control characters"),
    ({"b": "A" * 3_000_000}, Result.NEUTRAL, f"longer than {MOST_OCTETS} octets"),
]


@pytest.mark.parametrize(("tags", "result", "reason"), FAULTS, ids=lambda value: str(value)[:40])
def test_faults(tags: dict[str, str | None], result: Result, reason: str) -> None:
    with pytest.raises(Unverified, match=reason) as caught:
        read(**tags)
    assert caught.value.result is result
    assert len(caught.value.reason) < 100
    assert caught.value.reason.isascii()


def test_a_fault_tells_whose_signature_it_is() -> None:
    with pytest.raises(Unverified) as caught:
        read(a="rsa-sha1", d="Example.COM")
    assert (caught.value.domain, caught.value.selector) == ("example.com", "sel")
    with pytest.raises(Unverified) as caught:
        read(s="?")
    assert (caught.value.domain, caught.value.selector) == ("example.com", "")


def test_octets_that_are_no_utf8() -> None:
    with pytest.raises(Unverified, match="is not UTF-8"):
        parse_signature(write(z="x").replace(b"z=x", b"z=\xff"))


def test_arc_message_signatures() -> None:
    field = write("ARC-Message-Signature", v=None, i="3", c="relaxed/relaxed", l="7")
    signature = parse_signature(field)
    assert (signature.field, signature.instance, signature.length) == (b"arc-message-signature", 3, 7)
    assert (signature.identity, signature.identity_domain, signature.chain) == ("", "", "")
    for bad in ("0", "100", "x", "٣", "a@example.com"):
        with pytest.raises(Unverified, match="i= is not an instance"):
            parse_signature(write("ARC-Message-Signature", i=bad))
    with pytest.raises(Unverified, match="has no i="):
        parse_signature(write("ARC-Message-Signature"))


def test_seals() -> None:
    seal = parse_signature(write("ARC-Seal", v=None, h=None, bh=None, i="2", cv="Pass", t="9"))
    assert (seal.field, seal.instance, seal.chain, seal.signed_at) == (b"arc-seal", 2, "pass", 9)
    assert (seal.names, seal.body_hash, seal.header_form) == ((), b"", Form.RELAXED)
    for tag in ("i", "cv", "a", "b", "d", "s"):
        with pytest.raises(Unverified, match=f"has no {tag}="):
            parse_signature(write("ARC-Seal", **{"h": None, "i": "2", "cv": "pass", tag: None}))
    with pytest.raises(Unverified, match="a seal has no h="):
        parse_signature(write("ARC-Seal", i="2", cv="pass"))


@given(st.dictionaries(st.sampled_from([*USUAL, "i", "l", "q", "t", "x", "c"]), st.text(max_size=6)))
def test_nothing_else_is_raised(tags: dict[str, str]) -> None:
    try:
        signature = parse_signature(write(**tags).replace(b"\n", b" "))
    except Unverified as fault:
        assert fault.result in (Result.NEUTRAL, Result.PERMERROR)
    else:
        assert signature.domain.isascii()
