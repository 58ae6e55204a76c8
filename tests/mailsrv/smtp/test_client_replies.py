"""Replies of every shape, whole and octet by octet; and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_replies import MAX_LINE, MAX_LINES, MAX_TEXT, ReplyFault, ReplyReader, clean, make_reply


def read(*pieces: bytes) -> list[Reply | str]:
    """All replies, and the fault that ends them."""
    reader = ReplyReader()
    replies: list[Reply | str] = []
    for piece in pieces:
        reader.append(piece)
        try:
            while (reply := reader.next_reply()) is not None:
                replies.append(reply)
        except ReplyFault as fault:
            return [*replies, str(fault)]
    return replies


def bytewise(octets: bytes) -> list[bytes]:
    return [octets[i : i + 1] for i in range(len(octets))]


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        (b"250 ok\r\n", [Reply(250, "2.0.0", "ok")]),
        (b"250\r\n250 \r\n250-\r\n250\r\n", [Reply(250, "2.0.0", "")] * 3),
        (b"250 2.1.5 fine\r\n", [Reply(250, "2.1.5", "fine")]),
        (b"354 2.0.0 go\r\n", [Reply(354, "", "2.0.0 go")]),
        (b"550-5.7.1 not\r\n550 5.7.1 here\r\n", [Reply(550, "5.7.1", "not here")]),
        (b"550-5.7.1 not\r\n550-here\r\n550 5.2.1 at all\r\n", [Reply(550, "5.7.1", "not here 5.2.1 at all")]),
        (b"550 4.7.1 contradiction\r\n", [Reply(550, "5.0.0", "4.7.1 contradiction")]),
        (b"550 #5.1.0 refused\r\n", [Reply(550, "5.1.0", "refused")]),
        (b"550 5.1.1: unknown\r\n550 5.1.1\r\n", [Reply(550, "5.1.1", "unknown"), Reply(550, "5.1.1", "")]),
        (b"550 5.1.1x\r\n550 5.1\r\n", [Reply(550, "5.0.0", "5.1.1x"), Reply(550, "5.0.0", "5.1")]),
        (b"250 bare\n250-bare\n250 again\n", [Reply(250, "2.0.0", "bare"), Reply(250, "2.0.0", "bare again")]),
        (b"450 \x1b[2J\0\x07\xe2\x80\xae\xff\xc3\xa9\r\n", [Reply(450, "4.0.0", "?[2J????\xe9")]),
    ],
)
def test_replies(octets: bytes, replies: list[Reply]) -> None:
    assert read(octets) == read(*bytewise(octets)) == replies


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b"25\r\n",
        b"2500 x\r\n",
        b"199 x\r\n",
        b"600 x\r\n",
        b" 250 x\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n\r\n",
    ],
)
def test_no_replies(octets: bytes) -> None:
    (fault,) = read(octets)
    assert isinstance(fault, str) and fault.isprintable()
    assert read(*bytewise(octets)) == [fault]


def test_long_lines_are_read_and_cut() -> None:
    (reply,) = read(b"550 5.1.1 " + b"x" * (MAX_LINE - 12) + b"\r\n")
    assert isinstance(reply, Reply) and reply.enhanced == "5.1.1" and len(reply.text) < MAX_TEXT
    assert "does not end" in str(read(b"550 " + b"x" * MAX_LINE)[0])
    pieces = [b"x" * 4096] * 17
    assert "does not end" in str(read(b"550 ", *pieces)[0])


def test_long_replies_are_read_and_cut() -> None:
    (reply,) = read(b"550-" + b"\r\n550-".join([b"y" * 100] * (MAX_LINES - 1)) + b"\r\n550 end\r\n")
    assert isinstance(reply, Reply) and len(reply.text.encode()) == MAX_TEXT and reply.text.endswith("...")
    assert "does not end" in str(read(b"250-\r\n" * (MAX_LINES + 1))[0])
    assert "does not end" in str(read((b"250-" + b"z" * 65000 + b"\r\n") * 20)[0])


def test_an_ehlo_keeps_its_lines() -> None:
    reader = ReplyReader()
    reader.append(b"250-mx\r\n250-SIZE 5\r\n250 DSN\r\n250 next\r\n")
    reader.next_reply()
    assert list(reader.lines) == [b"mx", b"SIZE 5", b"DSN"]
    assert reader.clear() == len(b"250 next\r\n")
    assert reader.next_reply() is None


def test_clear_forgets_half_a_reply() -> None:
    reader = ReplyReader()
    reader.append(b"250-a\r\n25")
    assert reader.next_reply() is None
    assert reader.clear() == 9
    reader.append(b"550 b\r\n")
    assert reader.next_reply() == Reply(550, "5.0.0", "b")


@given(st.binary(max_size=200))
def test_clean_text_is_one_printable_line(octets: bytes) -> None:
    assert clean(octets).isprintable()
    assert make_reply(550, [octets, octets]).text.isprintable()


@given(st.lists(st.sampled_from([b"250", b"250 ", b"250-", b"\r\n", b"\n", b"a", b"550 x\r\n", b"\xff"]), max_size=20))
def test_no_split_changes_anything(parts: list[bytes]) -> None:
    octets = b"".join(parts)
    assert read(octets) == read(*parts) == read(*bytewise(octets))
