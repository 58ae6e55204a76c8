"""`kill -9` of the queue's runner and of the whole server, reloads and restarts, under load: every accepted message
reaches the next host; twice only what was in flight at the moment of a kill, because a final 250 that had not been
journalled looks like none; and of what fails the sender hears exactly once."""

import os
import re
import signal
import threading
from collections import Counter

import pytest

from tests.fakes.dns import FakeDnsServer
from tests.fakes.mx import Behaviour, FakeMx
from tests.whole.running import wait_until

MESSAGES = 150
MOMENTS = (30, 70, 110)  # so many messages were accepted when it happens
SENDERS = 3
CONNECTIONS = 4
ZONE = "elsewhere.example MX 10 mx.elsewhere.example\nmx.elsewhere.example A 127.0.0.1\n"
TOP = """\
[aliases]
"good@example.test" = "erin@elsewhere.example"
"mixed@example.test" = ["frank@elsewhere.example", "nobody@elsewhere.example"]
"""
MORE = """\
[limits]
workers = 2
[queue]
port = {port}
retry_seconds = [1]
connections_per_hop = {connections}
[dns]
nameservers = ["{nameserver}"]
"""
RUNNER = {"build": "mailsrv.serve.processes:build", "options": {"has_runner": True}}
# Slow enough that there is always something in flight.
SLOW = Behaviour(rcpt=(("^nobody@", "550 5.1.1 no such user"),), drip=0.0005)


class Load:
    """Messages in a few threads; each is sent again until it is accepted, under a new name."""

    def __init__(self, server):
        self.server = server
        self.accepted = {}  # name of the message -> alias
        self._numbers = iter(range(MESSAGES * 10))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        pause = threading.Event()
        while len(self.accepted) < MESSAGES:
            try:
                with self.server.connect() as client:
                    client.ehlo()
                    while len(self.accepted) < MESSAGES:
                        self._send(client)
            except OSError:  # smtplib's errors are some
                pause.wait(0.02)

    def _send(self, client):
        with self._lock:
            number = next(self._numbers)
        name, alias = f"m{number}.", "mixed" if number % 3 == 0 else "good"
        client.sendmail("alice@example.test", f"{alias}@example.test", f"Subject: {name}\r\n\r\nhello\r\n")
        self.accepted[name] = alias

    def wait(self, count):
        wait_until(lambda: len(self.accepted) >= count, f"{count} messages", 60)

    def join(self):
        for thread in self._threads:
            thread.join(60)


def kill_runner(server):
    ready = server.events("worker", kind="runner", state="ready")
    os.kill(int(ready[-1]["pid"]), signal.SIGKILL)
    server.wait("worker", kind="runner", state="ready", count=len(ready) + 1)


def kill_supervisor(server):
    """The others see that it is gone, and hurry."""
    server.process.kill()
    server.wait_end()
    server.start(**RUNNER)


def kill_group(server):
    os.killpg(server.process.pid, signal.SIGKILL)
    server.wait_end()
    server.start(**RUNNER)


def reload(server):
    server.process.send_signal(signal.SIGHUP)
    server.wait("reload", result="ok", count=len(server.events("reload", result="ok")) + 1)


def stop_and_start(server):
    server.run("stop")
    server.wait_end()
    server.start(**RUNNER)


def name_of(octets):
    return re.search(rb"^Subject: (m\d+\.)\r?$", octets, re.MULTILINE)[1].decode()


def find_reports(server):
    """Names of the messages that the reports in alice's mailbox are about."""
    texts = (text.encode() for text in server.messages())
    return Counter(name_of(text) for text in texts if b"multipart/report" in text)


def is_empty(server):
    return not any(any((server.data / "spool" / place).iterdir()) for place in ("queue", "hold", "corrupt"))


# What is done to the server, and how often a message may arrive twice because of it: a connection has one message in
# flight when it is cut, and none when it is not.
@pytest.mark.parametrize(
    ("disturb", "most"),
    [
        (kill_runner, CONNECTIONS), (kill_supervisor, CONNECTIONS), (kill_group, CONNECTIONS),
        (reload, 0), (stop_and_start, 0),
    ],
)
def test_none_is_lost(make_server, disturb, most):
    with FakeDnsServer(ZONE) as dns, FakeMx(SLOW) as mx:
        more = MORE.format(port=mx.port, nameserver=dns.nameserver, connections=CONNECTIONS)
        server = make_server(top=TOP, more=more)
        server.start(**RUNNER)
        load = Load(server)
        try:
            for count in MOMENTS:
                load.wait(count)
                disturb(server)
        finally:
            load.join()
        wait_until(lambda: is_empty(server), "an empty queue", 60)
        arrived = Counter((name_of(one.octets), to) for one in list(mx.accepted) for to in one.recipients)
        wanted = {"good": "erin@elsewhere.example", "mixed": "frank@elsewhere.example"}
        missing = [name for name, alias in load.accepted.items() if not arrived[name, wanted[alias]]]
        assert not missing, server.text()
        assert all(to != "nobody@elsewhere.example" for _, to in arrived)
        twice = arrived.total() - len(arrived)
        assert twice <= len(MOMENTS) * most, f"{twice} duplicates"
        reports = find_reports(server)
        assert set(reports.values()) == {1}
        assert {name for name, alias in load.accepted.items() if alias == "mixed"} <= set(reports)
        assert not server.events("bug"), server.events("bug")
