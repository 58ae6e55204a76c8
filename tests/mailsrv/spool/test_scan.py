"""The scan: what waits and when, in little memory; what measures it at 100 000 is tests/bench/queue.py."""

import os
import tracemalloc

from mailsrv.spool.hold import hold
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.spool.scan import list_ids, scan

from tests.mailsrv.spool.place import ID, REPORT, Place


def test_what_waits_and_when(tmp_path):
    place = Place(tmp_path)
    place.enqueue()
    place.enqueue(identifier=REPORT)
    place.enqueue(identifier="dZJjly8m63W2")
    os.utime(f"{place.layout.queue}/{ID}", (300.5, 300.5))
    os.utime(f"{place.layout.queue}/{REPORT}", (200.0, 200.0))
    hold(place.disk, place.layout, "dZJjly8m63W2", place.log, "wish")
    waiting = scan(place.disk, place.layout, place.log)
    assert len(waiting) == 2
    assert sorted(waiting) == [(200.0, REPORT), (300.5, ID)]
    assert list_ids(place.disk, place.layout) == [ID, REPORT, "dZJjly8m63W2"]


def test_an_id_in_both_places_is_held(tmp_path):
    place = Place(tmp_path)
    place.enqueue()
    os.link(f"{place.layout.queue}/{ID}", f"{place.layout.hold}/{ID}")
    assert len(scan(place.disk, place.layout, place.log)) == 0
    assert list_ids(place.disk, place.layout) == [ID]


def test_other_names_are_left_alone(tmp_path):
    place = Place(tmp_path)
    for name in ("notes.txt", f"{ID}~", "lost+found"):
        open(f"{place.layout.queue}/{name}", "w").close()
    assert len(scan(place.disk, place.layout, place.log)) == 0
    assert len(place.log.named("corrupt")) == 3
    assert len(os.listdir(place.layout.queue)) == 3
    assert list_ids(place.disk, place.layout) == []


def test_a_file_that_vanishes_while_we_look(tmp_path):
    place = Place(tmp_path)
    place.enqueue()
    place.enqueue(identifier=REPORT)
    times = place.disk.times(place.layout.queue)
    first, _ = next(times)
    os.unlink(f"{place.layout.queue}/{REPORT if first == ID else ID}")
    assert list(times) == []


def test_memory(tmp_path):
    """At most 200 octets for a waiting message."""
    place = Place(tmp_path)
    ids = QueueIds(place.clock, 0)
    for _ in range(2000):
        open(f"{place.layout.queue}/{child(ids.new(), 0)}", "w").close()
    tracemalloc.start()
    waiting = scan(place.disk, place.layout, place.log)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(waiting) == 2000
    assert taken / 2000 < 200
