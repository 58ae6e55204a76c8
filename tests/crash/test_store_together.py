"""Several processes work on one account at once, and some are killed: what was told is there, once."""

import subprocess
import sys
from pathlib import Path

import pytest

from mailsrv.system.clock import SystemClock

from tests.crash.store import finish, look, reader, texts
from tests.crash.store_worker import MAILBOXES

TOP = Path(__file__).parents[2]


def start(data_dir, number, rounds):
    command = [sys.executable, "-m", "tests.crash.store_worker", str(data_dir), str(number), str(rounds)]
    return subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def data_dir(tmp_path):
    account = reader(tmp_path, clock=SystemClock())
    for name in MAILBOXES[1:]:
        if name not in {line.name for line in account.mailboxes()}:
            account.create(name)
    return tmp_path


def judge(data_dir, told):
    account = reader(data_dir, clock=SystemClock())
    finish(account)
    assert account.check() == []
    found = look(account)
    kept = [text for text in texts(found) if not text.startswith("trash")]
    assert len(kept) == len(set(kept)), "no message is there twice"
    assert set(told) <= set(kept), "what was told is there"
    for _, _, messages in found.values():
        assert all(messages)
    account = reader(data_dir, clock=SystemClock())
    assert look(account) == found
    return kept


def test_at_once(data_dir):
    workers = [start(data_dir, number, 40) for number in range(3)]
    told = [line for worker in workers for line in worker.communicate(timeout=100)[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sorted(judge(data_dir, told)) == sorted(told)


def test_verify_has_no_complaints_beside_them(data_dir):
    """Whatever others are doing just now is no fault, nor does a repair beside them change anything."""
    workers = [start(data_dir, number, 40) for number in range(2)]
    account = reader(data_dir, clock=SystemClock())
    looks = 0
    while any(worker.poll() is None for worker in workers):
        assert account.check(quick=looks % 2 == 1) == []
        if looks % 5 == 4:
            assert account.repair() == ([], [])
        looks += 1
    told = [line for worker in workers for line in worker.communicate(timeout=100)[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert looks > 2
    judge(data_dir, told)


def test_some_are_killed(data_dir):
    told = []
    for turn in range(3):
        workers = [start(data_dir, 10 * turn + number, 10_000) for number in range(2)]
        for worker in workers:
            for _ in range(6):
                told.append(worker.stdout.readline().rstrip("\n"))
        for worker in workers:
            worker.kill()
        for worker in workers:
            # A line may be cut off; what it tells was stored nevertheless.
            told += [line for line in worker.communicate(timeout=100)[0].split("\n")[:-1] if line]
        judge(data_dir, told)
