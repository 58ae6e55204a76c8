"""Arguments of commands: names, paths, parameters, encodings."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.smtp import grammar


@pytest.mark.parametrize(
    "name", ["a", "mx.example", "MX_1.example.", "[192.0.2.1]", "[IPv6:::1]", "a" * 255, "1.2.3.4"]
)
def test_client_names(name: str) -> None:
    grammar.check_client_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a(b", "-a", "a" * 256, "[a", "a]", "é.example", "a\tb", "a;b", ".", "[]"]
)
def test_no_client_names(name: str) -> None:
    with pytest.raises(GrammarError):
        grammar.check_client_name(name)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("FROM:<>", (None, "", "")),
        ("from:<a@b.example>", (Address("a", "b.example"), "", "")),
        ("FROM:  <a@b.example>  SIZE=1 X ", (Address("a", "b.example"), "", "SIZE=1 X")),
        ('FROM:<"a> \\"b"@c.example> X', (Address('a> "b', "c.example"), "", "X")),
        ("FROM:<@r.example,@[IPv6:::1]:a@b.example>", (Address("a", "b.example"), "", "")),
        ("FROM:<Postmaster> X", (None, "Postmaster", "X")),
        ("FROM:<a@[192.0.2.1]>", (Address("a", "[192.0.2.1]"), "", "")),
    ],
)
def test_paths(argument: str, expected: tuple[object, ...]) -> None:
    assert grammar.read_path(argument, "FROM:") == expected


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "^$"),
        ("FROM", "^$"),
        ("TO:<a@b.example>", "^$"),
        ("FROM:a@b.example", "^$"),
        ("FROM:<a@b.example", "bracket is missing"),
        ("FROM:<a@b.example>X", "a space is missing"),
        ("FROM:<a@b.example>>", "a space is missing"),
        ('FROM:<"a@b.example>', "quoted"),
        ("FROM:<@r.example:>", "empty"),
        ("FROM:<@r.example:Postmaster>", "@"),
        ("FROM:<@:a@b.example>", "empty"),
        ("FROM:<@r.example,:a@b.example>", "empty"),
        ("FROM:<a@b..example>", "label"),
        ("FROM:<a>b@c.example>", "a space"),
        ("FROM:<<a@b.example>>", "a space"),
    ],
)
def test_no_paths(argument: str, reason: str) -> None:
    with pytest.raises(GrammarError, match=reason):
        grammar.read_path(argument, "FROM:")


def test_a_hostile_route_is_read_fast() -> None:
    with pytest.raises(GrammarError):
        grammar.read_path("FROM:<" + "@a," * 1300 + ">", "FROM:")


def test_parameters() -> None:
    assert grammar.read_parameters("size=1 SMTPUTF8  BODY=8BITMIME") == {
        "SIZE": "1",
        "SMTPUTF8": None,
        "BODY": "8BITMIME",
    }
    for text, keyword in (("A=1 a=2", "A"), ("A=b=c", "A"), ("=1", ""), ("A=", "A"), ("A_B", "A_B"), ("A=\x07", "A")):
        with pytest.raises(GrammarError) as error:
            grammar.read_parameters(text)
        assert str(error.value) == keyword


@pytest.mark.parametrize(("text", "decoded"), [("", ""), ("a+2Bb", "a+b"), ("+3D+20", "= "), ("a@b", "a@b")])
def test_xtext(text: str, decoded: str) -> None:
    assert grammar.read_xtext(text) == decoded


@pytest.mark.parametrize("text", ["+", "+2", "+2b", "a=b", "a b", "é", "+0A", "+00", "+E9", "+7F"])
def test_no_xtext(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.read_xtext(text)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("rfc822;a+2Bb@c.example", "rfc822;a+b@c.example"),
        ("RFC822;a@c.example", "RFC822;a@c.example"),
        ("utf-8;a\\x{E9}\\x{1F600}@c", "utf-8;aé\U0001f600@c"),
        ("UTF-8;é\\x{5C}@c", "UTF-8;é\\@c"),
    ],
)
def test_orcpt(text: str, decoded: str) -> None:
    assert grammar.read_orcpt(text) == decoded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a@b",
        ";a",
        "rfc822;",
        "rfc822;é",
        "utf-8;a+b",
        "utf-8;\\x{D800}",
        "utf-8;\\x{FFFFFF}",
        "utf-8;\\x{0A}",
        "u 8;a",
        "rfc822;" + "a" * 500,
    ],
)
def test_no_orcpt(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.read_orcpt(text)


@given(st.binary(max_size=100))
def test_base64(octets: bytes) -> None:
    assert grammar.read_base64(base64.b64encode(octets).decode()) == octets


@pytest.mark.parametrize(
    "text", ["=", "A", "AA", "AAA", "=AAA", "AAA=BBB", "AA==BB==", "AA A", "AAA\n", "AA-_", "ＡＡＡＡ"]
)
def test_no_base64(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.read_base64(text)


def test_keywords_are_ascii() -> None:
    assert grammar.upper("Mail") == "MAIL"
    assert grammar.upper("ma\u0131l") == ""
