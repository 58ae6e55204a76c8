"""Previews: which text, what is left of it, and how much."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.markup import strip_markup
from mailsrv.mail.mime import read_structure
from mailsrv.mail.preview import MAX_CHARACTERS, preview
from tests.mailsrv.mail.messages import mutated_messages


def preview_of(message: bytes) -> str:
    return preview(message, read_structure(message))


PLAIN = [
    (b"Hello,\r\n\r\n  world!\r\n", "Hello, world!"),
    (b"", ""),
    (b"\r\n \t\r\n", ""),
    (b"On Monday A wrote:\r\n> quoted\r\n> more\r\nanswer\r\n-- \r\nsignature\r\n", "On Monday A wrote: answer"),
    (b"> only\n> quoted\n", "> only > quoted"),
    (b"-- \r\nonly signed", "-- only signed"),
    (b"Title\r\n==========\r\nText\r\n----\r\nmore", "Title Text more"),
    ("Grüße \u00a0 an\u200b alle\u00ad\x07".encode(), "Grüße an alle"),
    ("\u200c \u034f\u200c \ufeffa".encode(), "a"),
    ("👨\u200d👩\u200d👧 \u200d".encode(), "👨\u200d👩\u200d👧"),
    (b"bad \xff octet", "bad ÿ octet"),
]


@pytest.mark.parametrize(("body", "text"), PLAIN)
def test_plain_text(body: bytes, text: str) -> None:
    assert preview_of(b"Subject: x\r\n\r\n" + body) == text


HTML = [
    ("<p>Hello</p><p>world</p>", "Hello world"),
    ("<b>H</b>ello <a href='x>y'>link</a>", "Hello y'>link"),
    ("a<br>b<br/>c<td>d", "a b c d"),
    ("<head><title>T</title><style>p{}</style></head><body>B", "B"),
    ("<head>no end<body class=x>B", "B"),
    ("<HEAD>no end", ""),
    ("<style>a</style >b<SCRIPT>c</script>d<script>no end", "b d"),
    ("a<script src=x />b", "a b"),
    ("a<!-- <b> -->b<!-->c-->d<!-- no end", "a b d"),
    ("<!DOCTYPE html><?xml?>a", "a"),
    ("&lt;b&gt; &amp; &nbsp;&zwnj;&#228;&bogus;", "<b> & ä&bogus;"),
    ("1 < 2 <3 and <unclosed", "1 < 2 <3 and"),
    ("</style>a</p>", "a"),
    ("<header>h</header>", "h"),
]


@pytest.mark.parametrize(("html", "text"), HTML)
def test_html(html: str, text: str) -> None:
    assert preview_of(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()) == text


def part(kind: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"--b\r\nContent-Type: " + kind + b"\r\n" + more + b"\r\n" + body + b"\r\n"


def multipart(subtype: bytes, *parts: bytes) -> bytes:
    return b"Content-Type: multipart/" + subtype + b"; boundary=b\r\n\r\n" + b"".join(parts) + b"--b--\r\n"


ATTACHED = b"Content-Disposition: attachment\r\n"

CHOICES = [
    (multipart(b"alternative", part(b"text/html", b"<p>html"), part(b"text/plain", b"plain")), "plain"),
    (multipart(b"alternative", part(b"text/plain", b" "), part(b"text/html", b"<p>html")), "html"),
    (multipart(b"mixed", part(b"text/html", b"<p>html"), part(b"text/plain", b"plain")), "html"),
    (multipart(b"mixed", part(b"text/plain", b"no", ATTACHED), part(b"text/plain", b"yes")), "yes"),
    (multipart(b"mixed", part(b"image/png", b"no"), part(b"text/csv", b"no")), ""),
    (multipart(b"mixed", part(b"image/png", b"no"), part(b"message/rfc822", b"From: a\r\n\r\ninside")), "inside"),
    (multipart(b"encrypted", part(b"text/plain", b"no")), ""),
    (b"Content-Type: application/pkcs7-mime\r\n\r\nno", ""),
]


@pytest.mark.parametrize(("message", "text"), CHOICES)
def test_which_part(message: bytes, text: str) -> None:
    assert preview_of(message) == text


ENCODED = [
    (b"text/plain; charset=iso-8859-1", b"quoted-printable", b"Gr=FC=DFe=\r\n.", "Grüße."),
    (b"text/plain; charset=utf-8", b"base64", b"R3LDvMOfZQ==", "Grüße"),
    (b"text/html; charset=utf-16le", b"base64", b"PABiAD4A/AA=", "ü"),
]


@pytest.mark.parametrize(("kind", "encoding", "body", "text"), ENCODED)
def test_encodings(kind: bytes, encoding: bytes, body: bytes, text: str) -> None:
    assert preview_of(b"Content-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (kind, encoding, body)) == text


@pytest.mark.parametrize("word", ["word", "ä", "漢"])
def test_it_ends_after_so_many_characters(word: str) -> None:
    text = preview_of(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + (word + " ").encode() * 50000)
    assert len(text) in (MAX_CHARACTERS, MAX_CHARACTERS - 1)
    assert set(text.split()[:-1]) == {word}
    assert set(preview_of(b"\r\n" + word.encode() * 50000)) == set(word)
    assert set(preview_of(b"\r\nx" + word.encode() * 50000)) == set(word + "x")


@given(st.one_of(st.binary(max_size=300), mutated_messages()))
def test_any_message_has_a_preview_on_one_line(message: bytes) -> None:
    part = read_structure(message)
    text = preview(message, part)
    assert len(text) <= MAX_CHARACTERS
    assert text == " ".join(text.split())
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)
    assert preview(memoryview(message), part) == text
    text.encode()


PIECES = [
    "<",
    ">",
    "<!--",
    "-->",
    "</",
    "<p",
    "<style",
    "</style>",
    "<head>",
    "/>",
    "&",
    "&#",
    "1;",
    "x",
    " ",
    "'",
    "\u200c",
]


def test_what_is_shown_late_is_found() -> None:
    head = b"Content-Type: text/html\r\n\r\n"
    assert preview_of(head + b"<p>" + b" " * 50000 + b"late") == "late"
    assert preview_of(head + b"<td style='x'></td>" * 2000 + b"<p>late") == "late"
    assert preview_of(head + b"<p>early " + b"<td style='x'></td>" * 2000 + b"<p>late") == "early late"


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_anything_loses_its_markup(html: str) -> None:
    assert len(strip_markup(html)) <= 2 * len(html) + 1


@pytest.mark.parametrize(
    "piece", [*PIECES, "<style>", "<a ", "\n>", "\n----", "\n- ", "\n-- \n", "&#x", "<script></script>"]
)
@pytest.mark.parametrize("kind", [b"plain", b"html"])
def test_hostile_texts_take_time_in_proportion(piece: str, kind: bytes) -> None:
    message = b"Content-Type: text/" + kind + b"; charset=utf-8\r\n\r\n" + piece.encode() * 300000
    part = read_structure(message)
    before = time.process_time()
    preview(message, part)
    assert time.process_time() - before < 2.0
