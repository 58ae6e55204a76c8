"""Rounds of feedback: what is synced, made, read and thrown away, and when."""

import itertools

import pytest

from mailsrv.deliver import feedback
from mailsrv.deliver.feedback import Feedback
from mailsrv.errors import StorageError
from mailsrv.spool.layout import prepare
from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_received import FailureSeen, Received, Unreadable
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk
from tests.fakes.log import FakeLog
from tests.mailsrv.deliver.test_feedback_parts import lines
from tests.mailsrv.deliver.test_feedback_reading import ARF, FIELDS

DATA = "/srv/mail"
LAYOUT = FeedbackLayout(DATA)
NAMES = ("dZJjly8m601", "dZJjly8m602", "dZJjly8m603")
REPORT = lines(ARF.format(fields=FIELDS))


class FakeDays:
    """Writes down what it is asked for."""

    def __init__(self, answers=()):
        self.asked = []
        self.restored = []
        self.answers = list(answers)

    def due_at(self, day):
        return {"2023-11-12": 0.0, "2023-11-13": 0.0, "2023-11-14": 2e9}[day]

    def report(self, day, until):
        self.asked.append(day)
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    def restore(self, day):
        self.restored.append(day)


class Scene:
    def __init__(self, answers=(), sends=True):
        self.disk = FakeDisk()
        prepare(self.disk, DATA)
        for directory in LAYOUT.directories:
            self.disk.make_directories(directory)
        self.clock = FakeClock(1_700_000_000.0)
        self.log = FakeLog()
        self.days = FakeDays(answers)
        self.feedback = Feedback(self.disk, DATA, self.clock, self.log, self.days, sends)

    def put(self, *names, octets=REPORT):
        for name in names:
            self.disk.append(f"{LAYOUT.waiting}/{name}", octets)

    def row(self, day, octets=b"row\n"):
        self.disk.append(LAYOUT.rows_of(day), octets)

    def received(self):
        return list(Received(self.disk, LAYOUT).read())


def test_rows_are_durable_after_a_minute():
    scene = Scene()
    scene.feedback.go()
    scene.row("2023-11-14")
    scene.clock.advance(59)
    scene.feedback.go()
    assert any(LAYOUT.rows_of("2023-11-14") not in image for image in scene.disk.images())
    scene.clock.advance(1)
    scene.feedback.go()
    scene.row("2023-11-14", b"torn")
    for image in scene.disk.images():
        assert image[LAYOUT.rows_of("2023-11-14")].startswith(b"row\n")


def test_what_has_not_changed_is_not_synced_again():
    scene = Scene(sends=False)
    scene.row("2023-11-14")
    scene.feedback.go()
    scene.disk.settle()
    scene.clock.advance(60)
    scene.feedback.go()
    assert scene.disk.syncs == 0


def test_days_that_are_due_are_reported_once():
    scene = Scene()
    for day in ("2023-11-12", "2023-11-13", "2023-11-14"):
        scene.row(day)
    scene.disk.append(f"{LAYOUT.rows}/notes", b"")
    for _ in range(3):
        scene.feedback.go()
        scene.clock.advance(60)
    assert scene.days.asked == ["2023-11-12", "2023-11-13"]


@pytest.mark.parametrize("trouble", [False, StorageError("no")])
def test_a_day_that_is_open_is_tried_again_later(trouble):
    scene = Scene([trouble])
    scene.row("2023-11-12")
    for _ in range(20):
        scene.feedback.go()
        scene.clock.advance(60)
    assert scene.days.asked == ["2023-11-12"] * 2
    assert len(scene.log.named("storage")) == (trouble is not False)


def test_without_the_key_nothing_is_sent_and_a_crash_is_still_set_right():
    scene = Scene(sends=False)
    scene.row("2023-11-12")
    scene.disk.append(LAYOUT.sent_of("2023-11-12"), b"")
    scene.feedback.restore()
    scene.feedback.go()
    assert (scene.days.asked, scene.days.restored) == ([], ["2023-11-12"])


def test_reports_of_others_are_read_and_go():
    scene = Scene()
    scene.put(*NAMES[:2])
    scene.put(NAMES[2], octets=b"Subject: Report Domain: x\r\n\r\nnothing\r\n")
    scene.put("notes")
    scene.feedback.go()
    first, second, third = scene.received()
    assert isinstance(first, FailureSeen)
    assert (first.id, second.id) == NAMES[:2]
    assert third == Unreadable(1_700_000_000.0, NAMES[2], "there is no report in it")
    assert scene.disk.names(LAYOUT.waiting) == ["notes"]
    told = scene.log.named("feedback")
    assert [(one["kind"], one["state"], one["messages"]) for one in told] == [
        ("failure", "received", 12), ("failure", "received", 12), ("unreadable", "received", 0),
    ]  # fmt: skip


def test_a_round_reads_only_so_many(monkeypatch):
    monkeypatch.setattr(feedback, "_AT_A_TIME", 2)
    scene = Scene()
    scene.put(*NAMES)
    scene.feedback.go()
    assert scene.disk.names(LAYOUT.waiting) == [NAMES[2]]
    scene.feedback.go()
    assert len(scene.received()) == 3


def test_a_mistake_of_ours_costs_one_report(monkeypatch):
    read = feedback.read_feedback
    calls = itertools.count()

    def fail_once(*arguments):
        if next(calls) == 0:
            raise ZeroDivisionError("oops")
        return read(*arguments)

    monkeypatch.setattr(feedback, "read_feedback", fail_once)
    scene = Scene()
    scene.put(*NAMES[:2])
    scene.feedback.go()
    assert [type(one) for one in scene.received()] == [Unreadable, FailureSeen]
    assert "oops" in scene.log.named("bug")[0]["traceback"]
    assert scene.disk.names(LAYOUT.waiting) == []


def test_a_report_that_ends_the_process_is_not_read_again(monkeypatch):
    def die(*_arguments):
        raise SystemExit

    scene = Scene()
    scene.put(NAMES[0])
    with monkeypatch.context() as patch:
        patch.setattr(feedback, "read_feedback", die)
        with pytest.raises(SystemExit):
            scene.feedback.go()
    scene.feedback.go()
    assert scene.received() == [Unreadable(1_700_000_000.0, NAMES[0], "the process ended while it was read")]
    assert scene.disk.names(LAYOUT.waiting) == []


def test_a_disk_that_refuses_keeps_the_report():
    scene = Scene()
    scene.put(NAMES[0])
    scene.disk.refuse = lambda operation, path: StorageError(f"{path}: no") if path == LAYOUT.received else None
    scene.feedback.go()
    assert len(scene.log.named("storage")) == 1
    assert scene.disk.names(LAYOUT.waiting) == [NAMES[0]]
    scene.disk.refuse = None
    scene.feedback.go()
    assert [type(one) for one in scene.received()] == [FailureSeen]


def test_a_message_that_is_too_large_for_a_report(monkeypatch):
    monkeypatch.setattr(feedback, "MAX_REPORT_OCTETS", 10)
    scene = Scene()
    scene.put(NAMES[0])
    scene.feedback.go()
    assert scene.received() == [Unreadable(1_700_000_000.0, NAMES[0], "it is larger than 10 octets")]
    assert scene.disk.names(LAYOUT.waiting) == []


def test_days_are_kept_for_a_month():
    scene = Scene(sends=False)
    for directory in (LAYOUT.rows, LAYOUT.sent):
        for day in ("2023-10-14", "2023-10-15", "2023-11-14"):
            scene.disk.append(f"{directory}/{day}.jsonl", b"")
    scene.feedback.go()
    for directory in (LAYOUT.rows, LAYOUT.sent):
        assert sorted(scene.disk.names(directory)) == ["2023-10-15.jsonl", "2023-11-14.jsonl"]


def test_directories_that_somebody_took_away_are_made_again():
    scene = Scene()
    scene.feedback.go()
    scene.disk.unlink(LAYOUT.waiting)
    scene.feedback.go()
    scene.clock.advance(60)
    scene.feedback.go()
    assert scene.disk.exists(LAYOUT.waiting)
    assert scene.log.named("storage") == []
