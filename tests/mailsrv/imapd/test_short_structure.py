"""Twin of imapd/short_structure: what mailsrv.imap.structure makes without extension data, from what it makes with."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.imap.structure import body_structure
from mailsrv.imapd.short_structure import shorten
from mailsrv.mail.mime import read_structure

LEAVES = (
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n",
    b'Content-Type: text/html\r\nContent-Description: a "quoted" \\ thing (it is)\r\n\r\n<b>',
    b"Content-Type: image/png; name=\"x)(.png\"\r\nContent-ID: <1@x>\r\nContent-MD5: Q2hlY2s=\r\n\r\n??",
    b"Content-Type: application/pdf\r\nContent-Description: \xc3\xa9) ( {3}\r\nContent-Location: http://x/\r\n\r\n",
    b"Content-Disposition: attachment; filename=\"a b\"\r\nContent-Language: de, en\r\n\r\n",
    b"",
)


def enclose(message: bytes) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\nSubject: in \"there\"\r\nFrom: (x) <a@b>\r\n" + message


def join(parts: list[bytes]) -> bytes:
    boundary = b"b%d" % len(b"".join(parts))
    lines = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts)
    return b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n%b--%b--\r\n" % (boundary, lines, boundary)


MESSAGES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.builds(enclose, inner) | st.builds(join, st.lists(inner, max_size=3)),
    max_leaves=6,
)


@given(MESSAGES)
@settings(deadline=None)
def test_extension_data_is_left_out(message: bytes) -> None:
    tree = read_structure(message)
    assert shorten(body_structure(tree, True)) == body_structure(tree, False)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_whatever_stands_in_a_field(value: bytes) -> None:
    message = b"Content-Type: text/plain; x=" + value + b"\r\nContent-Description: " + value + b"\r\n\r\nx"
    tree = read_structure(message)
    assert shorten(body_structure(tree, True)) == body_structure(tree, False)


def test_long_strings_are_literals() -> None:
    message = b"Content-Type: text/plain; name=\"" + b"(" * 2000 + b"\"\r\n\r\nx"
    tree = read_structure(message)
    assert b"{2000}\r\n" in body_structure(tree, True)
    assert shorten(body_structure(tree, True)) == body_structure(tree, False)
