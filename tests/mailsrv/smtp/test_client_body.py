"""Dots are doubled at the beginning of lines and nowhere else, however the message is split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.smtp.client_body import DotStuffer
from mailsrv.smtp.data import DataScanner


def stuff(*blocks: bytes) -> bytes:
    stuffer = DotStuffer()
    return b"".join(map(stuffer.feed, blocks)) + stuffer.end()


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..a\r\n.\r\n.\r\n", b"...a\r\n..\r\n..\r\n.\r\n"),
        (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
        (b"a.b\r\nc.\r\n", b"a.b\r\nc.\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
    ],
)
def test_messages(message: bytes, sent: bytes) -> None:
    assert stuff(message) == sent
    assert stuff(*[message[i : i + 1] for i in range(len(message))]) == sent
    for at in range(len(message) + 1):
        assert stuff(message[:at], b"", message[at:]) == sent


@given(st.lists(st.sampled_from([b".", b"\r\n", b"a", b"..", b"\r\n.", b"\xff"]), max_size=30), st.integers(1, 5))
def test_a_server_takes_off_what_was_put_on(parts: list[bytes], step: int) -> None:
    message = b"".join(parts) + b"\r\n"
    sent = stuff(*[message[i : i + step] for i in range(0, len(message), step)])
    assert sent == stuff(message)
    assert DataScanner(10**6, 10**6).feed(sent) == (message, b"")


def test_a_block_without_dots_is_not_copied() -> None:
    block = b"text\r\n" * 100
    assert DotStuffer().feed(block) is block
