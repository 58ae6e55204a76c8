"""Markup goes, in one piece as in many; none is so large or so broken that it takes long or much room."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.markup import strip_markup, strip_pieces, strip_tags

TOKENS = (
    "word", "a", " ", "\n", "<b>", "</b>", "<p class=x>", "</p>", "<br/>", "<style>", "</style >", "<script src='x'>",
    "</SCRIPT>", "<script/>", "<!--", "-->", "&amp;", "&#228;", " < ", "ünder", "<head>", "<body>",
)  # fmt: skip


def words(pieces):
    return "".join(pieces).split()


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join), st.integers(8, 40), st.integers(1, 20))
def test_pieces_give_what_the_whole_gives(html, size, step):
    texts = [html[at : at + step] for at in range(0, len(html), step)]
    # A word longer than a piece may be cut, and with it a reference.
    longest = max(map(len, html.replace("<", " <").split()), default=0)
    assert words(strip_pieces(texts, max(size, 2 * longest))) == words([strip_markup(html)])


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a <img src='" + "x" * 500 + "'> b", ["a", "b"]),
        ("a <img src='" + "x" * 500, ["a"]),
        ("foo<i " + "x" * 500 + ">bar", ["foobar"]),
        ("a<script " + "x" * 500 + ">hidden</script>b", ["a", "b"]),
        ("a<!-- " + "x " * 500 + "-->b", ["a", "b"]),
        ("a<!-- " + "x " * 500 + "<b>-->b", ["a", "b"]),
        ("<p>" + "word " * 300, ["word"] * 300),
        ("<p class='x'>" + "w" * 300, ["w" * 300]),
        ("< " + "word " * 300, ["<", *["word"] * 300]),
    ],
)
@pytest.mark.parametrize("size", [16, 60, 100, 1000])
def test_what_is_longer_than_a_piece(html, text, size):
    texts = [html[at : at + 7] for at in range(0, len(html), 7)]
    assert words(strip_pieces(texts, size)) == text


def test_the_text_of_an_empty_one():
    assert list(strip_pieces([])) == []


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a&#" + "9" * 4400 + ";b", "a\ufffdb"),
        ("&#" + "0" * 4400 + "65", "\ufffd"),
        ("&#x" + "f" * 9000 + ";g", "\ufffdg"),
        ("&#" + "1" * 40 + "ab", "\ufffdab"),
        ("&#0000065;&#X41;&#99999999;", "AA\ufffd"),
    ],
)
def test_references_without_end_are_no_characters(html, text):
    assert strip_tags(html) == text


@pytest.mark.parametrize(
    "token", ["<?", "<a ", "&lt", "<![", "<!--", "&#", "&#9", "x", "<style>", "<script></script>", "-"]
)
def test_hostile_pieces_take_time_and_room_in_proportion(token):
    block = token * (65536 // len(token))

    def read(count: int) -> float:
        """CPU seconds."""
        before = time.process_time()
        for _ in strip_pieces(block for _ in range(count)):
            pass
        return time.process_time() - before

    tracemalloc.start()
    try:
        read(16)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    # Four times as much: sixteen times as long, if it were not in proportion.
    assert min(read(32) for _ in range(2)) < 8 * min(read(8) for _ in range(2)) + 0.5
