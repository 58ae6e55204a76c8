"""Setting aside: nothing is lost, whatever lies there already and wherever it is cut off."""

import os

import pytest

from mailsrv.spool.corrupt import set_aside
from mailsrv.spool.hold import hold

from tests.fakes.disk import FakeDisk, PowerCut
from tests.mailsrv.spool.place import ID, Place, delayed


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def prepared(place):
    place.enqueue()
    with place.claim() as claim:
        claim.record([delayed(0)])


def aside(place):
    set_aside(place.disk, place.layout, ID, place.log, "damaged")


def test_the_message_and_its_journal(place):
    prepared(place)
    queue = place.disk.read(f"{place.layout.queue}/{ID}")
    journal = place.disk.read(f"{place.layout.journal}/{ID}")
    aside(place)
    assert place.tree() == [f"corrupt/{ID}", f"corrupt/{ID}.journal"]
    assert place.disk.read(f"{place.layout.corrupt}/{ID}") == queue
    assert place.disk.read(f"{place.layout.corrupt}/{ID}.journal") == journal
    paths = [f"{place.layout.corrupt}/{ID}", f"{place.layout.corrupt}/{ID}.journal"]
    assert place.log.named("corrupt") == [{"id": ID, "path": path, "reason": "damaged"} for path in paths]


def test_names_that_are_taken_get_a_number(place):
    for _ in range(3):
        prepared(place)
        aside(place)
    assert place.tree() == sorted(f"corrupt/{ID}{end}{n}" for end in ("", ".journal") for n in ("", ".1", ".2"))


def test_a_held_message(place):
    prepared(place)
    hold(place.disk, place.layout, ID, place.log, "wish")
    os.link(f"{place.layout.hold}/{ID}", f"{place.layout.queue}/{ID}")
    aside(place)
    assert place.tree() == [f"corrupt/{ID}", f"corrupt/{ID}.journal"]


def found_after_cuts(skip_sync=None):
    """Every tree after a power cut at any operation: (in the queue, journal there, both in corrupt)."""
    found = set()
    for crash_at in range(100):
        place = Place("/d", FakeDisk())
        prepared(place)
        place.disk.settle()
        place.disk.crash_at, place.disk.skip_sync = crash_at, skip_sync
        try:
            aside(place)
            done = True
        except PowerCut:
            done = False
        for image in place.disk.images():
            corrupt = all(image.get(f"{place.layout.corrupt}/{ID}{end}") for end in ("", ".journal"))
            found.add((f"{place.layout.queue}/{ID}" in image, f"{place.layout.journal}/{ID}" in image, corrupt))
        if done:
            return found
    raise AssertionError("there is no end")


def is_sound(state):
    """Never without a journal in the queue, and never gone before it lies in corrupt/."""
    queued, journal, corrupt = state
    return (journal or not queued) and (corrupt or (queued and journal))


def test_power_cuts():
    assert all(map(is_sound, found_after_cuts()))


@pytest.mark.parametrize("number", [0, 1])
def test_each_sync_is_needed(number):
    assert not all(map(is_sound, found_after_cuts(number)))


def test_begun_before_a_crash(place):
    prepared(place)
    os.link(f"{place.layout.queue}/{ID}", f"{place.layout.corrupt}/{ID}")
    aside(place)
    assert place.tree() == [f"corrupt/{ID}", f"corrupt/{ID}.journal"]
