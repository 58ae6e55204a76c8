"""The journal on a real disk: made, appended to, cut where it is torn, tried again."""

import os

import pytest

from mailsrv.errors import GrammarError, StorageError, StorageFull
from mailsrv.spool.history import Attempt, Finished, encode, encode_first
from mailsrv.spool.journal import Journal

from tests.fakes.disk import FakeDisk
from tests.mailsrv.spool.place import ID, Place, delayed, relayed

NONCE = 7
FIRST = Attempt(1.0, (delayed(0),), 9.0)
SECOND = Attempt(10.0, (relayed(0),))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def new(place, nonce=NONCE):
    return Journal(place.disk, place.layout, ID, nonce)


def path(place):
    return f"{place.layout.journal}/{ID}"


def test_it_is_made_with_the_first_entry(place):
    journal = new(place)
    assert journal.load(1).attempts == 0
    assert not journal.exists and place.tree() == []
    journal.append(FIRST)
    journal.append(SECOND, Finished(11.0))
    whole = encode_first(NONCE) + encode(FIRST) + encode(SECOND) + encode(Finished(11.0))
    assert place.disk.read(path(place)) == whole
    assert os.stat(path(place)).st_mode & 0o777 == 0o600
    again = new(place)
    history = again.load(1)
    assert again.exists and history.outcomes == {0: relayed(0)} and history.finished == 11.0


@pytest.mark.parametrize("tail", [b'{"attempt":{"at"', b"\0" * 100])
def test_a_torn_end_is_cut_before_the_next_entry(place, tail):
    new(place).append(FIRST)
    whole = place.disk.read(path(place))
    place.disk.append(path(place), tail)
    journal = new(place)
    assert journal.load(1).attempts == 1
    assert place.disk.read(path(place)) == whole + tail  # reading changes nothing
    journal.append(SECOND)
    assert place.disk.read(path(place)) == whole + encode(SECOND)


def test_a_journal_that_was_never_begun(place):
    place.disk.append(path(place), encode_first(NONCE)[:10])
    journal = new(place)
    journal.load(1)
    journal.append(FIRST)
    assert place.disk.read(path(place)) == encode_first(NONCE) + encode(FIRST)


def test_another_messages_journal(place):
    new(place, 8).append(FIRST)
    with pytest.raises(GrammarError, match="another message"):
        new(place).load(1)


def test_syncs():
    place = Place("/d", FakeDisk())
    place.disk.operations.clear()
    journal = new(place)
    journal.load(1)
    journal.append(FIRST)
    journal.append(SECOND)
    journal.settle()
    file, directory = path(place), place.layout.journal
    made = [("append", file), ("sync", file), ("sync", directory), ("append", file), ("sync", file)]
    assert place.disk.operations == made
    again = new(place)
    again.load(1)
    assert place.disk.operations == made
    again.settle()
    again.settle()
    assert place.disk.operations[len(made) :] == [("cut", file), ("sync", file), ("sync", directory)]


@pytest.mark.parametrize("failing", ["append", "sync"])
def test_an_append_that_failed_is_tried_again(failing):
    place = Place("/d", FakeDisk())
    journal = new(place)
    journal.append(FIRST)
    whole = place.disk.read(path(place))
    place.disk.refuse = lambda operation, path: StorageFull("no") if operation == failing else None
    with pytest.raises(StorageFull):
        journal.append(SECOND)
    place.disk.refuse = None
    journal.append(SECOND)
    assert place.disk.read(path(place)) == whole + encode(SECOND)


def test_a_directory_that_could_not_be_synced_is_synced_with_the_next_try():
    place = Place("/d", FakeDisk())
    journal = new(place)
    directory = place.layout.journal
    place.disk.refuse = lambda done, path: StorageError("no") if (done, path) == ("sync", directory) else None
    with pytest.raises(StorageError):
        journal.append(FIRST)
    assert not journal.settled
    place.disk.refuse = None
    journal.append(FIRST)
    assert journal.settled
    assert place.disk.read(path(place)) == encode_first(NONCE) + encode(FIRST)
