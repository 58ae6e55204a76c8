"""The suite that runs everything leaves no test out, tells what failed, and ends what it began."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import suite
from tests.house.source import TOP
from tests.suite import Ended, Job, cut, find_paths, run_all, sum_up

# A process that waits for its end, after a word to the pipe whose number it gets, which its child has open as well.
WAITS = "import os, signal, sys; os.fork(); os.write(int(sys.argv[1]), b'.'); signal.pause()"


def python(program: str, *arguments: str) -> Job:
    return Job("one", (sys.executable, "-c", program, *arguments), 1.0)


def test_every_test_file_is_in_one_group() -> None:
    counts: Counter[Path] = Counter()
    for job in suite.all_jobs():
        for path in job.command:
            if path.startswith("tests/"):
                counts.update([TOP / path] if path.endswith(".py") else (TOP / path).rglob("test_*.py"))
    elsewhere = [TOP / "tests" / "bench"]
    files = {file for file in (TOP / "tests").rglob("test_*.py") if not any(top in file.parents for top in elsewhere)}
    assert counts == dict.fromkeys(files, 1)


def test_what_takes_long_is_there() -> None:
    assert set(suite.SECONDS) - {"types"} <= set(find_paths())


def test_the_cut() -> None:
    half = suite.GROUP_SECONDS / 2
    paths = [("a", half / 2), ("b", half), ("c", half / 2), ("d", half - 1), ("e", half - 1), ("f", 1.0)]
    groups = {job.name: job.seconds for job in cut(paths)}
    assert groups == {"b": half, "a to d": 2 * half - 1, "e to f": half}


def test_counts_and_troubles() -> None:
    troubles = "SKIPPED [1] a\nFAILED b - c\nanything\n"
    said = f"F.s\n== short test summary info ==\n{troubles}1 failed, 2 passed, 3 skipped in 4.5s\n"
    ended = Ended(python(""), 1, 1.0, said)
    assert ended.counts == {"failed": 1, "passed": 2, "skipped": 3}
    assert ended.troubles == ["SKIPPED [1] a", "FAILED b - c"]


@pytest.mark.parametrize(
    ("program", "before", "words"),
    [
        ("print('7 passed in 1s')", "", "checks       ok: 7 passed in 1 groups"),
        ("print('7 passed in 1s')", "packages     FAILED 1 s\n", "packages     FAILED"),
        ("print('4 errors in 1s'); raise SystemExit(2)", "", "FAILED GROUP one: exit status 2"),
        ("import os; os.kill(os.getpid(), 15)", "", "FAILED GROUP one: SIGTERM"),
    ],
)
def test_one_failure_fails_all(program: str, before: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run_all([python(program)], 2)
    assert sum_up(ended, 1.0, before) == ("ok: 7" in words)
    assert words in capsys.readouterr().out


def test_who_hangs_is_ended_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "LIMIT_SECONDS", 0.5)
    (ended,) = run_all([python("import faulthandler, signal; faulthandler.enable(); signal.pause()")], 1)
    assert ended.status == -signal.SIGABRT
    assert "most recent call first" in ended.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything(number: signal.Signals) -> None:
    words, told = os.pipe()
    jobs = f"[suite.Job('one', (sys.executable, '-c', {WAITS!r}, '{told}'), 1.0)] * 3"
    program = (
        f"import sys; sys.path.insert(0, {str(TOP)!r}); from tests import suite; jobs = {jobs}; "
        "suite.all_jobs = lambda: jobs; start = suite.subprocess.Popen; "
        f"suite.subprocess.Popen = lambda *a, **k: start(*a, **k, pass_fds=[{told}]); sys.exit(suite.main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "-j", "2"], pass_fds=[told], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        os.close(told)
        for _ in range(4):  # two jobs, and a child of each
            assert os.read(words, 1) == b"."
        process.send_signal(number)
        assert process.wait(60) == 130
        assert process.stderr is not None and b"interrupted" in process.stderr.read()
    # Nobody has the pipe open any more, and the third job never began.
    assert os.read(words, 1) == b""
    os.close(words)
