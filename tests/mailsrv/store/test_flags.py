"""STORE and keywords."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.store.values import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Operation

from tests.mailsrv.store.ground import Ground, rows, uids

WORDS = st.integers(0, 31)


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


@pytest.fixture
def box(ground):
    box = ground.open()
    for flags in (0, SEEN, FLAGGED | DELETED, SEEN | DRAFT):
        ground.append(box, "x", flags=flags)
    return box


def flags_of(box):
    return [flags for (flags,) in rows(box, "flags")]


def test_add_remove_replace(box):
    assert box.store_flags(uids(1, 2, 3), Operation.ADD, SEEN).changed == 2
    assert flags_of(box) == [SEEN, SEEN, FLAGGED | DELETED | SEEN, SEEN | DRAFT]
    assert box.store_flags(uids(1, 3, 99), Operation.REMOVE, SEEN | DELETED).changed == 2
    assert flags_of(box) == [0, SEEN, FLAGGED, SEEN | DRAFT]
    assert box.store_flags(uids(1, 4), Operation.REPLACE, ANSWERED).changed == 2
    assert flags_of(box) == [ANSWERED, SEEN, FLAGGED, ANSWERED]


def test_what_is_not_changed_keeps_its_modseq(box):
    before = dict(rows(box, "uid", "modseq"))
    stored = box.store_flags(uids(1, 2), Operation.ADD, SEEN)
    after = dict(rows(box, "uid", "modseq"))
    assert after == {**before, 1: stored.modseq} and stored.modseq > max(before.values())
    again = box.store_flags(uids(1, 2), Operation.ADD, SEEN)
    assert (again.changed, again.modseq) == (0, stored.modseq)
    assert [uid for uid, _, _ in box.changes(stored.modseq - 1).flags] == [1]


def test_unchanged_since(box):
    old = box.view()[1]
    box.store_flags(uids(2), Operation.ADD, ANSWERED)
    stored = box.store_flags(uids(1, 2, 3), Operation.ADD, FLAGGED, old)
    assert list(stored.failed) == [2] and stored.changed == 1
    assert flags_of(box)[:3] == [FLAGGED, SEEN | ANSWERED, FLAGGED | DELETED]
    assert list(box.store_flags(uids(1), Operation.ADD, DRAFT, 0).failed) == [1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(Operation), WORDS, st.frozensets(st.integers(1, 6))), max_size=6))
def test_counters_follow(tmp_path_factory, steps):
    ground = Ground(tmp_path_factory.mktemp("x"))
    box = ground.open()
    ground.append(box, "x", "y", "z", flags=SEEN)
    ground.append(box, "x", "y", "z", flags=DELETED)
    model = dict(rows(box, "uid", "flags"))
    for operation, word, numbers in steps:
        box.store_flags(uids(*numbers), operation, word)
        for uid in numbers & model.keys():
            old = model[uid]
            model[uid] = {Operation.ADD: old | word, Operation.REMOVE: old & ~word, Operation.REPLACE: word}[operation]
        assert dict(rows(box, "uid", "flags")) == model
        status = box.status()
        assert status.unseen == sum(not word & SEEN for word in model.values())
        assert status.deleted == sum(bool(word & DELETED) for word in model.values())


def test_many_ranges_at_once(ground):
    box = ground.open()
    ground.append(box, *["x"] * 300)
    odd = uids(*range(1, 300, 2))
    stored = box.store_flags(odd, Operation.ADD, SEEN)
    assert stored.changed == 150
    assert [uid for uid, _, _ in box.changes(stored.modseq - 1).flags] == list(odd)
    assert box.status().unseen == 150
