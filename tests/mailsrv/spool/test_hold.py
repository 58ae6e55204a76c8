"""Holding and releasing; power cuts are in tests/crash."""

import os

import pytest

from mailsrv.errors import AlreadyThere
from mailsrv.spool.hold import Holding, hold, hold_claimed, release

from tests.mailsrv.spool.place import ID, Place, delayed


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def held(place):
    return hold(place.disk, place.layout, ID, place.log, "by the operator")


def test_there_and_back(place):
    place.enqueue()
    assert held(place) is Holding.HELD
    assert place.tree() == [f"hold/{ID}"]
    assert place.log.events == [("held", "warning", {"id": ID, "reason": "by the operator"})]
    assert release(place.disk, place.layout, ID, 77.0)
    assert place.tree() == [f"queue/{ID}"]
    assert os.stat(f"{place.layout.queue}/{ID}").st_mtime == 77.0
    with place.claim() as claim:
        assert claim is not None


def test_the_journal_stays_where_it_is(place):
    place.enqueue()
    with place.claim() as claim:
        claim.record([delayed(0)])
    held(place)
    assert place.tree() == [f"hold/{ID}", f"journal/{ID}"]
    release(place.disk, place.layout, ID, 77.0)
    with place.claim() as claim:
        assert claim.outcomes == {0: delayed(0)}


def test_what_is_not_there(place):
    assert held(place) is Holding.GONE
    assert not release(place.disk, place.layout, ID, 77.0)
    assert place.log.events == []


def test_held_twice(place):
    place.enqueue()
    held(place)
    assert held(place) is Holding.HELD
    assert place.tree() == [f"hold/{ID}"]


def test_a_hold_that_waits_for_the_attempt_can_be_taken_back(place):
    place.enqueue()
    with place.claim():
        assert held(place) is Holding.LATER
        assert place.tree() == [f"hold/{ID}", f"queue/{ID}"]
        assert release(place.disk, place.layout, ID, 77.0)
        assert place.tree() == [f"queue/{ID}"]
    assert held(place) is Holding.HELD


def test_in_both_places_after_a_crash(place):
    place.enqueue()
    os.link(f"{place.layout.queue}/{ID}", f"{place.layout.hold}/{ID}")
    assert held(place) is Holding.HELD
    assert place.tree() == [f"hold/{ID}"]


@pytest.mark.parametrize("act", ["hold", "hold_claimed", "release"])
def test_two_messages_of_one_id_are_left_to_the_operator(place, act):
    place.enqueue()
    held(place)
    place.enqueue()
    with pytest.raises(AlreadyThere):
        if act == "hold":
            held(place)
        elif act == "hold_claimed":
            hold_claimed(place.disk, place.layout, ID, place.log, "wish")
        else:
            release(place.disk, place.layout, ID, 77.0)
    assert place.tree() == [f"hold/{ID}", f"queue/{ID}"]
