"""What others reported: kept in order, within bounds."""

import pytest

from mailsrv.store import feedback_received
from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_received import AggregateSeen, FailureSeen, Received, Source, Unreadable, dump
from mailsrv.system.disk import Disk

AGGREGATE = AggregateSeen(
    *(1.0, "ID1", "Google", "a@google.example", "77", "example.org", "none", 10, 20, 5, 3),
    (Source("192.0.2.1", 5, 3),),
)
FAILURE = FailureSeen(2.0, "ID2", "mx.example", "auth-failure", "example.org", "192.0.2.7", "dkim")
UNREADABLE = Unreadable(3.0, "ID3", "no XML")


@pytest.fixture
def place(tmp_path):
    layout = FeedbackLayout(str(tmp_path))
    Disk().make_directories(layout.waiting)
    return layout


def test_entries_come_back(place):
    received = Received(Disk(), place)
    assert list(received.read()) == []
    for entry in (AGGREGATE, FAILURE, UNREADABLE):
        received.append(entry)
    Disk().append(place.received, b'{"version":1,"fail')
    Received(Disk(), place).append(FAILURE)
    assert list(Received(Disk(), place).read()) == [AGGREGATE, FAILURE, UNREADABLE, FAILURE]


def test_two_files_are_kept(place, monkeypatch):
    monkeypatch.setattr(feedback_received, "MAX_OCTETS", 300)
    received = Received(Disk(), place)
    entries = [Unreadable(float(number), "ID", "x" * 100) for number in range(20)]
    for entry in entries:
        received.append(entry)
    kept = list(received.read())
    assert kept == entries[-len(kept) :]
    assert 2 < len(kept) < 8
    assert sorted(name for name in Disk().names(f"{place.data_dir}/feedback") if "received" in name) == [
        "received.jsonl",
        "received.jsonl.1",
    ]


def test_an_entry_for_programs():
    assert dump(UNREADABLE) == {"kind": "unreadable", "at": 3.0, "id": "ID3", "reason": "no XML"}
