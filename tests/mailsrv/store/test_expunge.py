"""EXPUNGE."""

import pytest

from mailsrv.store.refusals import MessageGone
from mailsrv.store.values import DELETED, SEEN, Operation

from tests.mailsrv.store.ground import Ground, rows, uids


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def test_only_what_is_deleted_goes(ground):
    box = ground.open()
    ground.append(box, "one", "two", "three", "four")
    ground.append(box, "five", flags=DELETED | SEEN)
    box.store_flags(uids(1, 2, 3), Operation.ADD, DELETED)
    gone, modseq = box.expunge(uids(2, 4, 5))
    assert list(gone) == [2, 5] and modseq == box.view()[1]
    gone, _ = box.expunge()
    assert list(gone) == [1, 3]
    assert rows(box, "uid") == [(4,)]
    status = box.status()
    assert (status.messages, status.deleted, status.unseen, status.octets, status.uidnext) == (1, 0, 1, 4, 6)
    assert ground.reader.usage().octets == 4


def test_nothing_to_expunge_changes_nothing(ground):
    box = ground.open()
    ground.append(box, "one")
    modseq = box.view()[1]
    assert box.expunge() == (uids(), modseq) and box.expunge(uids(1)) == (uids(), modseq)
    box.store_flags(uids(1), Operation.ADD, DELETED)
    assert box.expunge(uids(7))[0] == uids()


def test_files_go_later(ground):
    box = ground.open()
    ground.append(box, "one", flags=DELETED)
    box.expunge()
    assert len(ground.names("cur")) == 1
    assert not box.refresh(force=True) and rows(box, "uid") == []
    with pytest.raises(MessageGone):
        box.open_file(1)
    ground.tidy()
    assert ground.names("cur") == []
    assert ground.reader._index.read("SELECT * FROM content") == []


def test_uids_are_never_used_again(ground):
    box = ground.open()
    for uid in range(1, 5):
        assert ground.append(box, "x", flags=DELETED) == [uid]
        box.expunge()
