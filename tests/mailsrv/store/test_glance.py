"""A look at the octets says what a close look says, or nothing; and for plain messages it does say something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store import message_text
from mailsrv.store.folding import fold_needle
from mailsrv.store.glance import glance
from tests.mailsrv.mail.messages import mutated_messages

HEADER = b"Subject: The Weather\r\n in January\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\n"
TYPE = b"Content-Type: text/plain; charset=utf-8\r\n"
BODY = b"It rains  today,\r\nand tomorrow.\r\n"
PLAIN = HEADER + TYPE + b"\r\n" + BODY


@pytest.mark.parametrize(
    ("needle", "header", "body", "told"),
    [
        ("the weather", True, True, True),
        ("the weather", True, False, True),
        ("the weather", False, True, False),
        ("=?utf", True, True, False),  # what is decoded does not stand there
        ("rgen <j@", True, False, True),
        ("weather in", True, True, True),
        ("and tomorrow", False, True, True),
        ("and tomorrow", True, False, None),  # it might be the header of a part
        ("today, and", True, True, None),  # a line end between
        ("rains today", True, True, None),
        ("snow today", True, True, False),
        ("tomorrow. ", True, True, None),  # space at the end of a text is none
        ("jürgen", True, True, None),
    ],
)
def test_a_plain_message(needle, header, body, told):
    assert glance(PLAIN, needle, header, body) is told


@pytest.mark.parametrize(
    "message",
    [
        HEADER + b"Content-Transfer-Encoding: BASE64\r\n\r\nc25vdw==\r\n",
        HEADER + b"Content-Transfer-Encoding: quoted-printable\r\n\r\nsn=6Fw\r\n",
        HEADER + b"Content-Type: text/html\r\n\r\nsn<b>o</b>w\r\n",
        HEADER + b"Content-Type: text/plain; charset=utf-7\r\n\r\ns+AG4-ow\r\n",
        HEADER + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\nx\r\n",
        HEADER + b"Content-Type: text/plain; charset*0=utf; charset*1=-7\r\n\r\ns+AG4-ow\r\n",
        HEADER + b"Content-Disposition: attachment; filename*0=sn; filename*1=ow\r\n\r\nx\r\n",
        HEADER + b'Content-Disposition: attachment; filename="sn\\ow"\r\n\r\nx\r\n',
        HEADER + b"Content-Disposition: attachment; filename=snow\r\n\r\nx\r\n",
        HEADER + b"Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?sn=6fw?=\r\n\r\n",
        HEADER + b"\r\n\xe2\x84\xaa\r\n",  # the sign for kelvin is a k
    ],
)
def test_what_might_hide_a_text(message):
    assert glance(message, "snow", False, True) is None


@pytest.mark.parametrize("kind", [b"", TYPE, b"Content-type: TEXT/PLAIN\r\n", b"Content-Type: text/plain ;x=y\r\n"])
def test_a_single_text_holds_what_stands_in_it(kind):
    assert glance(HEADER + kind + b"\r\n" + BODY, "and tomorrow", False, True) is True


@pytest.mark.parametrize("kind", [b"text/calendar", b"image/png", b"multipart/mixed; boundary=b", b"text/plain-not"])
def test_what_stands_in_other_messages_may_not_be_text(kind):
    assert glance(HEADER + b"Content-Type: " + kind + b"\r\n\r\n" + BODY, "and tomorrow", False, True) is None


def look_closely(octets, needle, header, body, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(message_text, "glance", lambda *_: None)
        return message_text.holds(octets, needle, header, body)


PIECES = [b"a b", b"b\r\n a", b"ab", b" ", b"\r\n", b"\n", b"\t", b"\r", b"=?x?q?ab?=", b"<b>", b"\\", b"A", b"\0"]


@given(
    st.one_of(
        mutated_messages(),
        st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: HEADER + b"X: " + b"".join(pieces) + BODY),
        st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: PLAIN + b"".join(pieces)),
    ),
    st.data(),
)
def test_it_never_contradicts_a_close_look(octets, data):
    monkeypatch = pytest.MonkeyPatch()
    header, body, _ = message_text.read_texts(octets)
    text = data.draw(st.sampled_from([header, body, octets.decode("latin-1")]))
    start = data.draw(st.integers(0, len(text)))
    drawn = text[start : start + data.draw(st.integers(1, 12))]
    for needle in {fold_needle(drawn), "ab", "a b", "zz"} - {""}:
        for where in ((True, True), (True, False), (False, True)):
            told = glance(octets, needle, *where)
            assert told is None or told == look_closely(octets, needle, *where, monkeypatch), (needle, where)
