"""What reception leaves: rows, each once and whole, bounded; copies of what looks like a report."""

import dataclasses
import threading

import pytest

from mailsrv.errors import StorageError
from mailsrv.mail.header import scan
from mailsrv.store import feedback
from mailsrv.store.feedback import Collector, is_candidate
from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_lines import LeftOut, read_rows, write_row
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk
from tests.fakes.log import FakeLog
from tests.mailsrv.store.test_feedback_lines import ROW

DAY = "2023-11-14"


@pytest.fixture
def place(tmp_path):
    return Place(Disk(), str(tmp_path))


class Place:
    def __init__(self, disk, data_dir):
        self.disk = disk
        self.data_dir = data_dir
        self.clock = FakeClock()
        self.log = FakeLog()
        self.layout = FeedbackLayout(data_dir)
        self.collector = self.make()

    def make(self, enabled=True):
        return Collector(self.disk, self.data_dir, self.clock, self.log, enabled)

    def rows(self, day=DAY):
        return list(read_rows(self.disk.read(self.layout.rows_of(day)).split(b"\n")))


def octets(text=b"Subject: x\r\n\r\nbody\r\n"):
    scratch = Scratch(None, "", len(text), MemoryBudget(len(text)))
    scratch.write(text)
    return Octets(b"Received: here\r\n", scratch)


def test_rows_of_all_processes_and_threads_are_whole(place):
    collectors = [place.make() for _ in range(3)]
    threads = [
        threading.Thread(target=lambda one=one: [one.collect(ROW) for _ in range(50)])
        for one in collectors
        for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.rows() == [ROW] * 300


@pytest.mark.parametrize("row", [None, ROW])
def test_nothing_is_kept_that_nobody_wants(place, row):
    place.make(enabled=False).collect(ROW)
    place.collector.collect(None)
    assert not place.disk.exists(place.layout.rows)


def test_each_day_has_its_file(place):
    place.collector.collect(ROW)
    place.clock.advance(86_400)
    place.collector.collect(ROW)
    assert sorted(place.disk.names(place.layout.rows)) == ["2023-11-14.jsonl", "2023-11-15.jsonl"]


def test_a_row_costs_one_write_and_no_sync():
    place = Place(FakeDisk(), "/d")
    place.disk.make_directories("/d/feedback/out")
    place.collector.collect(ROW)
    place.disk.settle()
    place.collector.collect(ROW)
    assert place.disk.operations == [("append", place.layout.rows_of(DAY))]


def test_what_another_writer_tore_costs_nobody_else_a_row(place):
    place.collector.collect(ROW)
    place.disk.append(place.layout.rows_of(DAY), b'{"version":1,"ti')
    place.make().collect(ROW)
    assert place.rows() == [ROW, LeftOut(1), ROW]


def test_a_full_day_says_how_much_is_missing(place, monkeypatch):
    monkeypatch.setattr(feedback, "MAX_DAY_OCTETS", 100)
    monkeypatch.setattr(feedback, "_SHARE", 0.1)  # of a day, for each process
    place.collector.collect(ROW)
    place.clock.advance(2)
    for _ in range(5):
        place.collector.collect(ROW)
    place.clock.advance(61)
    place.collector.collect(ROW)
    assert place.rows() == [ROW, LeftOut(1), LeftOut(5)]
    place.collector.collect(ROW)
    place.clock.advance(86_400)
    place.collector.collect(ROW)
    assert place.rows() == [ROW, LeftOut(1), LeftOut(5), LeftOut(1)]
    assert place.rows("2023-11-15") == [ROW]


def test_a_domain_that_is_flooded_leaves_the_others_room(place, monkeypatch):
    size = len(write_row(ROW))
    monkeypatch.setattr(feedback, "MAX_DAY_OCTETS", 2 * feedback._SHARE * size + feedback._SHARE)
    other = dataclasses.replace(ROW, record_domain="example.net")
    for _ in range(4):
        place.collector.collect(ROW)
    place.collector.collect(other)
    rows = [row for row in place.rows() if not isinstance(row, LeftOut)]
    assert rows == [ROW, ROW, other]
    place.clock.advance(86_400)
    place.collector.collect(ROW)
    assert place.rows("2023-11-15")[-1] == ROW


def test_a_disk_that_refuses_costs_no_mail_and_is_told_once_a_minute():
    place = Place(FakeDisk(), "/d")
    place.disk.make_directories("/d/feedback/out")
    place.disk.refuse = lambda operation, path: StorageError(f"{path}: no") if operation == "append" else None
    for _ in range(3):
        place.collector.collect(ROW)
    assert len(place.log.named("storage")) == 1
    place.disk.refuse = None
    place.clock.advance(61)
    place.collector.collect(ROW)
    assert place.rows() == [LeftOut(3), ROW]


def test_a_copy_is_handed_over_once(place):
    for _ in range(2):
        place.collector.hand_over("ID", octets())
    assert place.disk.read(f"{place.layout.waiting}/ID") == b"Received: here\r\nSubject: x\r\n\r\nbody\r\n"
    assert place.log.events == []


@pytest.mark.parametrize(("name", "bound"), [("MAX_WAITING", 2), ("MAX_WAITING_OCTETS", 80)])
def test_only_so_many_wait(place, monkeypatch, name, bound):
    monkeypatch.setattr(feedback, name, bound)
    for number in range(5):
        place.collector.hand_over(f"ID{number}", octets())
    assert len(place.disk.names(place.layout.waiting)) == 2
    assert len(place.log.named("storage")) == 1


def test_a_large_message_is_no_report(place, monkeypatch):
    monkeypatch.setattr(feedback, "MAX_REPORT_OCTETS", 20)
    place.collector.hand_over("ID", octets())
    assert not place.disk.exists(place.layout.waiting)


CANDIDATES = [
    b"Subject: Report Domain: example.org Submitter: google.com Report-ID: 1\r\n",
    b"From: x\r\nSUBJECT: [Preview] Report Domain: example.org\r\n Submitter: a\r\n",
    b"Subject: Report\r\n Domain: example.org\r\n",
    b'Content-Type: application/gzip;\r\n name="a.example!b.example!1700000000!1700086399.xml.gz"\r\n',
    b"Content-Type: multipart/report; boundary=x;\r\n\treport-type=Feedback-Report\r\n",
]
OTHERS = [
    b"Subject: Our annual report\r\n",
    b"Subject: domain report\r\nX: report domain:\r\n",
    b'Content-Type: application/gzip; name="a!b.xml.gz"\r\n',
    b"",
]


@pytest.mark.parametrize("header", CANDIDATES)
def test_what_may_be_a_report(header):
    assert is_candidate(scan(header, True))


@pytest.mark.parametrize("header", OTHERS)
def test_what_is_none(header):
    assert not is_candidate(scan(header, True))


def test_the_beginning_of_a_header_is_looked_at():
    subject = b"\r\nSubject: Report Domain: a Submitter: b Report-ID: c\r\n\r\n"
    assert is_candidate(scan(b"X: " + b"y" * 30_000 + subject, True))
    assert not is_candidate(scan(b"X: " + b"y" * 33_000 + subject, True))


@pytest.mark.parametrize(
    "header",
    [
        b"X: " + b"!1234567!1234567" * 60_000,
        b"Subject: " + b"report " * 100_000,
        b"Subject: report" + b" " * 500_000,
        b"\r\nSubject: report domain" * 30_000,
        b"X: !123456!" + b"1" * 500_000,
        b"X: " + b"!123456" * 70_000,
    ],
)
def test_no_header_takes_long(header, benchmark_seconds=2.0):
    scanned = scan(header, True)
    thread = threading.Thread(target=is_candidate, args=(scanned,), daemon=True)
    thread.start()
    thread.join(benchmark_seconds)
    assert not thread.is_alive()
