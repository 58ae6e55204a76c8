import json
import os
import subprocess
import sys
import threading

import pytest

from mailsrv.errors import ConfigError, Refused
from mailsrv.system import log as door
from mailsrv.system.log import LEVELS, Log, open_log
from tests.fakes.clock import FakeClock


class Memory:
    """A sink that keeps lines, and refuses them while `full`."""

    stamps = True

    def __init__(self):
        self.lines = []
        self.full = False

    def write(self, priority, line):
        if self.full:
            raise OSError(28, "No space left on device")
        self.lines.append(line.decode())

    def reopen(self):
        raise OSError(13, "Permission denied")

    def own(self, uid, gid):
        raise OSError(1, "Operation not permitted")


@pytest.fixture
def sink():
    return Memory()


def make(sink, form="logfmt", level="debug"):
    return Log(sink, form, level, FakeClock(1_700_000_000.25))


def test_a_line_is_time_level_event_and_fields_in_order(sink):
    fields = {"id": "3kTx", "size": 4096, "seconds": 0.01234, "names": ["a", "b"], "good": True}
    make(sink).write("received", "info", fields)
    assert sink.lines == [
        "time=2023-11-14T22:13:20.250Z level=info event=received id=3kTx size=4096 seconds=0.012 names=a,b good=yes"
    ]


def test_json_keeps_numbers_and_lists(sink):
    fields = {"id": "3kTx", "size": 4096, "seconds": 0.5, "names": ["a b", "c"], "good": False, "reply": 'no "x"'}
    make(sink, "json").write("received", "info", fields)
    assert json.loads(sink.lines[0]) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "event": "received",
        "id": "3kTx",
        "size": 4096,
        "seconds": 0.5,
        "names": ["a b", "c"],
        "good": False,
        "reply": 'no "x"',
    }


@pytest.mark.parametrize("form", door.FORMATS)
def test_empty_fields_are_left_out_and_zero_is_not_empty(sink, form):
    make(sink, form).write("session", "info", {"account": "", "tls": None, "names": [], "to": (), "refused": 0})
    for name in ("account", "tls", "names", "to"):
        assert name not in sink.lines[0]
    assert "refused" in sink.lines[0]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain-text_1.2:3/4<5>", "plain-text_1.2:3/4<5>"),
        ("<>", "<>"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("bücher@exämple.org", '"bücher@exämple.org"'),
        ("line\r\nevent=login", r'"line\r\nevent=login"'),
        ("nul\x00tab\t", r'"nul\u0000tab\t"'),
        ("\x1b[31mred\x7f", r'"\u001b[31mred\u007f"'),
        ("\x85next\u2028line", r'"\u0085next\u2028line"'),
        ("\u202egro.elpmaxe", r'"\u202egro.elpmaxe"'),
        ("\udcff", r'"\udcff"'),
        ("\U000e0001", r'"\udb40\udc01"'),
    ],
)
def test_a_value_can_make_no_second_line_and_no_second_field(sink, value, written):
    make(sink).write("refused", "info", {"helo": value})
    make(sink, "json").write("refused", "info", {"helo": value})
    logfmt, as_json = sink.lines
    assert logfmt.endswith(f" helo={written}")
    assert json.loads(as_json)["helo"] == value
    assert logfmt.isprintable() and as_json.isprintable()


@pytest.mark.parametrize("form", door.FORMATS)
def test_long_values_are_cut(sink, form):
    make(sink, form).write("bug", "error", {"reply": "X" * 600, "traceback": "Q" * 4000, "names": ["J"] * 99})
    line = sink.lines[0]
    assert line.count("X") == door.VALUE_CHARACTERS
    assert line.count("Q") == door.TRACEBACK_CHARACTERS
    assert line.count("J") == door.LIST_VALUES
    assert line.count("...") == 2
    assert len(line) < 4096


def test_any_object_can_be_a_value(sink):
    make(sink).write("storage", "error", {"path": OSError(28, "No space"), "reason": b"x"})
    assert "No space" in sink.lines[0]


def test_events_below_the_level_are_not_written(sink):
    log = make(sink, level="notice")
    for level in LEVELS:
        log.write("stop", level, {})
    assert [line.split()[1] for line in sink.lines] == ["level=notice", "level=warning", "level=error"]
    log.set_level("error")
    log.write("stop", "warning", {})
    assert len(sink.lines) == 3
    with pytest.raises(Refused, match="use one of debug, info"):
        log.set_level("loud")


def test_the_clock_may_jump(sink):
    clock = FakeClock(1_700_000_000.9996)
    log = Log(sink, "logfmt", "info", clock)
    for seconds in (0, 1, -7200.0):
        clock.advance(seconds)
        log.write("stop", "info", {})
    assert [line.split()[0] for line in sink.lines] == [
        "time=2023-11-14T22:13:20.999Z",
        "time=2023-11-14T22:13:21.999Z",
        "time=2023-11-14T20:13:21.999Z",
    ]


def test_a_full_disk_raises_nothing_and_is_told_later(sink):
    log = make(sink)
    sink.full = True
    log.write("stop", "info", {})
    log.write("stop", "info", {})
    sink.full = False
    log.write("stop", "info", {"reason": "x"})
    log.write("stop", "info", {})
    assert [line.split("event=stop")[1] for line in sink.lines] == [" lost=2 reason=x", ""]


def test_a_failed_reopening_is_an_event(sink):
    log = make(sink)
    log.reopen()
    log.own(1, 1)
    assert "event=storage path=log" in sink.lines[0] and "Permission denied" in sink.lines[0]
    assert "level=warning event=storage" in sink.lines[1]


def test_a_file_is_appended_to_and_reopened(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    log = open_log(str(path), "logfmt", "info", FakeClock())
    log.write("stop", "info", {"reason": "one"})
    path.rename(tmp_path / "log.1")
    log.write("stop", "info", {"reason": "two"})
    log.reopen()
    log.write("stop", "info", {"reason": "three"})
    old = (tmp_path / "log.1").read_text().splitlines()
    assert old[0] == "before"
    assert [line.rpartition("=")[2] for line in old[1:]] == ["one", "two"]
    assert path.read_text().endswith("reason=three\n")
    assert path.stat().st_mode & 0o777 & ~door.FILE_MODE == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_given_away_stays_so_after_a_rotation(tmp_path):
    path = tmp_path / "log"
    log = open_log(str(path), "logfmt", "info", FakeClock())
    log.own(12345, 12346)
    path.rename(tmp_path / "log.1")
    log.reopen()
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_a_file_that_cannot_be_opened_is_a_complaint(tmp_path):
    with pytest.raises(ConfigError, match=r"log\.destination: .*/none/log cannot be opened for writing: No such file"):
        open_log(str(tmp_path / "none" / "log"), "logfmt", "info", FakeClock())


def test_a_torn_line_does_not_spoil_the_next(tmp_path, monkeypatch):
    path = tmp_path / "log"
    log = open_log(str(path), "logfmt", "info", FakeClock())
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, octets: real(descriptor, octets[:9]))
        log.write("stop", "info", {"reason": "torn"})
    log.write("stop", "info", {"reason": "whole"})
    torn, whole = path.read_text().splitlines()
    assert torn == "time=2023"
    assert whole.endswith("event=stop lost=1 reason=whole")


def test_lines_of_threads_and_processes_do_not_mix(tmp_path):
    path = tmp_path / "log"
    program = (
        "import sys, threading\n"
        "from mailsrv.system.clock import SystemClock\n"
        "from mailsrv.system.log import open_log\n"
        "log = open_log(sys.argv[1], 'json', 'info', SystemClock())\n"
        "def work(mark):\n"
        "    for n in range(100): log.write('stop', 'info', {'reason': mark * 300})\n"
        "threads = [threading.Thread(target=work, args=(mark,)) for mark in sys.argv[2]]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), marks]) for marks in ("abc", "def")]
    assert [writer.wait() for writer in writers] == [0, 0]
    reasons = [json.loads(line)["reason"] for line in path.read_text().splitlines()]
    assert sorted(reasons) == sorted([mark * 300 for mark in "abcdef"] * 100)


def test_reopening_while_others_write_loses_nothing(tmp_path):
    path = tmp_path / "log"
    log = open_log(str(path), "logfmt", "info", FakeClock())
    writer = threading.Thread(target=lambda: [log.write("stop", "info", {"reason": n}) for n in range(2000)])
    writer.start()
    for turn in range(20):
        path.rename(tmp_path / f"log.{turn}")
        log.reopen()
    writer.join()
    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert len(lines) == 2000
    assert not any("lost=" in line for line in lines)


def run_on_stderr(**environ):
    """One event written to standard error, which is a pipe; the child sees JOURNAL_STREAM as `environ` says."""
    read, write = os.pipe()
    announce = {name: value(os.fstat(write)) for name, value in environ.items()}
    program = (
        "from mailsrv.system.clock import SystemClock\nfrom mailsrv.system.log import open_log\n"
        "open_log('stderr', 'logfmt', 'info', SystemClock()).write('stop', 'notice', {'reason': 'x'})\n"
    )
    base = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    subprocess.run([sys.executable, "-c", program], stderr=write, check=True, env=base | announce)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read()


def test_standard_error_gets_time_and_level():
    assert run_on_stderr().endswith("Z level=notice event=stop reason=x\n")


def test_the_journal_gets_a_priority_and_stamps_itself():
    announced = run_on_stderr(JOURNAL_STREAM=lambda status: f"{status.st_dev}:{status.st_ino}")
    assert announced == "<5>event=stop reason=x\n"


def test_another_stream_than_the_journal_is_seen():
    assert run_on_stderr(JOURNAL_STREAM=lambda status: f"{status.st_dev}:{status.st_ino + 1}").startswith("time=")


def test_syslog_gets_priority_and_text(monkeypatch):
    said = []
    monkeypatch.setattr(door.syslog, "openlog", lambda *arguments: said.append(arguments))
    monkeypatch.setattr(door.syslog, "syslog", lambda *arguments: said.append(arguments))
    log = open_log("syslog", "logfmt", "info", FakeClock())
    log.write("storage", "error", {"path": "a\x00b"})
    assert said == [
        ("mailsrv", door.syslog.LOG_PID, door.syslog.LOG_MAIL),
        (door.syslog.LOG_ERR, r'event=storage path="a\u0000b"'),
    ]
    words = {"error": "ERR"}
    assert {level: getattr(door.syslog, f"LOG_{words.get(level, level.upper())}") for level in LEVELS} == LEVELS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_nothing_is_given_away_but_what_root_has_just_made(tmp_path):
    precious = tmp_path / "precious"
    precious.touch()
    (tmp_path / "log").symlink_to(precious)
    open_log(str(tmp_path / "log"), "logfmt", "info", FakeClock()).own(61184, 61184)
    assert precious.stat().st_uid == 0
    open_log(str(tmp_path / "fresh"), "logfmt", "info", FakeClock()).own(61184, 61184)
    assert (tmp_path / "fresh").stat().st_uid == 61184
