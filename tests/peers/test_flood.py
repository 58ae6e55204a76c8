"""200 wrong logins at once: memory stays under a bound, and other sessions are answered within a second.

The bound is what the server may use beyond its idle size: one argon2 block (19 MiB) per core, 200 TLS sessions of 120
KiB with their threads, and what Python's allocator keeps of both.
"""

import json
import os
import smtplib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.bench.measure import descendants, pss_bytes
from tests.peers.house import House

LOGINS = 200
REPLY_SECONDS = 1.0
NOOPS = 20  # of one session: more without a message are junk
MEBIBYTE = 2**20
BOUND = 64 * MEBIBYTE + (os.cpu_count() or 1) * 20 * MEBIBYTE
REFUSALS = {"535", "454", "421"}
ATTACK = Path(__file__).with_name("attack.py")


class Memory:
    """Watches the PSS of a process tree from a thread; `peak` in octets."""

    def __init__(self, root):
        self.peak = 0
        self._root = root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def now(self):
        return sum(pss_bytes(pid) for pid in descendants(self._root))

    def _watch(self):
        while not self._stop.wait(0.05):
            self.peak = max(self.peak, self.now())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.fixture
def server():
    house = House(
        extra=f'[limits]\nconnections_per_address = {LOGINS + 50}\n\n[bans]\nallow = ["127.0.0.0/8"]\n',
    )
    house.start()
    yield house
    assert house.stop() == 0


def slowest_reply(port, until):
    """Talk to the server while the flood runs: NOOPs in old sessions, greeting and EHLO in new ones. Seconds."""
    slowest = 0.0
    while True:
        started = time.monotonic()
        with smtplib.SMTP("127.0.0.1", port, "other.example.net", timeout=30) as client:
            slowest = max(slowest, time.monotonic() - started)
            for ask in (client.ehlo, *[client.noop] * NOOPS):
                started = time.monotonic()
                assert ask()[0] == 250
                slowest = max(slowest, time.monotonic() - started)
                if until.poll() is not None:
                    return slowest


def test_wrong_logins_in_parallel(server):
    memory = Memory(server.pid)
    idle = memory.now()
    command = [sys.executable, str(ATTACK), str(server.ports["submissions"]), str(LOGINS)]
    with memory, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
        assert crowd.stdout.readline() == "ready\n"
        crowd.stdin.write("go\n")
        crowd.stdin.flush()
        slowest = slowest_reply(server.ports["smtp"], crowd)
        answers = json.loads(crowd.stdout.read())
    assert sum(answers.values()) == LOGINS and set(answers) <= REFUSALS, answers
    assert answers.get("535", 0) > 0, answers
    assert memory.peak - idle < BOUND, f"{(memory.peak - idle) / MEBIBYTE:.0f} MiB over an idle server"
    assert slowest < REPLY_SECONDS, f"{slowest:.2f} s for a reply to another session"
