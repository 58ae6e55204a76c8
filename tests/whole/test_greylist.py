"""Greylisting and DNS lists on the real server: asked to come back, let in later by any worker and after a restart."""

import os
import signal
import smtplib
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.fakes.dns import FakeDnsServer
from tests.whole.running import DEADLINE, wait_until

ZONE = """
2.0.0.127.bad.example    A    127.0.0.2
2.0.0.127.bad.example    TXT  Spam seen
far.example              TXT  v=spf1 ip4:127.0.0.0/24 -all
_dmarc.far.example       TXT  v=DMARC1; p=reject
other.example            A    127.0.0.1
"""

CONFIG = """
[limits]
workers = 2
[dns]
nameservers = ["{nameserver}"]
[checks]
exempt = []
[greylist]
enabled = true
delay_seconds = {delay}
[dnsbl]
zones = ["bad.example"]
"""


@pytest.fixture
def make(make_server):
    """Servers that ask a DNS of their own."""
    with FakeDnsServer(ZONE) as dns:
        yield lambda delay: make_server(more=CONFIG.format(nameserver=dns.nameserver, delay=delay))


def attempt(server, domain="other.example", client="127.0.0.1"):
    """One message in a session of its own; (code, text) of the reply that ends it."""
    with smtplib.SMTP(
        "127.0.0.1", server.port, "client.example", DEADLINE, source_address=(client, 0)
    ) as session:  # fmt: skip
        session.ehlo()
        assert session.mail(f"ann@{domain}")[0] == 250
        code, text = session.rcpt("alice@example.test")
        if code == 250:
            code, text = session.data(f"From: ann@{domain}\r\nSubject: hello\r\n\r\nhi\r\n".encode())
        return code, text.decode()


def is_greylisted(reply):
    return reply[0] == 451 and reply[1].startswith("4.7.1 greylisted, try again in")


def is_stopped(pid):
    """Whether every thread stands still: the first one that hears of a signal stops the others."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(task.read_bytes().rpartition(b")")[2].split()[0] == b"T" for task in tasks)


@contextmanager
def only(server, number):
    """Only this one of the workers runs."""
    others = [pid for at, pid in enumerate(sorted(server.workers())) if at != number]
    try:
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: is_stopped(pid), "every thread stands still")
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def let_pass(server, seconds):
    """As if so much time had passed since the triplets were first seen."""
    with closing(sqlite3.connect(server.data / "senders.sqlite3")) as connection, connection:
        connection.execute("UPDATE triplets SET first = first - ?", (seconds,))


def test_come_back_and_get_in(make):
    server = make(1)
    server.start()
    assert is_greylisted(attempt(server))
    (event,) = server.events("refused")
    assert event["stage"] == "rcpt" and event["to"] == "alice@example.test"
    wait_until(lambda: attempt(server)[0] == 250, "the retry is taken")
    assert attempt(server)[0] == 250
    assert len(server.messages()) == 2
    assert (server.data / "senders.sqlite3").stat().st_mode & 0o777 == 0o600


def test_workers_share_what_they_know_and_a_restart_keeps_it(make):
    server = make(300)
    server.start()
    with only(server, 0):
        assert is_greylisted(attempt(server))
    let_pass(server, 300)
    with only(server, 1):
        assert attempt(server)[0] == 250
    with only(server, 0):
        assert attempt(server)[0] == 250
        assert is_greylisted(attempt(server, "sub.other.example"))
    server.run("stop")
    assert server.wait_end() == 0
    server.start()
    assert attempt(server)[0] == 250
    let_pass(server, 300)
    assert attempt(server, "sub.other.example")[0] == 250


def test_who_passed_dmarc_is_exempt_from_the_lists_too(make):
    server = make(300)
    server.start()
    listed = (550, "5.7.1 127.0.0.2 is listed in bad.example (Spam seen)")
    code, text = attempt(server, "far.example", "127.0.0.2")
    assert (code, text.partition(" id=")[0]) == listed
    assert is_greylisted(attempt(server, "far.example"))
    let_pass(server, 300)
    assert attempt(server, "far.example")[0] == 250
    assert attempt(server, "far.example", "127.0.0.2")[0] == 250
    assert attempt(server, "other.example", "127.0.0.2")[0] == 550


def test_a_damaged_file_refuses_no_mail(make):
    server = make(300)
    server.start()
    server.run("stop")
    assert server.wait_end() == 0
    (server.data / "senders.sqlite3").write_bytes(b"garbage" * 1000)
    os.chmod(server.data / "senders.sqlite3", 0o666)
    server.start()
    # Whoever asks first (the runner's housekeeping, a recipient) finds it and has it set aside.
    assert wait_until(lambda: is_greylisted(attempt(server)), "greylisting goes on with a new file")
    event = server.wait("storage")
    assert event["reason"].endswith("set aside as senders.sqlite3.damaged, a new one is begun")
    assert (server.data / "senders.sqlite3.damaged").read_bytes() == b"garbage" * 1000
    let_pass(server, 300)
    assert attempt(server)[0] == 250
