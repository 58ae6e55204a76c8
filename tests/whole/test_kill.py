"""`kill -9` under load: what got its 250 lies complete in new/ and, where it must, in queue/, exactly once."""

import os
import re
import signal
import smtplib
import threading
import time

import pytest

from tests.whole.running import DEADLINE, wait_until

CONFIG = {
    # A key of the top: an alias with an account and an address elsewhere fills both new/ and queue/.
    "top": '[aliases]\n"team@example.test" = ["alice", "someone@elsewhere.example"]\n',
    "more": "[limits]\nworkers = 2\ndrain_seconds = 30\n",
}
FILL = "x" * 70 + "\r\n"
LINES = 400  # about 29 KB a message, so that kills meet messages half way
END = "this is the end of "
PROBE = "probe."
ROUNDS = 3
THREADS = 6
RECIPIENTS = ("alice@example.test", "team@example.test")


class Load:
    """Threads that send without a pause, each over a connection that it opens anew whenever it breaks."""

    def __init__(self, server):
        self.server = server
        self.accepted = {}  # name of the message -> its recipient
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        turn = 0
        while not self._stop.is_set():
            try:
                with self.server.connect() as client:
                    client.ehlo()
                    while not self._stop.is_set():
                        turn += 1
                        self._send(client, f"m{number}-{turn}.", RECIPIENTS[turn % 2])
            except (OSError, smtplib.SMTPException):
                self._stop.wait(0.02)

    def _send(self, client, name, recipient):
        if client.mail("bob@example.org")[0] != 250 or client.rcpt(recipient)[0] != 250:
            raise smtplib.SMTPServerDisconnected("the server drains")
        code, _ = client.data(f"Subject: {name}\r\n\r\n{FILL * LINES}{END}{name}\r\n".encode())
        if code == 250:
            self.accepted[name] = recipient

    def wait(self, more):
        goal = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= goal, f"{more} more messages")

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)


def kill_workers(server):
    count = len(server.events("worker", state="ready"))
    killed = server.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    server.wait("worker", state="ready", count=count + len(killed))


def kill_supervisor(server):
    server.process.kill()
    server.wait_end()
    server.start()


def kill_group(server):
    os.killpg(server.process.pid, signal.SIGKILL)
    server.wait_end()
    server.start()


def find_messages(directory):
    """Every message of the load in a directory as (its name, whether it is complete)."""
    for path in directory.glob("*"):
        text = path.read_bytes().decode()
        name = re.search(r"^Subject: (\S+)\r$", text, re.MULTILINE)
        assert name, f"{path} is no message: {text[:200]}"
        if name[1] != PROBE:
            yield name[1], text.endswith(f"{FILL * LINES}{END}{name[1]}\r\n")


@pytest.mark.parametrize("kill", [kill_workers, kill_supervisor, kill_group])
def test_kill(make_server, kill):
    server = make_server(**CONFIG)
    server.start()
    load = Load(server)
    try:
        for _ in range(ROUNDS):
            load.wait(25)
            began = time.monotonic()
            kill(server)
            assert server.deliver(PROBE)[0] == 250
            assert time.monotonic() - began < server.again_seconds
        load.wait(25)
    finally:
        load.stop()
    server.run("stop")
    server.wait_end()
    delivered = list(find_messages(server.data / "accounts" / "alice" / "new"))
    queued = list(find_messages(server.data / "spool" / "queue"))
    for found in (delivered, queued):
        assert all(complete for _, complete in found)
        assert len({name for name, _ in found}) == len(found), "a message lies there twice"
    assert set(load.accepted) <= {name for name, _ in delivered}
    mixed = {name for name, recipient in load.accepted.items() if recipient == RECIPIENTS[1]}
    assert mixed <= {name for name, _ in queued}
    assert mixed

