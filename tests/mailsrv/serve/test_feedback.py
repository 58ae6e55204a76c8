"""The thread beside the queue: what comes before it, that there is one at a time, and what is told of trouble."""

import threading

import pytest

from mailsrv.config.schema import AccountConfig, Config, DmarcConfig
from mailsrv.serve import feedback
from mailsrv.serve.feedback import ROUND_SECONDS, FeedbackThread
from mailsrv.spool.layout import prepare
from mailsrv.spool.queueid import is_id
from mailsrv.store.feedback_layout import LOCK, FeedbackLayout
from mailsrv.store.feedback_lines import write_row
from mailsrv.system.disk import Disk
from mailsrv.system.lock import Lock
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.log import FakeLog
from tests.mailsrv.store.test_feedback_lines import ROW
from tests.whole.running import DEADLINE


class Stage:
    def __init__(self, path, report=False):
        self.layout = FeedbackLayout(str(path))
        prepare(Disk(), str(path))
        self.clock = FakeClock()
        self.log = FakeLog()
        config = Config(
            hostname="mx.example.org", data_dir=str(path), domains=["example.org"],
            accounts=[AccountConfig("ada", ["ada@example.org"])], dmarc=DmarcConfig(report=report),
        )  # fmt: skip
        self.thread = FeedbackThread(config, self.log, self.clock)

    def go(self):
        self.thread.go()
        self.thread.join(DEADLINE)


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_a_round_is_made_from_time_to_time(stage, monkeypatch):
    rounds = []
    monkeypatch.setattr(stage.thread._feedback, "go", lambda: rounds.append(threading.current_thread().name))
    for _ in range(3):
        stage.go()
    stage.clock.advance(ROUND_SECONDS)
    stage.go()
    assert rounds == ["feedback"] * 2


def test_what_a_crash_left_comes_first_and_in_the_callers_thread(stage, monkeypatch):
    calls = []
    monkeypatch.setattr(stage.thread._feedback, "restore", lambda: calls.append(threading.current_thread()))
    monkeypatch.setattr(stage.thread._feedback, "go", lambda: calls.append("go"))
    for _ in range(2):
        stage.go()
        stage.clock.advance(ROUND_SECONDS)
    assert calls == [threading.current_thread(), "go", "go"]


def test_there_is_one_round_at_a_time(stage, monkeypatch):
    begun, end = threading.Event(), threading.Event()
    rounds = []

    def go():
        rounds.append(1)
        begun.set()
        assert end.wait(DEADLINE)

    monkeypatch.setattr(stage.thread._feedback, "go", go)
    stage.thread.go()
    assert begun.wait(DEADLINE)
    stage.clock.advance(ROUND_SECONDS)
    stage.thread.go()
    end.set()
    stage.thread.join(DEADLINE)
    assert rounds == [1]


def test_another_process_is_left_alone(stage, monkeypatch):
    rounds = []
    monkeypatch.setattr(stage.thread._feedback, "go", lambda: rounds.append(1))
    with Lock(f"{stage.layout.data_dir}/{LOCK}", wait=False):
        stage.go()
    assert (rounds, stage.log.events) == ([], [])


def test_a_bug_is_told(stage, monkeypatch):
    monkeypatch.setattr(stage.thread._feedback, "go", lambda: 1 / 0)
    stage.go()
    assert "ZeroDivisionError" in stage.log.named("bug")[0]["traceback"]


def test_a_place_that_is_gone_is_told(stage):
    stage.thread._lock = "/nowhere/at/all"
    stage.go()
    assert {one["path"] for one in stage.log.named("storage")} == {"/nowhere/at/all"}


def test_a_day_is_reported_over_the_dns(tmp_path, monkeypatch):
    resolver = FakeResolver("_dmarc.example.org TXT v=DMARC1")
    monkeypatch.setattr(feedback, "DnsResolver", lambda *_arguments, **_options: resolver)
    stage = Stage(tmp_path, report=True)
    disk = Disk()
    disk.make_directories(stage.layout.rows)
    disk.append(stage.layout.rows_of("2023-11-12"), write_row(ROW) + b"\n")
    stage.go()
    (name,) = disk.names(f"{tmp_path}/spool/queue")
    assert is_id(name)
    assert len(name) > 13, "an ID like those of messages that come here"
    assert disk.read(f"{tmp_path}/spool/queue/{name}").count(b"Report Domain: example.org") == 1
    assert not stage.log.named("storage") and not stage.log.named("bug")
