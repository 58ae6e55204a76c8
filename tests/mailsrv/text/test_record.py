"""Strict records: what goes in comes out, and nothing else is taken."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.text.record import Codec, Records, read_json, write_json


class Colour(str):
    """A type that is no dataclass."""


def read_colour(text):
    if text not in ("red", "green"):
        raise GrammarError("is no colour")
    return Colour(text)


@dataclass(frozen=True)
class Inner:
    word: str
    flag: bool = False


@dataclass(frozen=True)
class Outer:
    name: str
    ratio: float
    inner: Inner
    colour: Colour | None
    count: int = 0
    several: tuple[Inner, ...] = ()
    words: tuple[str, ...] = ()
    other: Inner = Inner("usual")


RECORDS = Records({Colour: Codec(str, read_colour)})
SMALL = {"name": "n", "ratio": 1.5, "inner": {"word": "w"}, "colour": None}

inners = st.builds(Inner, st.text(), st.booleans())
outers = st.builds(
    Outer,
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    inners,
    st.none() | st.sampled_from([Colour("red"), Colour("green")]),
    st.integers(-(2**70), 2**70),
    st.lists(inners, max_size=3).map(tuple),
    st.lists(st.text(), max_size=3).map(tuple),
    inners,
)


@given(outers)
def test_what_goes_in_comes_out(record):
    line = write_json(RECORDS.dump(record))
    assert b"\n" not in line and line.isascii()
    assert RECORDS.load(Outer, read_json(line)) == record


def test_defaults_are_left_out_and_keys_keep_their_order():
    record = Outer("n", 2.0, Inner("w"), Colour("red"))
    assert write_json(RECORDS.dump(record)) == b'{"name":"n","ratio":2.0,"inner":{"word":"w"},"colour":"red"}'
    assert RECORDS.keys(Outer)[:3] == ["name", "ratio", "inner"]


def test_a_whole_number_serves_as_a_number():
    assert RECORDS.load(Outer, SMALL | {"ratio": 3}).ratio == 3.0


FAULTS = [
    ({"name": 1}, "name: must be a text"),
    ({"ratio": "1"}, "ratio: must be a number"),
    ({"ratio": True}, "ratio: must be a number"),
    ({"ratio": 10**400}, "ratio: is too great"),
    ({"count": True}, "count: must be a whole number"),
    ({"count": 1.0}, "count: must be a whole number"),
    ({"inner": None}, "inner: must be an object"),
    ({"inner": {}}, "inner.word: missing"),
    ({"inner": {"word": "w", "flag": 1}}, "inner.flag: must be true or false"),
    ({"inner": {"word": "w", "wrod": 1}}, "inner.wrod: unknown key"),
    ({"several": {}}, "several: must be an array"),
    ({"several": [{"word": "w"}, {}]}, "several[1].word: missing"),
    ({"words": ["a", 1]}, "words[1]: must be a text"),
    ({"words": None}, "words: must be an array"),
    ({"colour": "blue"}, "colour: is no colour"),
    ({"colour": 1}, "colour: must be a text"),
    ({"more": 1}, "more: unknown key"),
]


@pytest.mark.parametrize(("change", "complaint"), FAULTS)
def test_anything_else_is_refused(change, complaint):
    with pytest.raises(GrammarError) as caught:
        RECORDS.load(Outer, SMALL | change)
    assert str(caught.value) == complaint


def test_a_missing_key_and_no_object():
    with pytest.raises(GrammarError, match="^name: missing$"):
        RECORDS.load(Outer, {"ratio": 1.0, "inner": {"word": "w"}, "colour": None})
    with pytest.raises(GrammarError, match="the record: must be an object"):
        RECORDS.load(Outer, [])


@pytest.mark.parametrize(
    "octets",
    [b"", b"[]", b"1", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b"{", b"\xff", b"[" * 100_000, b"{}x"],
    ids=range(10),
)
def test_what_is_no_json_object(octets):
    with pytest.raises(GrammarError):
        read_json(octets)


def test_lone_surrogates_survive():
    """A text that was read from octets that are no UTF-8 must not stop a message from being kept."""
    line = write_json({"a": "\udc80"})
    assert read_json(line) == {"a": "\udc80"} == json.loads(line)


def test_a_type_that_no_record_has_is_a_mistake_of_the_program():
    @dataclass
    class Wrong:
        value: set

    with pytest.raises(TypeError):
        RECORDS.dump(Wrong(set()))
    with pytest.raises(TypeError):
        RECORDS.dump(1)
