"""Numberings against a plain list of UIDs; what is shared, kept, and read again."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.imap.numbers import NumberSet
from mailsrv.store import numbering
from mailsrv.store.numbering import NONE, compact, extend, pick, without
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.values import DELETED, Operation

from tests.mailsrv.store.ground import Ground, uids

MEMBERS = st.sets(st.integers(1, 40)).map(sorted)


def of(members):
    return compact(array("I", members))


@settings(max_examples=200, deadline=None)
@given(MEMBERS, MEMBERS, st.integers(1, 5))
def test_they_are_lists_of_uids(members, others, step) -> None:
    known = of(members)
    assert list(known) == members
    slices = NumberSet.of(others).slices(known)
    assert list(pick(known, slices)) == [uid for uid in members if uid in others]
    assert list(without(known, slices)) == [uid for uid in members if uid not in others]
    came = [(members[-1] if members else 0) + step * at for at in range(1, len(others))]
    for more in (array("I", came), of(came)):
        assert list(extend(known, more)) == members + came
    assert list(known) == members  # it never changes


def test_where_no_uid_is_missing_they_are_ranges() -> None:
    whole = of(range(5, 9))
    assert whole == range(5, 9)
    assert extend(whole, array("I", [9, 10])) == range(5, 11)
    assert extend(NONE, array("I", [3, 4])) == range(3, 5)
    assert without(whole, [(0, 2)]) == range(7, 9) and without(whole, [(0, 4)]) == NONE
    holes = without(whole, [(1, 2)])
    assert isinstance(holes, array) and isinstance(without(holes, [(0, 1)]), range)
    assert isinstance(extend(whole, array("I", [10])), array)


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.fixture
def box(ground):
    box = ground.open()
    ground.append(box, *"abcdef")
    return box


def remove(box, *numbers):
    box.store_flags(uids(*numbers), Operation.ADD, DELETED)
    box.expunge()


class Asked(list):
    """What is asked of the index."""

    def __init__(self, box) -> None:
        super().__init__()
        self._read = box._index.read

    def __call__(self, statement, values=()):
        self.append(statement)
        return self._read(statement, values)

    def take(self) -> int:
        """How many statements there were; whether one of them read all UIDs."""
        count, whole = len(self), any("group_concat" in statement for statement in self)
        self.clear()
        return count, whole


def test_it_is_read_once_and_follows_what_comes_and_goes(ground, box) -> None:
    numberings, asked = box._index.numberings, Asked(box)
    assert numberings.read(asked, box._key)[0] == range(1, 7) and asked.take() == (1, False)
    remove(box, 2, 4)
    assert list(numberings.read(asked, box._key)[0]) == [1, 3, 5, 6] and asked.take() == (2, True)
    first = numberings.read(asked, box._key)
    assert asked.take() == (1, False) and numberings.read(asked, box._key)[0] is first[0]
    asked.take()
    ground.append(box, "g", "h")
    assert list(numberings.read(asked, box._key)[0]) == [1, 3, 5, 6, 7, 8] and asked.take() == (3, False)
    ground.append(box, "i")
    remove(box, 1, 5, 9)
    found, modseq, uidnext = numberings.read(asked, box._key)
    assert (list(found), uidnext) == ([3, 6, 7, 8], 10) and asked.take() == (3, False)
    assert not box.changes(modseq).flags
    remove(box, 3)
    assert numberings.read(asked, box._key)[0] == range(6, 9)


def test_one_that_comes_and_goes_while_it_is_read_hides_none_that_went(ground, box) -> None:
    remove(box, 2)
    box.view()
    remove(box, 4)
    ground.append(box, "g", "h")
    read = box._index.read
    asked = []

    def ask(statement, values=()):
        rows = read(statement, values)
        asked.append(statement)
        if len(asked) == 1:
            remove(box, 7)  # somebody else, behind the first statement
        return rows

    found, modseq, _ = box._index.numberings.read(ask, box._key)
    gone = box.changes(modseq).vanished
    assert [uid for uid in found if uid not in gone] == [1, 3, 5, 6, 8]


def test_what_is_no_longer_remembered_is_read_again(ground, box, monkeypatch) -> None:
    monkeypatch.setattr("mailsrv.store.tidy.REMEMBERED", 1)
    remove(box, 2)
    box.view()
    remove(box, 4)
    remove(box, 5)
    ground.tidy()
    asked = Asked(box)
    assert list(box._index.numberings.read(asked, box._key)[0]) == [1, 3, 6]
    assert asked.take()[1]


def test_an_index_of_an_older_time_is_read_again(ground, box) -> None:
    remove(box, 2)
    box.view()
    with box._index.write() as writing:
        writing.execute("UPDATE mailbox SET highestmodseq = highestmodseq - 1")
        writing.execute("DELETE FROM message WHERE uid = 4")
        writing.execute("UPDATE mailbox SET messages = messages - 1")
    assert list(box.view()[0]) == [1, 3, 5, 6]


def test_sessions_share_what_they_know(ground, box) -> None:
    remove(box, 2)
    other = ground.open()
    one, two = box.view()[0], other.view()[0]
    assert one is two
    assert box.share(extend(one, [9])) is other.share(extend(two, [9]))
    assert box.share(array("I", [1, 3, 4, 5, 9])) is not box.share(array("I", [1, 2, 4, 5, 9]))
    assert box.share(NONE) is NONE


def test_few_are_kept_that_nobody_uses(ground, box, monkeypatch) -> None:
    monkeypatch.setattr(numbering, "KEPT", 5)
    remove(box, 2)
    ground.reader.create("Other")
    other = ground.open("Other")
    ground.append(other, *"abc")
    remove(other, 2)
    box.view()
    other.view()
    asked = Asked(box)
    numberings = box._index.numberings
    numberings.read(asked, other._key)
    assert not asked.take()[1]
    numberings.read(asked, box._key)
    assert asked.take()[1]


def test_a_mailbox_that_is_gone(ground, box) -> None:
    with pytest.raises(MailboxGone):
        box._index.numberings.read(box._index.read, (box.id, box.uidvalidity + 1))
    with pytest.raises(MailboxGone):
        box._index.numberings.read(box._index.read, (box.id + 7, box.uidvalidity))
