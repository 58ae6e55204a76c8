"""Texts of messages: what people read is found, whatever it was encoded in; what they do not see is not."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store.message_text import holds, read_texts
from tests.mailsrv.mail.messages import case_messages, mutated_messages


PARTS = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Caf=E9 so=\r\nft\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes("<style>hidden</style><p>f<b>oo</b>bar &amp; ünder</p><p>next".encode()).replace(
        b"\n", b"\r\n"
    )
    + b'--b\r\nContent-Type: image/png; name="pic.png"\r\nContent-Transfer-Encoding: base64\r\n\r\naGlkZGVu\r\n'
    b"--b\r\nContent-Type: application/x\r\nContent-Disposition: attachment; filename*=utf-8''na%C3%AFve.doc\r\n"
    b"X-Part: special\r\n\r\nbinary\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?inn=C3=A9r?=\r\n\r\ndeep text\r\n"
    b"--b--\r\nepilogue\r\n"
)


@pytest.mark.parametrize(
    ("needle", "header", "body"),
    [
        ("outer", True, False),
        ("café soft", False, True),
        ("foobar & ünder next", False, True),
        ("hidden", False, False),
        ("pic.png", True, True),
        ("naïve.doc", False, True),
        ("x-part: special", True, False),
        ("binary", False, False),
        ("innér", False, True),
        ("deep text", False, True),
        ("preamble", False, False),
        ("epilogue", False, False),
        ("outer content-type: multipart", True, False),
    ],
)
def test_where_a_text_is_found(needle, header, body):
    texts = read_texts(PARTS)
    assert (needle in texts[0], needle in texts[1], texts[2]) == (header, body, True)
    assert holds(PARTS, needle, True, False) is header
    assert holds(PARTS, needle, False, True) is body
    assert holds(PARTS, needle, True, True) is (header or body)


def test_a_bound_is_told():
    octets = b"Subject: x\r\n\r\n" + b"word " * 1000
    assert read_texts(octets, 100)[1:] == (("word " * 20).strip(), False)
    assert read_texts(octets, 5000)[2] is True
    assert len(read_texts(octets)[1]) == 4999


@given(mutated_messages(), st.data())
def test_whatever_is_in_the_texts_is_held(octets, data):
    header, body, whole = read_texts(octets)
    assert whole
    for text, at in ((header, (True, False)), (body, (False, True))):
        if text:
            start = data.draw(st.integers(0, len(text) - 1))
            needle = text[start : start + data.draw(st.integers(1, 30))]
            assert holds(octets, needle, *at)
            assert holds(memoryview(octets), needle, True, True)


@given(st.binary(max_size=300))
def test_nothing_stops_it(octets):
    for text in read_texts(octets)[:2]:
        text.encode()
        assert "\0" not in text


def test_cases_have_texts():
    assert all(read_texts(octets)[2] for octets in case_messages())
