"""How messages get and lose rows."""

import pytest

from mailsrv.store.index import MAX_UID, Key
from mailsrv.store.refusals import TooMany
from mailsrv.store.rows import CUR, Found, emailid_of, insert
from mailsrv.store.values import SEEN

from tests.mailsrv.store.ground import Ground, rows


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


def found(base, content=0):
    return Found(base, CUR, ":2,S", SEEN, 5, content, 7)


def put(ground, box, *messages):
    with ground.reader._index.write() as writing:
        return insert(writing, writing.mailbox(Key(box.id, box.uidvalidity)), messages, 9.7)


def test_rows_get_the_next_uids_and_contents(ground):
    box = ground.open()
    assert put(ground, box) == []
    assert put(ground, box, found("a"), found("b")) == [1, 2]
    assert put(ground, box, found("c", content=1)) == [3]
    assert rows(box, "uid", "content", "emailid", "received", "saved", "path") == [
        (1, 1, emailid_of("a"), 7, 9, "cur/a:2,S"),
        (2, 2, emailid_of("b"), 7, 9, "cur/b:2,S"),
        (3, 1, emailid_of("a"), 7, 9, "cur/c:2,S"),
    ]
    assert ground.reader._index.read("SELECT id, copies FROM content") == [(1, 2), (2, 1)]
    assert len(emailid_of("a")) == 25 and emailid_of("a").isalnum()


def test_uids_end_some_day(ground):
    box = ground.open()
    with ground.reader._index.write() as writing:
        writing.execute("UPDATE mailbox SET uidnext = ?", (MAX_UID - 1,))
    assert put(ground, box, found("a")) == [MAX_UID - 1]
    with pytest.raises(TooMany):
        put(ground, box, found("b"))
    assert len(rows(box, "uid")) == 1


def test_contents_are_never_used_twice(ground):
    box = ground.open()
    ground.append(box, "one", flags=8)
    box.expunge()
    ground.tidy()
    ground.append(box, "two")
    assert rows(box, "content") == [(2,)]
