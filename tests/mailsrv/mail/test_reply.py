"""Replies: the octets on the wire, whatever their text holds (RFC 5321 sections 4.2.1 and 4.5.3.1.5)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.reply import Reply

LINE = re.compile(rb"([2-5]\d\d)([ -])([^\x00-\x1f\x7f]*)\r\n")


def test_one_line() -> None:
    assert Reply(250, "2.1.0", "ok").encode() == b"250 2.1.0 ok\r\n"
    assert Reply(354, "", "go ahead").encode() == b"354 go ahead\r\n"
    assert str(Reply(250, "2.1.0", "ok")) == "250 2.1.0 ok"
    assert str(Reply(220, "", "hello")) == "220 hello"


def test_several_lines_and_the_status_in_each() -> None:
    assert Reply(250, "", "mx\nPIPELINING\nSIZE 1").encode() == b"250-mx\r\n250-PIPELINING\r\n250 SIZE 1\r\n"
    assert Reply(550, "5.7.1", "no\nbecause").encode() == b"550-5.7.1 no\r\n550 5.7.1 because\r\n"


def test_the_id_stands_at_the_end_of_a_refusal_and_of_nothing_else() -> None:
    assert Reply(550, "5.1.1", "no such user").encode(" id=X") == b"550 5.1.1 no such user id=X\r\n"
    assert Reply(421, "4.3.2", "a\nb").encode(" id=X") == b"421-4.3.2 a\r\n421 4.3.2 b id=X\r\n"
    assert Reply(250, "2.0.0", "ok").encode(" id=X") == b"250 2.0.0 ok\r\n"


@pytest.mark.parametrize(
    ("code", "positive", "closes"),
    [(220, True, False), (221, True, True), (354, True, False), (421, False, True), (550, False, False)],
)
def test_what_a_code_means(code: int, positive: bool, closes: bool) -> None:
    reply = Reply(code, "", "x")
    assert (reply.is_positive, reply.closes) == (positive, closes)


def test_a_long_line_keeps_its_end() -> None:
    octets = Reply(550, "5.7.1", "x" * 2000).encode(" id=F3kXw9Zq2Lm")
    assert len(octets) <= 512
    assert octets.endswith(b" id=F3kXw9Zq2Lm\r\n")
    assert octets.startswith(b"550 5.7.1 xxx")


@given(st.text(max_size=1200), st.sampled_from([(250, "2.0.0"), (550, "5.7.1"), (220, "")]))
def test_no_text_breaks_the_protocol(text: str, kind: tuple[int, str]) -> None:
    code, enhanced = kind
    octets = Reply(code, enhanced, text).encode(" id=X")
    lines = octets.splitlines(keepends=True) if octets.isascii() else re.findall(rb"[^\n]*\n", octets)
    assert b"".join(lines) == octets
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches) and all(len(line) <= 512 for line in lines)
    assert {match[1] for match in matches if match} == {str(code).encode()}
    assert [match[2] for match in matches if match] == [b"-"] * (len(lines) - 1) + [b" "]
