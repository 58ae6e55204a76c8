"""Parts of messages and what is packed in them; nothing that a stranger sends is large, deep or long."""

import gzip
import io
import time
import zipfile
import zlib
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.deliver import feedback_parts
from mailsrv.deliver.feedback_parts import find_parts, unpack
from mailsrv.errors import GrammarError


def lines(text):
    return text.replace("\n", "\r\n").encode()


def zipped(octets, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a!b!1!2.xml", octets)
        archive.writestr("second", b"other")
    return file.getvalue()


def test_the_parts_of_a_message():
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("words\n")
    message.add_alternative("<p>words</p>", subtype="html")
    message.add_attachment(b"\x1f\x8b\x00\xff", maintype="application", subtype="gzip", filename="a.xml.gz")
    octets = message.as_bytes().replace(b"\n", b"\r\n")
    parts = list(find_parts(octets))
    assert [part.kind for part in parts] == ["text/plain", "text/html", "application/gzip"]
    assert parts[0].body == b"words\r\n"
    assert parts[2].body == b"\x1f\x8b\x00\xff"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Subject: x\n\nbody\n", [("text/plain", b"body\r\n")]),
        ("Content-Type: APPLICATION/GZIP\nContent-Transfer-Encoding: base64\n\neHk=\n", [("application/gzip", b"xy")]),
        ("Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n=\n", [("a/b", b"")]),
        ("Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable\n\na=3Db\n", [("a/b", b"a=b\r\n")]),
        ("Content-Type: multipart/mixed\n\n--x\n\nbody\n", [("multipart/mixed", b"--x\r\n\r\nbody\r\n")]),
        (
            'Content-Type: multipart/mixed;\n Boundary = "a b"\n\n--a b\n\none\n--a b \n\ntwo\n--a b--\n--a b\n\nno\n',
            [("text/plain", b"one"), ("text/plain", b"two")],
        ),
        ("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: c/d\n\nnever ends", [("c/d", b"never ends")]),
        ("", [("text/plain", b"")]),
    ],
)
def test_odd_messages(text, found):
    assert [(part.kind, part.body) for part in find_parts(lines(text))] == found


def test_only_so_many_and_so_deep():
    many = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\npart\r\n" * 5000
    assert len(list(find_parts(many))) <= feedback_parts._MAX_PARTS
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=x%d\r\n\r\n--x%d\r\n" % (n, n) for n in range(5000))
    assert len(list(find_parts(deep))) <= feedback_parts._MAX_PARTS


@given(st.binary(max_size=300))
def test_garbage_raises_nothing(octets):
    for _part in find_parts(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + octets):
        continue


@pytest.mark.parametrize(
    "packed",
    [
        b"<feedback/>",
        gzip.compress(b"<feedback/>"),
        zipped(b"<feedback/>"),
        zipped(b"<feedback/>", zipfile.ZIP_STORED),
    ],
)
def test_what_is_packed(packed):
    assert unpack(packed) == b"<feedback/>"


ENCRYPTED = bytearray(zipped(b"x"))
ENCRYPTED[6] |= 1
BROKEN = [
    gzip.compress(b"x" * 1000)[:-9],
    b"\x1f\x8b",
    b"\x1f\x8bgarbage garbage",
    b"PK\x03\x04",
    zipped(b"x" * 1000)[:45],
    bytes(ENCRYPTED),
    zipped(b"x", zipfile.ZIP_LZMA),
]


@pytest.mark.parametrize("packed", BROKEN)
def test_what_cannot_be_unpacked(packed):
    with pytest.raises(GrammarError):
        unpack(packed)


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
def test_bombs(pack):
    with pytest.raises(GrammarError, match="unpacks to more than"):
        unpack(pack(b"\0" * 30_000_000))


def test_no_bomb_is_unpacked_beyond_the_bound(monkeypatch):
    monkeypatch.setattr(feedback_parts, "MAX_UNPACKED", 1000)
    assert len(unpack(zlib.compress(b"x" * 1000, wbits=31))) == 1000
    with pytest.raises(GrammarError):
        unpack(zlib.compress(b"x" * 1001, wbits=31))


@pytest.mark.parametrize(
    "octets",
    [
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"\r\n--x" * 1_000_000,
        b"Content-Type: multipart/mixed;" + b" boundary" * 100_000 + b"\r\n\r\nx",
        b"Content-Type: " + b"multipart/" * 100_000 + b"\r\n\r\nx",
        b"x: y\r\n" * 100_000,
    ],
)
def test_nothing_takes_long(octets):
    began = time.process_time()
    for _part in find_parts(octets):
        continue
    assert time.process_time() - began < 2.0
