"""Structured field bodies: what is a token, what is quoted, and how lines are folded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.structured import (
    LINE,
    MAX_COMMENT,
    MAX_VALUE,
    fold,
    printable,
    printable_or_utf8,
    write_comment,
    write_dot_atom,
    write_value,
)
from tests.mailsrv.mail.field_reader import check_lines, read_parts


@pytest.mark.parametrize(
    ("text", "value", "atom"),
    [
        ("pass", "pass", "pass"),
        ("mx.example.org", "mx.example.org", "mx.example.org"),
        ("a..b", "a..b", '"a..b"'),
        ("a/b=c", '"a/b=c"', "a/b=c"),
        ("2001:db8::1", '"2001:db8::1"', '"2001:db8::1"'),
        ("", '""', '""'),
        ('a"b\\c', '"a\\"b\\\\c"', '"a\\"b\\\\c"'),
        ("a b", '"a b"', '"a b"'),
        ("a\r\nb\x00\u00fc", '"a??b??"', "a??b??"),
    ],
)
def test_values(text, value, atom):
    assert (write_value(text), write_dot_atom(text)) == (value, atom)


def test_bounds():
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 7 + "..."
    assert printable_or_utf8("\u00fc\u2028\ud800\x85", 10) == "\u00fc???"
    assert printable_or_utf8("\U0001f600" * 10, 10) == "?" * 10
    assert len(write_value("x" * 9999)) == MAX_VALUE
    assert write_comment(" \t\u2028 ") == ["(??)"]
    assert write_comment("  ") == []
    assert write_comment("a (b) c\\") == ["(a", "\\(b\\)", "c\\\\)"]
    assert "".join(write_comment("(" * 999)) == "(" + "\\(" * (MAX_COMMENT - 3) + "...)"


def test_lines_are_folded_before_column_78():
    words = [f"word{n}" for n in range(40)]
    lines = fold("X-Field", [words, ["a", "b"], ["c"]]).decode().split("\r\n")
    assert lines[0].startswith("X-Field: word0 word1 ")
    assert lines[-3:] == ["\ta b", "\tc", ""]
    assert all(line.startswith("\t") and len(line) <= LINE for line in lines[1:-1])
    assert " ".join(lines[:-3]).split() == ["X-Field:", *words]


def test_a_word_longer_than_a_line_stands_alone():
    assert fold("X-Field", [["a", "x" * 100, "b"]]) == b"X-Field: a\r\n\t" + b"x" * 100 + b"\r\n\tb\r\n"


@given(st.lists(st.text(max_size=400), min_size=1, max_size=5))
def test_whatever_is_written_is_read_back(texts):
    parts = [[f"a={write_value(text)}", *write_comment(text), f"b={write_dot_atom(text)};"] for text in texts]
    read = read_parts(check_lines(fold("X-Field", parts), "X-Field"))
    assert read.pop() == []
    for text, part in zip(texts, read, strict=True):
        words = [word for kind, word in part if kind == "word"]
        assert words == [f"a={printable(text, MAX_VALUE)}", f"b={printable(text, MAX_VALUE)}"]
        comments = ["".join(word.split()) for kind, word in part if kind == "comment"]
        assert comments == [wanted] if (wanted := "".join(printable(text, MAX_COMMENT).split())) else not comments
