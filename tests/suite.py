"""All checks side by side: linter, types, and the tests in groups, each group in a pytest process of its own.

    tests/suite.py [-j PROCESSES] [BEFORE]     as tests/run calls it, in its environment; BEFORE is what stands above
                                               the last summary: a line for each step before, FAILED where it did

The paths under `testpaths` of .pytest.ini are cut into groups of about GROUP_SECONDS, and the longest begin first; what
a group said is printed whole when it ends, and all that failed once more at the end. The exit status is 0 only if every
group passed. Ctrl-C ends everything that was started.

Not pytest-xdist: each of its workers collects all the tests again, which is a tenth of the time; it runs them in a
process with a thread of its own, where many of ours fork or count threads; and it is one more dependency.
"""

import argparse
import configparser
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TOP = Path(__file__).resolve().parents[1]

GROUP_SECONDS = 30.0
LIMIT_SECONDS = 600.0  # then a group hangs: it is ended, and says where it stood
STOP_SECONDS = 10.0  # for pytest to take down its servers after Ctrl-C
MOST = 4

# Seconds that a path takes by itself, for what takes long: only the order and the cut depend on it. The last lines of a
# run name the longest groups; what is not named here counts FILE_SECONDS a file.
SECONDS: dict[str, float] = {
    "types": 60,
    "tests/cases/authn/test_rfc7208_suite.py": 5,
    "tests/cases/test_authn_hostile.py": 6,
    "tests/cases/test_imap_dialogs.py": 5,
    "tests/cases/test_imap_interleavings.py": 5,
    "tests/cases/test_imap_server_dialogs.py": 10,
    "tests/cases/test_smtp_dialogs.py": 5,
    "tests/crash/test_feedback.py": 8,
    "tests/crash/test_queue.py": 9,
    "tests/crash/test_store.py": 24,
    "tests/house/test_floors.py": 6,
    "tests/house/test_form.py": 3,
    "tests/house/test_sizes.py": 2,
    "tests/mailsrv/authn": 20,
    "tests/mailsrv/cli": 16,
    "tests/mailsrv/config": 5,
    "tests/mailsrv/deliver": 11,
    "tests/mailsrv/imap": 8,
    "tests/mailsrv/imapd": 15,
    "tests/mailsrv/mail": 15,
    "tests/mailsrv/receive": 8,
    "tests/mailsrv/serve": 30,
    "tests/mailsrv/smtp": 7,
    "tests/mailsrv/store": 24,
    "tests/mailsrv/system": 12,
    "tests/peers/test_filter.py": 14,
    "tests/peers/test_flood.py": 14,
    "tests/peers/test_imap_curl.py": 6,
    "tests/peers/test_imap_imapclient.py": 4,
    "tests/peers/test_imap_imaplib.py": 8,
    "tests/peers/test_imap_mbsync.py": 80,
    "tests/peers/test_imap_mutt.py": 6,
    "tests/peers/test_programs.py": 9,
    "tests/peers/test_queue_peers.py": 12,
    "tests/peers/test_timing.py": 42,
    "tests/whole/test_checks.py": 7,
    "tests/whole/test_crash.py": 18,
    "tests/whole/test_feedback.py": 8,
    "tests/whole/test_filter.py": 7,
    "tests/whole/test_greylist.py": 9,
    "tests/whole/test_imap.py": 10,
    "tests/whole/test_kill.py": 18,
    "tests/whole/test_rehearsal.py": 8,
    "tests/whole/test_reload.py": 20,
    "tests/whole/test_send.py": 12,
    "tests/whole/test_send_kill.py": 40,
    "tests/whole/test_send_ways.py": 5,
    "tests/whole/test_serve.py": 40,
    "tests/whole/test_tools.py": 30,
    "tests/whole/test_try.py": 20,
}
FILE_SECONDS = 0.6

_COUNTS = re.compile(r"(\d+) (passed|failed|skipped|error|xfailed|xpassed|deselected)")


@dataclass(frozen=True, slots=True)
class Job:
    """One process: what it is called, its command, and about how long it takes."""

    name: str
    command: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended. `status` is as subprocess has it: negative for a signal."""

    job: Job
    status: int
    seconds: float
    said: str

    @property
    def counts(self) -> Counter[str]:
        """Tests by what became of them, from the last line that pytest prints."""
        last = self.said.rstrip().rpartition("\n")[2]
        return Counter({word: int(number) for number, word in _COUNTS.findall(last)})

    @property
    def troubles(self) -> list[str]:
        """The lines of pytest's short summary."""
        lines = self.said.rpartition("short test summary info")[2].splitlines()
        return [line for line in lines if line.startswith(("FAILED ", "ERROR ", "SKIPPED ", "XPASS "))]


def find_paths(top: Path = TOP) -> list[str]:
    """What groups are made of, by path: the rooms of tests/mailsrv, and single files elsewhere."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(top / ".pytest.ini", encoding="utf-8")
    found: set[str] = set()
    for area in settings["pytest"]["testpaths"].split():
        for file in (top / area).rglob("test_*.py"):
            path = file.relative_to(top)
            found.add(str(Path(*path.parts[:3]) if area == "tests/mailsrv" else path))
    return sorted(found)


def expected_seconds(path: str, top: Path = TOP) -> float:
    """What one of find_paths() takes."""
    if path in SECONDS:
        return SECONDS[path]
    return FILE_SECONDS * (1 if path.endswith(".py") else len(list((top / path).rglob("test_*.py"))))


def cut(paths: Iterable[tuple[str, float]]) -> Iterator[Job]:
    """Groups of about GROUP_SECONDS: what takes half of that is one by itself, the others are joined in their order."""
    members: list[str] = []
    total = 0.0
    for path, seconds in paths:
        if seconds >= GROUP_SECONDS / 2:
            yield tests_job([path], seconds)
            continue
        if members and total + seconds > GROUP_SECONDS:
            yield tests_job(members, total)
            members, total = [], 0.0
        members.append(path)
        total += seconds
    if members:
        yield tests_job(members, total)


def tests_job(paths: list[str], seconds: float) -> Job:
    """One pytest for these paths."""
    name = paths[0] if len(paths) == 1 else f"{paths[0]} to {paths[-1]}"
    # The cache of last failures is one file for all that run at once.
    options = ("-q", "--no-header", "-p", "no:cacheprovider")
    return Job(name, (sys.executable, "-m", "pytest", *options, *paths), seconds)


def all_jobs() -> list[Job]:
    """Everything, the longest first."""
    checks = [
        Job("types", (sys.executable, "-m", "mypy", "--strict", "mailsrv"), SECONDS["types"]),
        Job("lint", (sys.executable, "-m", "ruff", "check", "--quiet"), 1.0),
    ]
    groups = cut((path, expected_seconds(path)) for path in find_paths())
    return sorted([*checks, *groups], key=lambda job: -job.seconds)


class Crew:
    """The processes that run. Threads wait for them; `stop` ends all of them and lets none begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self, job: Job) -> Ended | None:
        """Run one job to its end; None when there was none to begin any more."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as file:
            process = self._start(job, file)
            if process is None:
                return None
            try:
                process.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)  # pytest's faulthandler prints where every thread is
                self._end(process)
            with self._lock:
                self._running.remove(process)
            file.seek(0)
            said = file.read().decode("utf-8", "replace")
        return Ended(job, process.returncode, time.monotonic() - began, said)

    def stop(self) -> None:
        """As Ctrl-C for each process, and an end with force for what is left of it."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            self._end(process)

    def _start(self, job: Job, file: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping:
                return None
            # A process group of its own: what a terminal sends reaches pytest through `stop` only, and once.
            process = subprocess.Popen(
                job.command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, process_group=0
            )
            self._running.append(process)
            return process

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """Wait a little for a process that is about to end, then end its whole group."""
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def run_all(jobs: list[Job], most: int) -> list[Ended]:
    """Run all jobs, `most` at a time, and print what each said when it ends. KeyboardInterrupt ends them."""
    crew = Crew()
    ended: list[Ended] = []
    with ThreadPoolExecutor(most) as pool:
        pending: set[Future[Ended | None]] = {pool.submit(crew.run, job) for job in jobs}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    assert result is not None
                    ended.append(result)
                    print(f"== {result.job.name} ({len(ended)} of {len(jobs)}, {result.seconds:.1f} s)")
                    print(result.said.rstrip("\n"), flush=True)
        except BaseException:
            crew.stop()
            raise
    return ended


def sum_up(ended: list[Ended], seconds: float, before: str = "") -> bool:
    """Print what there is to know at the end: the longest groups, what failed or was skipped, and the counts. Whether
    everything passed, what came before too."""
    print("== the longest")
    for one in sorted(ended, key=lambda one: -one.seconds)[:8]:
        print(f"{one.seconds:6.1f} s  {one.job.name}")
    print("== summary")
    for one in sorted(ended, key=lambda one: one.status != 0):
        print(*one.troubles, sep="\n", end="\n" if one.troubles else "")
    for one in ended:
        if one.status:
            how = f"exit status {one.status}" if one.status > 0 else signal.Signals(-one.status).name
            print(f"FAILED GROUP {one.job.name}: {how}")
    print(before, end="")
    counts = sum((one.counts for one in ended), Counter[str]())
    words = ", ".join(f"{number} {word}" for word, number in counts.most_common())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = f"{seconds:.0f} s, {(used.ru_utime + used.ru_stime) / 60:.1f} CPU minutes"
    passed = not any(one.status for one in ended)
    print(f"{'checks':12} {'ok' if passed else 'FAILED'}: {words} in {len(ended)} groups, {spent}")
    return passed and "FAILED" not in before


def main() -> int:
    parser = argparse.ArgumentParser(description="Linter, types and all tests, several processes side by side.")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("-j", type=int, default=max(2, min(cores, MOST)), metavar="PROCESSES", dest="most")
    parser.add_argument("before", nargs="?", default="", metavar="BEFORE")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        ended = run_all(all_jobs(), given.most)
    except KeyboardInterrupt:
        print("\ntests/suite.py: interrupted", file=sys.stderr)
        return 130
    return 0 if sum_up(ended, time.monotonic() - began, given.before) else 1


if __name__ == "__main__":
    sys.exit(main())
