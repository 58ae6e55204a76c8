"""Folding: what differs in case and space only becomes the same text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store.folding import fold, fold_needle, header_lines, read_header


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Hello  World\r\n", "hello world"),
        ("STRASSE Straße", "strasse strasse"),
        ("E\u0301te\u0301", "été"),
        ("ÉTÉ", "été"),
        ("ΣΑΣ", "σασ"),
        ("a\0b\u00a0c\u2003d", "a b c d"),
        ("\ud800x", "?x"),
        ("", ""),
    ],
)
def test_folding(text, folded):
    assert fold(text) == folded


def test_a_needle_keeps_the_space_at_its_ends():
    assert fold_needle("\t A  b\r\n") == " a b "


@given(st.text(), st.text(), st.text())
def test_what_was_put_in_is_found(before, needle, after):
    needle = unicodedata.normalize("NFC", needle)
    # Characters that combine with what stands beside them make another text.
    text = f"{before} \n{needle}\n {after}"
    if not unicodedata.combining((needle or "x")[0]) and not unicodedata.combining((after or "x")[0]):
        assert fold_needle(needle).strip() in fold(text)


def test_a_header_is_decoded():
    header = b"Subject: =?utf-8?q?J=C3=BCrgen?=\r\n =?utf-8?q?_x?=\r\nFrom: caf\xc3\xa9\r\nTo: \xe9\r\n\r\n"
    assert [line.strip() for line in read_header(header).splitlines()][:3] == [
        "Subject: Jürgen x",
        "From: café",
        "To: é",
    ]
    assert read_header(b"A: b\r\n\tc\r\n") == "A: b\tc\r\n"


def fold_plainly(text):
    text = text.encode("utf-8", "replace").decode().replace("\0", " ")
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


SPACES = "".join(chr(number) for number in range(0x3001) if chr(number).isspace())


@given(st.text(st.one_of(st.sampled_from(SPACES + "aZ\0\u212aß"), st.characters())))
def test_folding_is_what_it_says(text):
    assert fold(text) == fold_plainly(text)
    assert fold(text * 50) == fold_plainly(text * 50)


def test_every_space_counts():
    for space in SPACES:
        assert fold(f"{space}A{space}{space} b{space}") == "a b"
        assert fold(f"{space}Ä{space}{space} b{space}") == "ä b"
        assert fold(f"{space}Ä{space}{space} b{space}" * 100) == "ä b " * 99 + "ä b"


def test_lines_of_a_header():
    assert header_lines(b"A: b\r\n c\r\nD: e\n\tf\n") == [b"A: b c\r", b"D: e\tf", b""]
