"""What has changed since a modseq; views; rows."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.imap.numbers import NumberSet
from mailsrv.store import index
from mailsrv.store.changes import COLUMNS
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.values import DELETED, SEEN, Operation

from tests.mailsrv.store.ground import Ground, rows, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.fixture
def box(ground):
    box = ground.open()
    ground.append(box, "one", "two", "three", "four")
    return box


def test_a_view_is_all_uids(box):
    numbers, highest, uidnext = box.view()
    assert (list(numbers), uidnext) == ([1, 2, 3, 4], 5)
    assert box.changes(highest).flags == [] and not box.changes(highest).vanished
    box.store_flags(uids(1, 3), Operation.ADD, DELETED)
    box.expunge()
    assert list(box.view()[0]) == [2, 4]
    box.store_flags(uids(2, 4), Operation.ADD, DELETED)
    box.expunge()
    assert list(box.view()[0]) == [] and box.view()[2] == 5


def test_changes_are_new_messages_flags_and_uids_that_are_gone(ground, box):
    _, modseq, _ = box.view()
    box.store_flags(uids(2), Operation.ADD, SEEN)
    box.store_flags(uids(3), Operation.ADD, DELETED)
    box.expunge()
    ground.append(box, "five")
    changes = box.changes(modseq)
    assert [(uid, flags) for uid, flags, _ in changes.flags] == [(2, SEEN), (5, 0)]
    assert list(changes.vanished) == [3] and changes.uidnext == 6
    assert changes.highestmodseq == max(modseq for _, _, modseq in changes.flags)
    assert [uid for uid, _, _ in box.changes(modseq, uids(1, 2)).flags] == [2]
    assert not box.changes(modseq, uids(1, 2)).vanished
    assert [uid for uid, _, _ in box.changes(0).flags] == [1, 2, 4, 5]


def test_changes_of_other_mailboxes_are_none(ground, box):
    ground.reader.create("A")
    _, modseq, _ = box.view()
    ground.append(ground.open("A"), "x")
    assert box.changes(modseq).highestmodseq == modseq


def test_what_was_long_ago_is_told_in_full(ground, box, monkeypatch):
    monkeypatch.setattr("mailsrv.store.tidy.LOGGED", 2)
    monkeypatch.setattr("mailsrv.store.tidy.REMEMBERED", 2)
    first = box.view()[1]
    ground.append(box, *"abcdefgh")
    gone = []
    for uid in range(3, 9):
        box.store_flags(uids(uid), Operation.ADD, DELETED)
        gone += box.expunge()[0]
        box.store_flags(uids(1), Operation.ADD if uid % 2 else Operation.REMOVE, SEEN)
    last = box.view()[1]
    ground.tidy()
    assert len(ground.reader._index.read("SELECT 1 FROM change")) == 2
    assert len(ground.reader._index.read("SELECT 1 FROM expunged")) == 2
    for since in range(first, last):
        changes = box.changes(since)
        told = {uid for uid, _, _ in changes.flags}
        there = dict(rows(box, "uid", "modseq"))
        assert told >= {uid for uid, modseq in there.items() if modseq > since}
        assert not set(changes.vanished) & there.keys()
    assert set(box.changes(first).vanished) == set(gone)


def test_rows_come_by_uid_in_batches(ground, box, monkeypatch):
    monkeypatch.setattr("mailsrv.store.changes._BATCH", 3)
    ground.append(box, *"abcdefgh")
    assert [uid for (uid,) in box.rows(None, ("uid",))] == list(range(1, 13))
    assert [uid for _, uid in box.rows(NumberSet([(2, 9)]), ("size", "uid"))] == list(range(2, 10))
    assert len(list(box.rows(NumberSet([(1, 2), (4, 9)]), ("size",)))) == 8
    assert list(box.rows(NumberSet(), ("uid",))) == []


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_rows_come_in_batches(box, monkeypatch, size):
    monkeypatch.setattr("mailsrv.store.changes._BATCH", size)
    there = [uid for (uid,) in box.rows(None, ("uid",))]
    monkeypatch.setattr("mailsrv.store.index._SINGLE", 1)  # sets of two ranges as lists
    for wanted in (None, NumberSet([(2, 9)]), NumberSet([(2, 3), (5, 11)]), NumberSet([(1, 1), (3, 3), (12, 99)])):
        expected = [uid for uid in there if wanted is None or uid in wanted]
        assert [uid for (uid,) in box.rows(wanted, ("uid",))] == expected


def test_every_column_can_be_asked(box):
    columns = sorted(COLUMNS)
    (row,) = box.rows(uids(2), columns)
    found = dict(zip(columns, row, strict=True))
    assert found["uid"] == 2 and found["size"] == 3 and found["emailid"].startswith("M")
    assert found["envelope"] is None


def test_selections_cover_a_set():
    sparse = NumberSet.of(range(1, 400, 2)) | NumberSet([(1000, 50_000), (60_000, 60_001)])
    found = index.selections(sparse)
    assert len(found) == 3
    assert index.selections(None) == [("uid BETWEEN ? AND ?", (1, index.MAX_UID))]
    assert index.selections(NumberSet()) == []


def test_first_unseen(ground, box):
    assert box.first_unseen() == 1
    box.store_flags(uids(1, 2), Operation.ADD, SEEN)
    assert box.first_unseen() == 3
    ground.append(box, "five")
    assert box.first_unseen() == 3  # as before
    box.store_flags(uids(1), Operation.REMOVE, SEEN)
    assert box.first_unseen() == 1
    box.store_flags(uids(1, 3, 4), Operation.ADD, SEEN)
    assert box.first_unseen() == 5
    box.store_flags(uids(5), Operation.ADD, SEEN)
    assert box.first_unseen() == 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Operation)[:2]), st.integers(1, 6), st.booleans()), max_size=30))
def test_the_first_unseen_is_found_whatever_changed_since(steps):
    with tempfile.TemporaryDirectory() as directory:
        ground = Ground(Path(directory))
        box = ground.open()
        ground.append(box, *"abcdef")
        seen = set()
        for operation, uid, looks in steps:
            box.store_flags(uids(uid), operation, SEEN)
            (seen.add if operation is Operation.ADD else seen.discard)(uid)
            if looks:
                assert box.first_unseen() == min(set(range(1, 7)) - seen, default=0)
        ground.reader._index.close()


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_some_rows_are_bounded_by_what_they_hold(ground, box, most):
    ground.append(box, *(f"Subject: {number}\r\n\r\n" for number in range(60)))
    while box.fill(1, 100):
        pass
    columns = ("uid", "fields", "size")
    wanted = NumberSet([(2, 30), (33, 33), (40, 99)])
    found, left = [], wanted
    while left:
        rows, whole = box.some_rows(left, columns, most)
        assert rows and (whole or len(rows) <= most + 16)
        found += rows
        left = NumberSet() if whole else left - NumberSet([(1, rows[-1][0])])
    assert found == list(box.rows(wanted, columns))
    assert box.some_rows(NumberSet(), columns, most) == ([], True)


def test_flag_words(ground, box):
    box.store_flags(uids(2, 3), Operation.ADD, SEEN | DELETED)
    box.expunge(uids(3))
    assert box.flag_words(1, 9) == ["0", str(SEEN | DELETED), "0"]
    assert box.flag_words(3, 3) == []
    ground.reader.create("A")
    other = ground.open("A")
    ground.reader.delete("A")
    ground.tidy()
    with pytest.raises(MailboxGone):
        other.flag_words(1, 9)
