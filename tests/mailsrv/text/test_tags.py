"""Lists of tags: what is read, what is refused, and that no list takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.text.tags import RepeatedTag, parse_base64, parse_tags, parse_words


@pytest.mark.parametrize(
    ("octets", "tags"),
    [
        (b"", {}),
        (b" \r\n ", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1;", {"a": "1"}),
        (b" a\t=\r\n 1 ; b_2 = x y\r\n\tz ;", {"a": "1", "b_2": "x y\r\n\tz"}),
        (b"a=;b=", {"a": "", "b": ""}),
        (b"b=x==; a=b=c", {"b": "x==", "a": "b=c"}),
        (b"a=1;; b=2;;", {"a": "1", "b": "2"}),
        (b"a=1; A=2", {"a": "1", "A": "2"}),
        ("d=bücher.example".encode(), {"d": "bücher.example"}),
    ],
)
def test_lists(octets: bytes, tags: dict[str, str]) -> None:
    assert parse_tags(octets) == tags
    assert list(parse_tags(octets)) == list(tags)


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"a", "is not a list of tags"),
        (b"=1", "is not a list of tags"),
        (b"1a=1", "is not a list of tags"),
        (b"a b=1", "is not a list of tags"),
        ("ä=1".encode(), "is not a list of tags"),
        (b"a=1; junk", "is not a list of tags"),
        (b"v=spf1 -all; all", "is not a list of tags"),
        (b"a=\x00", "control characters"),
        (b"a=\x7f", "control characters"),
        (b"a=\xff", "UTF-8"),
        (b";" * 1_000_000, "more than 200 tags"),
        (b"".join(b"a%d=;" % number for number in range(201)), "more than 200 tags"),
    ],
)
def test_what_is_no_list(octets: bytes, complaint: str) -> None:
    with pytest.raises(GrammarError, match=complaint):
        parse_tags(octets)


def test_a_tag_stands_once() -> None:
    with pytest.raises(RepeatedTag, match="has the tag a= more than once"):
        parse_tags(b"a=1; b=2; a=1")


NAMES = st.from_regex("[A-Za-z][A-Za-z0-9_]*", fullmatch=True)
VALUES = st.text("abc=:/+ é", max_size=9).map(str.strip)


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(["", " ", "\t", "\r\n "]))
def test_what_is_written_is_read(tags: dict[str, str], space: str) -> None:
    text = ";".join(f"{space}{name}{space}={space}{value}{space}" for name, value in tags.items())
    assert parse_tags(text.encode()) == tags


@given(st.binary(max_size=40))
def test_nothing_else_is_raised(octets: bytes) -> None:
    try:
        assert all(name.isascii() for name in parse_tags(octets))
    except GrammarError:
        pass


def test_there_is_a_bound() -> None:
    assert len(parse_tags(b"".join(b"a%d=;" % number for number in range(200)))) == 200


def test_a_megabyte_is_read_at_once() -> None:
    assert len(parse_tags(b"b=" + b"A" * 1_000_000)["b"]) == 1_000_000
    assert parse_tags(b" " * 1_000_000) == {}


@pytest.mark.parametrize(
    ("value", "octets"), [("", b""), ("QUJD", b"ABC"), (" QU\r\n JD\t", b"ABC"), ("QQ==", b"A"), ("Q Q = =", b"A")]
)
def test_base64(value: str, octets: bytes) -> None:
    assert parse_base64(value) == octets


@pytest.mark.parametrize("value", ["Q", "QQ", "QQ=", "Q!Q=", "QQ==QQ==", "=", "QÜ==", "QQ\u00a0==", "QQ_-"])
def test_what_is_no_base64(value: str) -> None:
    with pytest.raises(GrammarError, match="is not base64"):
        parse_base64(value)


def test_words() -> None:
    assert parse_words("a : b:c\r\n\t:d") == ("a", "b", "c", "d")
    assert parse_words("") == ("",)
