"""Clearing away; what must not be cleared away after crashes is in tests/crash."""

import os

import pytest

from mailsrv.mail.dsn import Kind
from mailsrv.spool.collect import KEEP_SECONDS, Collected, collect
from mailsrv.spool.hold import hold

from tests.mailsrv.spool.place import ID, REPORT, Place, delayed, failed, relayed


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def round_of(place):
    return collect(place.disk, place.layout, place.clock)


def finish(place, identifier=ID):
    with place.claim(identifier) as claim:
        claim.record([relayed(0), relayed(1)])
        claim.finish()


def test_journals_of_finished_messages(place):
    place.enqueue()
    place.enqueue(identifier=REPORT)
    finish(place)
    with place.claim(REPORT) as claim:
        claim.record([delayed(0)])
    assert place.tree() == [f"journal/{ID}", f"journal/{REPORT}", f"queue/{REPORT}"]
    assert round_of(place) == Collected(journals=1)
    assert place.tree() == [f"journal/{REPORT}", f"queue/{REPORT}"]
    assert round_of(place) == Collected()


def test_journals_of_held_messages_stay(place):
    place.enqueue()
    with place.claim() as claim:
        claim.record([delayed(0)])
    hold(place.disk, place.layout, ID, place.log, "wish")
    assert round_of(place) == Collected()


def test_a_reports_journal_stays_for_36_hours(place):
    place.enqueue(identifier=REPORT, sender=None)
    finish(place, REPORT)
    place.clock.advance(KEEP_SECONDS - 1)
    assert round_of(place) == Collected()
    place.clock.advance(1)
    assert round_of(place) == Collected(journals=1)
    assert place.tree() == []


@pytest.mark.parametrize("held", [False, True])
def test_it_stays_as_long_as_its_message_may_ask_for_it(place, held):
    """However long the server was down between the making of a report and the note of it."""
    place.enqueue()
    with place.claim() as claim:
        claim.learn([failed(0)])
        claim.journal_report(Kind.FAILED, REPORT, [0])
    if held:
        hold(place.disk, place.layout, ID, place.log, "wish")
    place.enqueue(identifier=REPORT, sender=None)
    finish(place, REPORT)
    place.clock.advance(100 * KEEP_SECONDS)
    assert round_of(place) == Collected()
    with place.claim(held=held) as claim:
        claim.reported(REPORT)
        claim.defer(1.0, [delayed(1)])
    assert round_of(place) == Collected(journals=1)


def test_a_damaged_journal_of_a_finished_message(place):
    """It may be a report's: it goes by its file's time."""
    path = f"{place.layout.journal}/{ID}"
    place.disk.append(path, b'{"finished":{}}\n')
    os.utime(path, (place.clock.now(), place.clock.now()))
    assert round_of(place) == Collected()
    place.clock.advance(KEEP_SECONDS)
    assert round_of(place) == Collected(journals=1)


def test_a_damaged_journal_of_a_waiting_message_asks_for_nothing(place):
    place.enqueue()
    place.disk.append(f"{place.layout.journal}/{ID}", b'{"report":{}}\n')
    place.enqueue(identifier=REPORT, sender=None)
    finish(place, REPORT)
    place.clock.advance(KEEP_SECONDS)
    assert round_of(place) == Collected(journals=1)
    assert f"journal/{ID}" in place.tree()


def test_a_message_that_comes_back_while_we_look(place, monkeypatch):
    """Released between the lists and the look under the lock."""
    place.enqueue()
    finish(place)
    lock = place.disk.lock

    def released(path, shared=False):
        open(f"{place.layout.queue}/{ID}", "w").close()
        return lock(path, shared)

    monkeypatch.setattr(place.disk, "lock", released)
    assert round_of(place) == Collected()
    assert f"journal/{ID}" in place.tree()


def test_the_second_name_of_a_held_message(place):
    place.enqueue()
    with place.claim():
        hold(place.disk, place.layout, ID, place.log, "wish")
        assert round_of(place) == Collected()
    assert round_of(place) == Collected(held=1)
    assert place.tree() == [f"hold/{ID}"]


def test_another_message_of_the_same_id_stays(place):
    place.enqueue()
    hold(place.disk, place.layout, ID, place.log, "wish")
    place.enqueue()
    assert round_of(place) == Collected()


def test_debris_and_strange_names(place):
    for name, age in (("17.1.abcd", KEEP_SECONDS), ("17.2.abcd", 60.0)):
        path = f"{place.layout.tmp}/{name}"
        open(path, "w").close()
        moment = place.clock.now() - age
        os.utime(path, (moment, moment))
    open(f"{place.layout.journal}/notes.txt", "w").close()
    assert round_of(place) == Collected(debris=1)
    assert os.listdir(place.layout.tmp) == ["17.2.abcd"]
    assert place.tree() == ["journal/notes.txt"]
