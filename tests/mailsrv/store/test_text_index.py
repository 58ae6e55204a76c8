"""The text index: it never fails to name a message that has the text, and is nothing to rely on otherwise."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import StorageError
from mailsrv.store import text_index
from mailsrv.store.filling import MAX_INDEXED
from mailsrv.store.folding import fold, fold_needle
from mailsrv.store.text_index import NOTHING_COVERED, TextIndex, Texts, Where
from mailsrv.system.disk import Disk
from tests.house.manual import find_tags
from tests.house.source import TOP


@pytest.fixture
def place(tmp_path):
    found = []

    def make(identity=1):
        found.append(TextIndex(Disk(), str(tmp_path / text_index.FILE), str(tmp_path / text_index.LOCK), identity))
        return found[-1]

    make.path = tmp_path / text_index.FILE
    yield make
    for index in found:
        index.close()


def filled(index, *texts):
    assert index.add(0, len(texts), [Texts(number, *text) for number, text in enumerate(texts, 1)])
    return index


def test_header_and_body_are_told_apart(place):
    index = filled(place(), ("subject: apple", "pear"), ("subject: pear", "plum"))
    assert index.find("pear", Where.BOTH).contents == {1, 2}
    assert index.find("pear", Where.HEADER).contents == {2}
    assert index.find("pear", Where.BODY).contents == {1}
    assert index.find("plu", Where.BODY).contents == {2}
    assert index.find("nothing", Where.BOTH).contents == frozenset()
    assert index.find("pear", Where.BOTH).covered == 2


@pytest.mark.parametrize("needle", ["", "a", "ab", "ü€"])
def test_short_texts_are_not_known(place, needle):
    assert filled(place(), ("ab", "abü€")).find(needle, Where.BOTH) == NOTHING_COVERED


def test_hostile_texts_are_texts(place):
    hostile = [
        '"quo"ted"',
        "a AND b",
        "* OR texts MATCH",
        "NEAR(a b)",
        "{col}: x^2",
        "');DROP TABLE texts--",
        "-- \\ %_",
    ]
    index = filled(place(), *[("", fold(text)) for text in hostile])
    for number, text in enumerate(hostile, 1):
        assert index.find(fold_needle(text), Where.BOTH).contents == {number}


def test_long_texts_are_asked_by_some_trigrams(place):
    long = "".join(chr(0x4E00 + number) for number in range(3000))
    index = filled(place(), ("", long), ("", long[:1500]))
    assert index.find(long, Where.BODY).contents == {1}
    assert 1 in index.find(long[7:1800], Where.BODY).contents


@given(st.lists(st.text(max_size=40), max_size=6), st.data())
def test_whoever_has_the_text_is_named(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("texts")
    index = TextIndex(Disk(), str(path / "s"), str(path / "l"))
    folded = [fold(text) for text in texts]
    filled(index, *[(text, text[::-1]) for text in folded])
    source = data.draw(st.sampled_from(folded or ["abc"]))
    start = data.draw(st.integers(0, len(source)))
    needle = source[start : start + data.draw(st.integers(3, 40))]
    found = index.find(needle, Where.HEADER)
    if len(needle) < 3:
        assert found == NOTHING_COVERED
    else:
        holders = {number for number, text in enumerate(folded, 1) if needle in text}
        assert holders <= found.contents
        if len(needle) == 3:
            assert holders == found.contents
    index.close()


def test_what_is_not_whole_is_told(place):
    index = place()
    index.add(0, 9, [Texts(4, "abc", "", whole=False), Texts(9, "abcd", "")])
    found = index.find("xyz", Where.BOTH)
    assert (found.covered, found.contents, found.partial) == (9, frozenset(), {4})


def test_two_at_once_add_a_message_once(place):
    one, two = place(), place()
    assert one.add(0, 5, [Texts(5, "abc", "")])
    assert not two.add(0, 7, [Texts(5, "abc", ""), Texts(7, "abc", "")])
    assert two.covered() == 5
    assert two.add(5, 7, [Texts(7, "abc", "")])
    assert one.find("abc", Where.HEADER).contents == {5, 7}


def test_an_index_of_other_contents_is_not_believed(place):
    filled(place(1), ("abc", ""))
    other = place(2)
    assert other.find("abc", Where.BOTH) == NOTHING_COVERED
    assert other.covered() == 0
    assert not other.add(0, 1, [Texts(1, "xyz", "")])
    other.prepare()
    assert filled(other, ("xyz", "")).find("xyz", Where.HEADER).contents == {1}
    assert place(1).find("abc", Where.BOTH) == NOTHING_COVERED


def test_another_unicode_begins_anew(place, monkeypatch):
    filled(place(), ("abc", ""))
    monkeypatch.setattr(text_index, "_FORM", "1 99.0.0")
    index = place()
    index.prepare()
    assert index.covered() == 0


@pytest.mark.parametrize("octets", [b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_covers_nothing_and_goes(place, octets):
    place.path.write_bytes(octets)
    index = place()
    assert index.find("abc", Where.BOTH) == NOTHING_COVERED
    assert filled(index, ("abc", "")).find("abc", Where.BOTH).contents == {1}
    assert not list(place.path.parent.glob("*.old*"))


def test_damage_that_others_meet_is_told_and_gone(place):
    place.path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError):
        place().covered()
    place.path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageError):
        place().add(0, 1, [])
    assert place().covered() == 0


def test_a_file_that_is_removed_is_begun_anew(place):
    index = filled(place(), ("abc", ""))
    place.path.unlink()
    assert index.find("abc", Where.BOTH) == NOTHING_COVERED
    assert filled(index, ("abd", "")).find("abd", Where.BOTH).contents == {1}


def test_one_that_cannot_be_asked_covers_nothing(tmp_path):
    index = TextIndex(Disk(), str(tmp_path / "missing" / "s"), str(tmp_path / "l"))
    assert index.find("abc", Where.BOTH) == NOTHING_COVERED
    with pytest.raises(StorageError):
        index.covered()


def test_it_is_worn_when_most_are_gone(place):
    index = place()
    assert not index.is_worn(0)
    index.add(0, 3000, [Texts(number, "", "") for number in range(1, 3001)])
    assert not index.is_worn(1000)
    assert index.is_worn(999)
    index.discard()
    assert index.covered() == 0
    assert not index.is_worn(0)


def test_nothing_but_trigrams_is_kept(place):
    index = filled(place(), ("a secret subject", "and a body that nobody is to read here"))
    index.close()
    assert b"nobody" not in place.path.read_bytes()


def test_the_page_has_each_table_and_bound():
    tables = {re.match(r"CREATE (?:VIRTUAL )?TABLE (\w+)", statement)[1] for statement in text_index._SCHEMA.statements}
    assert set(find_tags("mailsrv-store.5", "TEXT INDEX")) == tables
    page = (TOP / "man/mailsrv-store.5").read_text()
    assert f"{MAX_INDEXED} characters" in page
