"""Modified UTF-7: round trips, the RFC's examples, and one spelling for each name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.imap import utf7


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_round_trip(name: str) -> None:
    octets = utf7.encode(name)
    assert octets.isascii()
    assert utf7.decode(octets) == name


@given(st.binary(max_size=30) | st.text(alphabet="&-ABCDE,/+=é", max_size=12).map(str.encode))
def test_each_name_has_one_spelling(octets: bytes) -> None:
    try:
        name = utf7.decode(octets)
    except GrammarError:
        return
    assert utf7.encode(name) == octets


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        (b"&Jjo-!", "☺!"),
        (b"a&-b", "a&b"),
        (b"Entw&APw-rfe", "Entwürfe"),
        (b"&2D3eAA-", "😀"),
        (b"", ""),
        (b"&AAo-", "\n"),
    ],
)
def test_examples(octets: bytes, name: str) -> None:
    assert utf7.decode(octets) == name
    assert utf7.encode(name) == octets


@pytest.mark.parametrize(
    "octets",
    [b"&Jjo!", b"&U,BTFw-&ZeVnLIqe-", b"&", b"a&b", b"&AGE-", b"\xc3\xa9", b"\n", b"&2D0-", b"&J-", b"&Jj-", b"&Jjp-",
     b"&Jjo=-", b"&ACY-", b"&&-"],
)  # fmt: skip
def test_what_is_no_name(octets: bytes) -> None:
    with pytest.raises(GrammarError):
        utf7.decode(octets)


def test_a_lone_surrogate_does_not_break_anything() -> None:
    assert utf7.encode("a\ud800é") == b"a?&AOk-"
