"""The cursor: words, numbers, strings and lists, and what it says of others."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.imap.tokens import ASTRING_ATOM, ATOM, Cursor, Incomplete


@pytest.mark.parametrize(
    ("octets", "string", "rest"),
    [
        (b"abc def", b"abc", b" def"),
        (b"a]b)", b"a]b", b")"),
        (b'"a b"x', b"a b", b"x"),
        (rb'"a\"b\\c"', rb'a"b\c', b""),
        (b'""', b"", b""),
        (b"{3}\r\na\r\n)", b"a\r\n", b")"),
        (b"{3+}\r\nabc)", b"abc", b")"),
        (b"{0}\r\n", b"", b""),
        ('"é"'.encode(), "é".encode(), b""),
    ],
)
def test_strings(octets: bytes, string: bytes, rest: bytes) -> None:
    cursor = Cursor(octets)
    assert cursor.expect_astring("a word") == string
    assert octets[cursor.at :] == rest


@pytest.mark.parametrize(
    "octets",
    [b"", b" a", b"(", b")", b'"a', b'"a\\b"', b'"a\r\n"', b'"a\0b"', b"%", b"*", b"\\", b"{3}x", b"{4}\r\nabc",
     b"{3}\r\na\0b", b"\x7f", b"\xc3\xa9", b"{"],
)  # fmt: skip
def test_what_is_no_string(octets: bytes) -> None:
    with pytest.raises(GrammarError, match="expected"):
        Cursor(octets).expect_astring("a word")


def test_binary_strings() -> None:
    assert Cursor(b"~{3}\r\na\0b").try_string(binary=True) == b"a\0b"
    with pytest.raises(GrammarError, match="without NUL"):
        Cursor(b"~{3}\r\nabc").try_string()
    assert Cursor(b"abc").try_string() is None


def test_a_literal_that_is_only_announced() -> None:
    with pytest.raises(Incomplete) as caught:
        Cursor(b"~{17+}").try_string()
    assert (caught.value.size, caught.value.binary) == (17, True)


def test_words_and_choices() -> None:
    cursor = Cursor(b"Flags Foo")
    assert not cursor.try_word(b"FLAG")
    assert cursor.try_word(b"FLAGS")
    cursor.expect_space("a word")
    with pytest.raises(GrammarError, match="expected BAR at octet 7"):
        cursor.expect_choice({b"BAR": 1}, "BAR")
    assert cursor.expect_choice({b"FOO": 1}, "FOO") == 1
    assert cursor.at_end
    cursor.expect_end()
    with pytest.raises(GrammarError, match="expected a list of foo at octet 10"):
        cursor.expect_list(Cursor.expect_word, "foo")  # type: ignore[arg-type]


@pytest.mark.parametrize(("octets", "number"), [(b"0", 0), (b"9223372036854775807", 2**63 - 1), (b"007", 7)])
def test_numbers(octets: bytes, number: int) -> None:
    assert Cursor(octets).expect_number("a number") == number


@pytest.mark.parametrize("octets", [b"", b"-1", b"a", b"9223372036854775808", b"99999999999999999999"])
def test_what_is_no_number(octets: bytes) -> None:
    with pytest.raises(GrammarError):
        Cursor(octets).expect_number("a number")


def test_nil() -> None:
    assert Cursor(b"NIL").try_nil()
    assert Cursor(b"nil)").try_nil()
    assert not Cursor(b"NILS").try_nil()
    assert not Cursor(b'"NIL"').try_nil()


def test_lists() -> None:
    def word(cursor: Cursor) -> bytes:
        return cursor.expect_pattern(ATOM, "a word")

    assert Cursor(b"(a b c)").expect_list(word, "words") == (b"a", b"b", b"c")
    assert Cursor(b"()").expect_list_or_empty(word, "words") == ()
    for octets in (b"()", b"(a", b"(a  b)", b"( a)", b"(a )", b"a"):
        with pytest.raises(GrammarError):
            Cursor(octets).expect_list(word, "words")
    with pytest.raises(GrammarError, match="at most 2 items"):
        Cursor(b"(a b c)").expect_list(word, "words", 2)


def test_text_is_utf_8() -> None:
    assert Cursor('"é"'.encode()).expect_text("a name") == "é"
    with pytest.raises(GrammarError, match="expected a name in UTF-8 at octet 1"):
        Cursor(b'"\xff"').expect_text("a name")


def test_fixed_octets_and_patterns() -> None:
    cursor = Cursor(b"ab cd")
    assert cursor.peek(b"ab")
    assert not cursor.try_octets(b"b")
    assert cursor.try_pattern(ASTRING_ATOM) == b"ab"
    with pytest.raises(GrammarError, match="expected x at octet 3"):
        cursor.expect_octets(b"x", "x")
    with pytest.raises(GrammarError, match="the end of the command"):
        cursor.expect_end()
