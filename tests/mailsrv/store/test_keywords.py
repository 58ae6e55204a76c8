"""Keywords and their bits: made, translated, forgotten; and what a flag word means when bits change hands."""

import pytest

from mailsrv.store import keywords
from mailsrv.store.refusals import MailboxGone, TooMany
from mailsrv.store.values import KEYWORDS, SEEN, NamedFlags, Operation, is_any, limit

from tests.mailsrv.store.ground import Ground, rows, uids

MANY = tuple(f"k{number}" for number in range(KEYWORDS))


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.fixture
def box(ground):
    box = ground.open()
    ground.append(box, *"abcd")
    return box


def flags_of(box):
    return [flags for (flags,) in rows(box, "flags")]


def names_of(box, uid):
    """The keywords of a message."""
    (word,) = [word for at, word in rows(box, "uid", "flags") if at == uid]
    return {name for mask, name in box.keywords() if word & mask}


def test_keywords_have_bits_in_any_letters(box):
    work = box.keyword_bit("$Work", create=True)
    assert work == 1 << 8
    assert box.keyword_bit("$WORK") == work and box.keyword_bit("other") == 0
    assert box.keyword_bit("other", create=True) == 1 << 9
    assert box.keywords() == [(1 << 8, "$Work"), (1 << 9, "other")]
    box.store_flags(uids(1), Operation.ADD, NamedFlags(SEEN, ("$wOrK",)))
    assert flags_of(box)[0] == work | SEEN


def test_names_become_bits_where_they_are_set(box):
    stored = box.store_flags(uids(1, 2), Operation.ADD, NamedFlags(0, ("Work", "work", "Home")))
    assert stored.changed == 2
    assert box.keyword_table() == (0, [(1 << 8, "Work"), (1 << 9, "Home")])
    assert box.store_flags(uids(1), Operation.REMOVE, NamedFlags(SEEN, ("unknown", "WORK"))).changed == 1
    assert [name for _, name in box.keywords()] == ["Work", "Home"]
    assert flags_of(box) == [1 << 9, 3 << 8, 0, 0]
    box.store_flags(uids(2), Operation.REMOVE, NamedFlags(0, ("home",), besides=(1 << 63) - 1))
    assert names_of(box, 2) == {"Home"}


def test_what_is_allowed():
    flags = NamedFlags(SEEN | 4, ("k",))
    assert limit(flags, SEEN) == NamedFlags(SEEN)
    assert limit(flags, 4 | 1 << 8) == NamedFlags(4, ("k",))
    assert limit(SEEN | 4 | 256, 4) == 4
    assert is_any(limit(flags, 256)) and not is_any(limit(flags, 16)) and is_any(1) and not is_any(0)


def test_uploads_name_theirs_too(ground, box):
    ground.append(box, "x", "y", flags=NamedFlags(SEEN, ("New",)))
    assert flags_of(box)[-2:] == [SEEN | 1 << 8] * 2
    assert names_of(box, 6) == {"New"}


def test_there_are_so_many_keywords(box):
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, MANY))
    assert flags_of(box)[0] == sum(1 << bit for bit in range(8, 63))
    with pytest.raises(TooMany):
        box.store_flags(uids(1), Operation.ADD, NamedFlags(0, ("one more",)))
    assert len(box.keywords()) == KEYWORDS


def test_what_is_refused_leaves_no_keyword(box):
    with pytest.raises(TooMany):
        box.keyword_word([f"k{number}" for number in range(KEYWORDS + 1)], create=True)
    assert box.keywords() == []
    assert box.keyword_word(["a", "B"], create=True) == 3 << 8
    assert box.keyword_word(["b", "unknown"]) == 2 << 8


def test_room_is_made_by_what_no_message_has(box):
    """And what the command names stays, though no message has it yet."""
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, MANY))
    box.store_flags(uids(1), Operation.REMOVE, NamedFlags(0, ("k3", "k5", "k7")))
    box.store_flags(uids(2), Operation.ADD, NamedFlags(0, ("K5", "new")))
    table = box.keyword_table()
    assert table.forgotten == 1
    known = [name for _, name in table.keywords]
    assert "k5" in known and "new" in known and "k3" not in known and "k7" not in known
    assert names_of(box, 2) == {"k5", "new"} and len(names_of(box, 1)) == KEYWORDS - 3
    # One more has room; the one after it none.
    box.store_flags(uids(2), Operation.ADD, NamedFlags(0, ("newer",)))
    with pytest.raises(TooMany):
        box.store_flags(uids(2), Operation.ADD, NamedFlags(0, ("newest",)))
    assert box.keyword_table().forgotten == 1


def test_the_background_forgets_where_there_are_many(box):
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, MANY[: keywords.PLENTY + 1]))
    assert not keywords.forget_unused(box._index, box._key)
    box.store_flags(uids(1), Operation.REMOVE, NamedFlags(0, ("k0",)))
    assert not box.forget_keywords(), "there is room"
    assert keywords.forget_unused(box._index, box._key)
    assert "k0" not in {name for _, name in box.keywords()}
    assert not keywords.forget_unused(box._index, box._key, 0), "the others are in use"
    box.store_flags(uids(1), Operation.REPLACE, 0)
    assert not keywords.forget_unused(box._index, box._key), "few are left alone"
    assert keywords.forget_unused(box._index, box._key, 0)
    assert box.keyword_table() == (2, [])


def test_a_message_that_changes_meanwhile_keeps_its_keyword(ground, box, monkeypatch):
    """Another process sets a keyword between the look and the forgetting."""
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, ("a", "b")))
    box.store_flags(uids(1), Operation.REMOVE, NamedFlags(0, ("a", "b")))
    other = ground.other().open("INBOX")
    write = box._index.write

    def late():
        monkeypatch.setattr(box._index, "write", write)
        other.store_flags(uids(2), Operation.ADD, NamedFlags(0, ("a",)))
        return write()

    monkeypatch.setattr(box._index, "write", late)
    assert not keywords.forget_unused(box._index, box._key, 0)
    assert names_of(box, 2) == {"a"}
    assert keywords.forget_unused(box._index, box._key, 0)
    assert box.keywords() == [(1 << 8, "a")]


def test_a_name_that_was_forgotten_is_not_anothers(ground, box):
    """A session knows `a` by its bit; meanwhile it is forgotten and its bit is `b`'s."""
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, ("a",)))
    known = box.keyword_table()
    box.store_flags(uids(1), Operation.REMOVE, NamedFlags(0, ("a",)))
    keywords.forget_unused(box._index, box._key, 0)
    other = ground.other().open("INBOX")
    other.store_flags(uids(2), Operation.ADD, NamedFlags(0, ("b",)))
    assert other.keywords() == [(known.keywords[0][0], "b")]
    assert box.keyword_table().forgotten == known.forgotten + 1
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, ("a",)))
    assert names_of(box, 1) == {"a"} and names_of(box, 2) == {"b"}


def test_keywords_go_with_a_copy(ground, box):
    ground.reader.create("A")
    target = ground.open("A")
    target.keyword_bit("first", create=True)
    box.store_flags(uids(1), Operation.ADD, NamedFlags(0, ("$Work",)))
    box.store_flags(uids(2), Operation.ADD, SEEN)
    box.copy(uids(1, 2), target)
    assert target.keywords() == [(1 << 8, "first"), (1 << 9, "$Work")]
    assert flags_of(target) == [1 << 9, SEEN]


def test_a_mailbox_that_is_gone(ground):
    ground.reader.create("A")
    box = ground.open("A")
    ground.reader.delete("A")
    with pytest.raises(MailboxGone):
        box.keyword_table()
    with pytest.raises(MailboxGone):
        box.forget_keywords()
