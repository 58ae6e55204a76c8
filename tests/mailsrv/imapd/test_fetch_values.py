"""Twin of imapd/fetch_values: what mailsrv finds by offsets, against the standard library's parser where both agree on
what the parts are."""

import email.policy
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from quopri import encodestring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.imap.fetch_grammar import read_items
from mailsrv.imap.tokens import Cursor
from mailsrv.imapd import fetch_values
from mailsrv.imapd.fetch_values import UnknownEncoding, missing, value
from mailsrv.imapd.message_file import MessageFile
from mailsrv.mail.mime import Span
from mailsrv.system.openfile import OpenFile


def ask(octets: bytes, items: str) -> bytes:
    """What is told of one item, all of it."""
    with tempfile.NamedTemporaryFile() as place:
        Path(place.name).write_bytes(octets)
        (item,) = read_items(Cursor(items.encode()))
        with OpenFile.open(place.name) as file:
            message = MessageFile(file)
            told = b""
            for piece in value(message, item):
                told += piece if isinstance(piece, bytes) else (
                    message.read(piece) if isinstance(piece, Span) else b"".join(piece)
                )
            return told


TEXT = b"Subject: one\r\nTo: a@example.com\r\n\r\n0123456789\r\n"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("BODY.PEEK[TEXT]", b"BODY[TEXT] {12}\r\n0123456789\r\n"),
        ("BODY[TEXT]<2.3>", b"BODY[TEXT]<2> {3}\r\n234"),
        ("BODY[TEXT]<11.300>", b"BODY[TEXT]<11> {1}\r\n\n"),
        ("BODY[TEXT]<12.1>", b"BODY[TEXT]<12> {0}\r\n"),
        ("BODY[HEADER.FIELDS (to)]", b"BODY[HEADER.FIELDS (to)] {21}\r\nTo: a@example.com\r\n\r\n"),
        ("BODY[HEADER.FIELDS (to)]<0.2>", b"BODY[HEADER.FIELDS (to)]<0> {2}\r\nTo"),
        ("BODY[HEADER.FIELDS.NOT (TO)]", b"BODY[HEADER.FIELDS.NOT (TO)] {16}\r\nSubject: one\r\n\r\n"),
        ("BODY[2]", b"BODY[2] NIL"),
        ("RFC822.HEADER", b"RFC822.HEADER {35}\r\nSubject: one\r\nTo: a@example.com\r\n\r\n"),
        ("BINARY[1]<1.2>", b"BINARY[1]<1> {2}\r\n12"),
        ("BINARY[2]", b"BINARY[2] NIL"),
        ("BINARY.SIZE[1]", b"BINARY.SIZE[1] 12"),
        ("BINARY.SIZE[2]", b"BINARY.SIZE[2] 0"),
    ],
)  # fmt: skip
def test_one_item(item: str, told: bytes) -> None:
    assert ask(TEXT, item) == told


def test_large_sections_stay_in_the_file(tmp_path: Path) -> None:
    octets = b"Subject: x\r\n\r\n" + b"y" * fetch_values.SEGMENT * 2
    (tmp_path / "message").write_bytes(octets)
    with OpenFile.open(str(tmp_path / "message")) as file:
        (item,) = read_items(Cursor(b"BODY[TEXT]<3.70000>"))
        assert value(MessageFile(file), item) == [b"BODY[TEXT]<3> {70000}\r\n", Span(17, 70000)]


@pytest.mark.parametrize("size", [100, 100_000])
def test_large_parts_are_decoded_in_blocks(size: int) -> None:
    for octets, mark in ((b"text\r\n" * size, b""), (b"\0text\r\n" * size, b"~")):
        message = b"Content-Transfer-Encoding: base64\r\n\r\n" + b64encode(octets)
        assert ask(message, "BINARY[1]") == b"BINARY[1] %b{%d}\r\n%b" % (mark, len(octets), octets)
        assert ask(message, "BINARY[1]<0.7>") == b"BINARY[1]<0> %b{7}\r\n%b" % (mark, octets[:7])
        assert ask(message, "BINARY.SIZE[1]") == b"BINARY.SIZE[1] %d" % len(octets)


@pytest.mark.parametrize("item", ["BINARY[1]", "BINARY.SIZE[1]"])
def test_an_encoding_that_nobody_knows(item: str) -> None:
    with pytest.raises(UnknownEncoding):
        ask(b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n", item)


def test_what_is_missing() -> None:
    items = read_items(Cursor(b"(BODY[] BINARY[1] BINARY.SIZE[1])"))
    assert [missing(item) for item in items] == [b"BODY[] NIL", b"BINARY[1] NIL", b"BINARY.SIZE[1] 0"]


# Against the standard library

LINES = st.lists(st.text("abc é-=\t ", max_size=30), max_size=4).map(lambda lines: "\r\n".join(lines).encode())


def leaf(octets: bytes, encoding: str) -> bytes:
    encoded = {"base64": b64encode, "quoted-printable": encodestring}.get(encoding, bytes)(octets)
    encoded = encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    header = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n" % encoding.encode()
    return header + encoded


def multipart(parts: list[bytes]) -> bytes:
    boundary = b"=_%d" % sum(map(len, parts))
    inner = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts)
    return b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\npreamble\r\n%b--%b--\r\n' % (boundary, inner, boundary)


LEAVES = st.builds(leaf, LINES, st.sampled_from(["base64", "quoted-printable", "8bit"]))
MESSAGES = st.recursive(
    LEAVES,
    lambda inner: st.builds(multipart, st.lists(inner, min_size=1, max_size=3))
    | inner.map(lambda message: b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n" + message),
    max_leaves=5,
).map(lambda message: b"From: a@example.com\r\n" + message)


def walk(message: Message, path: tuple[int, ...], top: bool) -> Iterator[tuple[tuple[int, ...], Message]]:
    """The parts of a message with their numbers, as RFC 9051 section 6.4.5.1 counts them."""
    if message.get_content_maintype() == "multipart":
        for number, part in enumerate(message.get_payload(), 1):
            assert isinstance(part, Message)
            yield (*path, number), part
            if part.get_content_type() == "message/rfc822":
                (inner,) = part.get_payload()
                assert isinstance(inner, Message)
                yield from walk(inner, (*path, number), True)
            elif part.is_multipart():
                yield from walk(part, (*path, number), False)
    elif top:
        yield (*path, 1), message


@given(MESSAGES)
@settings(deadline=None, max_examples=60)
def test_parts_are_those_of_another_parser(octets: bytes) -> None:
    parsed = BytesParser(policy=email.policy.compat32).parsebytes(octets)
    for path, part in walk(parsed, (), True):
        number = ".".join(map(str, path))
        if part.is_multipart() or path[-1:] == (1,) and part is parsed:
            continue
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        if part["Content-Transfer-Encoding"] == "quoted-printable":
            # Space at the end of a line is the encoding's own business.
            continue
        assert ask(octets, f"BINARY[{number}]") == b"BINARY[%b] {%d}\r\n%b" % (number.encode(), len(payload), payload)
        assert ask(octets, f"BINARY.SIZE[{number}]") == b"BINARY.SIZE[%b] %d" % (number.encode(), len(payload))
        header = ask(octets, f"BODY[{number}.MIME]").partition(b"\r\n")[2]
        assert header in octets and b"Content-Transfer-Encoding: " in header
