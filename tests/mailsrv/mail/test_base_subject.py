"""Base subjects: RFC 5256 section 2.1, and its steps one by one as the oracle."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.base_subject import base_subject, strip_subject

SUBJECTS = [
    ("", ""),
    ("Hello", "Hello"),
    ("Re: Hello", "Hello"),
    ("RE:hello", "hello"),
    ("re : fw: Fwd: hello", "hello"),
    ("fwd hello", "fwd hello"),
    ("[list] Hello", "Hello"),
    ("[list] Re: [other] Hello", "Hello"),
    ("Re: [list] Re: Hello", "Hello"),
    ("Re[2]: Hello", "Hello"),
    ("Re [2] : Hello", "Hello"),
    ("[a][b] [c]", "[c]"),
    ("[a]", "[a]"),
    ("Re: [a]", "[a]"),
    ("[a] re: ", ""),
    ("Hello (fwd)", "Hello"),
    ("Hello (FWD) (fwd) ", "Hello"),
    ("(fwd)", ""),
    ("[Fwd: Hello]", "Hello"),
    ("[fwd: Re: [Fwd: [list] Hello (fwd)]]", "Hello"),
    ("[fwd:]", ""),
    ("[fwd: ]", ""),
    ("[fwd: a] b", "b"),
    ("a\t b\r\n  c", "a b c"),
    ("  Re:   a  ", "a"),
    ("Reply: a", "Reply: a"),
    ("[unclosed Re: a", "[unclosed Re: a"),
    ("a [b]", "a [b]"),
    ("Re: Re: ", ""),
    ("Aw: a", "Aw: a"),
    ("re: [fwd: x]", "x"),
]


@pytest.mark.parametrize(("subject", "base"), SUBJECTS)
def test_subjects(subject: str, base: str) -> None:
    assert strip_subject(subject) == by_steps(subject) == base


def test_encoded_words_are_decoded_first() -> None:
    assert base_subject(b" =?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_=28fwd=29?=") == "Grüße"


def by_steps(subject: str) -> str:
    """The procedure as the RFC numbers it, slowly."""
    text = re.sub("[ \t\r\n]+", " ", subject)
    blob = r"\[[^\[\]]*\][ ]*"
    leader = re.compile(rf"(?:{blob})*(?:re|fwd?)[ ]*(?:{blob})?:|[ ]", re.IGNORECASE | re.ASCII)
    while True:
        while shorter := re.fullmatch(r"(.*?)(?:\(fwd\)|[ ])", text, re.IGNORECASE | re.DOTALL):
            text = shorter[1]
        while True:
            before = text
            if match := leader.match(text):
                text = text[match.end() :]
            if (match := re.match(blob, text)) and text[match.end() :]:
                text = text[match.end() :]
            if text == before:
                break
        if len(text) >= 6 and text[:5].lower() == "[fwd:" and text.endswith("]"):
            text = text[5:-1]
            continue
        return text


PIECES = ["re", "Fwd", "fw", ":", " ", "[", "]", "[a]", "(fwd)", "[fwd:", "x", "\t", "\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_as_the_steps_say(subject: str) -> None:
    base = strip_subject(subject)
    assert base == by_steps(subject)


@pytest.mark.parametrize("piece", ["[a]", "re: ", "(fwd)", "[fwd:", "[", "]", "re[", "[a] re: ", " ", "[a", "re "])
def test_hostile_subjects_take_time_in_proportion(piece: str) -> None:
    before = time.process_time()
    strip_subject(piece * ((1 << 20) // len(piece)))
    strip_subject(piece * 100000 + "]" * 100000)
    assert time.process_time() - before < 3.0
