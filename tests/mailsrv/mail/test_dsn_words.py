"""Words in reports: nothing hides or ends anything, and what is encoded is read again."""

import base64
import quopri
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail import dsn_words as words


def test_clean_replaces_what_could_harm():
    assert words.clean("a\tb  c\x00\x1b[2J\x7f\x85\u202e\u2028\ufeff\ud800 é", 100) == "a b c??[2J?????? é"


def test_clean_cuts_the_end():
    assert words.clean("abcdefghij", 10) == "abcdefghij"
    assert words.clean("abcdefghijk", 10) == "abcdefg..."


def test_lines_are_cleaned_bounded_and_never_empty():
    assert words.clean_lines("550-one\r\n\n \r550 two\x07", 100) == ["550-one", "550 two?"]
    assert words.clean_lines("abc\n" * 100, 9) == ["abc", "abc", "abc"]
    assert words.clean_lines("abcdef\n" * 100, 10) == ["abcdef", "a..."]
    assert words.clean_lines("", 10) == []


def test_ascii_keeps_what_was_there_readable():
    assert words.to_ascii("plain \\ text") == "plain \\ text"
    assert words.to_ascii("é€\U0001f600") == "\\x{E9}\\x{20AC}\\x{1F600}"


def test_a_field_is_folded_at_spaces():
    field = words.field("Diagnostic-Code", ["smtp; 550 " + "word " * 40, "550 second"])
    lines = field.decode().split("\r\n")
    assert lines[-1] == "" and max(map(len, lines)) <= 78
    assert all(line.startswith(" ") for line in lines[1:-1])
    assert lines[-2] == " 550 second"
    text = " ".join(["word"] * 40)
    assert field.replace(b"\r\n ", b" ") == f"Diagnostic-Code: smtp; 550 {text} 550 second\r\n".encode()


def test_a_word_too_long_for_any_line_is_broken():
    field = words.field("X", ["é" * 2000 + " end"])
    assert max(map(len, field.split(b"\r\n"))) <= 998
    assert b"".join(field.split()).decode() == "X:" + "é" * 2000 + "end"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs"]), max_size=300))
def test_encoded_text_is_read_again(text):
    cleaned = words.clean(text, 500)
    field = words.encode_text("Subject", text)
    assert field.isascii() and max(map(len, field.split(b"\r\n"))) <= 998
    if cleaned and not cleaned.isascii():
        value = field.removeprefix(b"Subject: ")
        assert words.decode_text(value) == cleaned
        assert str(make_header(decode_header(value.decode().replace("\r\n", "")))) == cleaned
        assert max(map(len, field.split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Mail server", "Mail server"),
        ("Mail server mx.example", '"Mail server mx.example"'),
        ('He said "no" \\', '"He said \\"no\\" \\\\"'),
        ("Größe", "=?utf-8?B?R3LDtsOfZQ==?="),
        ("=?utf-8?Q?x?=", "=?utf-8?B?PT91dGYtOD9RP3g/PQ==?="),
    ],
)
def test_phrase(name, expected):
    assert words.encode_phrase(name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" plain", "plain"),
        (b" folded\r\n here", "folded here"),
        ("roh ü".encode(), "roh ü"),
        (b"bad \xff", "bad \ufffd"),
        (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe_an_alle?=", "Grüße an alle"),
        (b"=?UTF-8?b?R3LDvMOfZQ==?= x", "Grüße x"),
        (b"=?utf-8?B?R3I=?=\r\n =?utf-8?B?w7zDn2U=?=", "Grüße"),
        (b"=?iso-8859-1*de?q?Gr=FC=DFe?=", "Grüße"),
        (b"=?zip?Q?abc?=", "=?zip?Q?abc?="),
        (b"=?rot13?Q?abc?=", "=?rot13?Q?abc?="),
        (b"=?utf-8?B?not base64?=", "=?utf-8?B?not base64?="),
        (b"=?utf-8?B?A?=", "=?utf-8?B?A?="),
        (b"=?utf-8?Q?=FF?=", "=?utf-8?Q?=FF?="),
    ],
)
def test_decode(value, expected):
    assert words.decode_text(value) == expected


@given(st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\r", b"").replace(b"\n", b""))))
def test_quoted_printable_is_read_again(lines):
    octets = b"\r\n".join(lines)
    encoded = words.quoted_printable(octets)
    assert encoded.isascii() and max(map(len, encoded.split(b"\r\n"))) <= 76
    assert quopri.decodestring(encoded) == octets


@given(st.binary(max_size=500))
def test_base64_is_read_again(octets):
    encoded = words.base64_lines(octets)
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert base64.b64decode(encoded) == octets
