"""Texts of messages: what people read is found, whatever it was encoded in; what they do not see is not."""

import base64
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store import message_text
from mailsrv.store.folding import fold
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
    b"--b\r\nContent-Type: message/rfc822\r\nX-Part: enclosing\r\n\r\nSubject: =?utf-8?q?inn=C3=A9r?=\r\n"
    b"Content-Type: multipart/mixed; boundary=c\r\n\r\n"
    b"--c\r\nX-Part: deeper\r\n\r\ndeep text\r\n--c\r\nContent-Type: message/rfc822\r\nX-Part: deepest\r\n\r\n"
    b"Content-Type: text/plain; name=inmost.txt\r\n\r\nlast text\r\n--c--\r\n"
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
        ("x-part: enclosing", True, False),
        ("x-part: deeper", False, True),
        ("x-part: deepest", False, True),
        ("inmost.txt", False, True),
        ("last text", False, True),
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


PLAIN_TEXT = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
HTML_TEXT = PLAIN_TEXT.replace(b"plain", b"html")


@given(
    st.lists(st.sampled_from(["foo", "bar", " ", "\r\n", "\0", "\t", "\n", "Ä", "ß", "\u0301"]), max_size=12),
    st.text("fobar äs", min_size=1, max_size=9),
)
def test_a_needle_is_found_across_pieces(pieces, needle):
    whole = fold("".join(pieces))
    assert message_text._stands_in(pieces, fold(needle)) is (fold(needle) in whole) or "\u0301" in pieces
    for start in range(len(whole) - 3):
        assert message_text._stands_in(pieces, whole[start : start + 4]) or "\u0301" in pieces


@pytest.mark.parametrize("header", [PLAIN_TEXT, HTML_TEXT])
@pytest.mark.parametrize("unit", ["word <b>more</b>\r\n", "ünder\r\n", "x" * 997 + "\r\n", "y"])
def test_large_parts_are_read_in_pieces(header, unit, monkeypatch):
    monkeypatch.setattr(message_text, "MAX_HTML", 4 << 20)
    text = (unit * (3_000_000 // len(unit.encode()))).encode()
    octets = memoryview(header + b"<p>the fir<i>st</i> word" + text + b" the needle\r\nis here<p>end")
    first = "the fir<i>st</i> word" if header == PLAIN_TEXT else "the first word"
    assert holds(octets, first, False, True)
    assert holds(octets, "the needle is here", False, True)
    assert holds(octets, "needle", False, True)
    assert not holds(octets, "the needle is  here", False, True)
    assert not holds(octets, "nothing", True, True)
    header_text, body, whole = read_texts(octets, 1000)
    assert (first in body, len(body) <= 1000, whole) == (True, True, False)


def test_only_so_much_html_is_read(monkeypatch):
    octets = memoryview(HTML_TEXT + b"first" + b"<br>" * 300_000 + b"last")
    assert holds(octets, "last", False, True)
    assert read_texts(octets, 10_000)[1:] == ("first", False)
    assert read_texts(octets)[1:] == ("first last", True)
    monkeypatch.setattr(message_text, "MAX_HTML", 1_000_000)
    assert not holds(octets, "last", False, True)
    assert holds(octets, "first", False, True)
    assert read_texts(octets)[1:] == ("first", False)


@pytest.mark.parametrize("header", [PLAIN_TEXT, HTML_TEXT])
@pytest.mark.parametrize("unit", [b"word word word\r\n", b"<?<?<?<?<?<?\r\n", b"x", b"&lt&lt&lt ", b"<!-- "])
def test_large_parts_take_little_memory(header, unit):
    octets = memoryview(header + unit * (2_500_000 // len(unit)))
    for read in (
        lambda: read_texts(octets, 1 << 18),
        lambda: holds(octets, "needle", False, True),
        lambda: holds(octets, "no needle", False, True),
    ):
        tracemalloc.start()
        try:
            read()
            assert tracemalloc.get_traced_memory()[1] < 10 << 20
        finally:
            tracemalloc.stop()
