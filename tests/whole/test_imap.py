"""IMAP with the real server: read what SMTP delivered, be told of it, and what reload, kick, ban and a crash mean."""

import contextlib
import imaplib
import os
import signal
import time

import pytest

from mailsrv.directory.passwords import hash_password
from tests.ports import free_port
from tests.whole.running import DEADLINE, Running, wait_until

PASSWORD = "open sesame 1"
HASH = hash_password(PASSWORD)

MORE = """
[[listeners]]
kind = "imap"
port = {imap}
without_tls = true
[limits]
workers = 1
imapd_workers = 2
drain_seconds = 5
free_bytes = 0
[bans]
failures = {failures}
"""


def start(make_server, failures: int = 3) -> Running:
    port = free_port()
    more = MORE.format(imap=port, failures=failures)
    running = make_server(accounts=f'password_hash = "{HASH}"\n', more=more)
    running.imap = port
    running.start()
    return running


@pytest.fixture
def server(make_server):
    return start(make_server)


def log_in(server: Running) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", server.imap, timeout=DEADLINE)
    client.login("alice", PASSWORD)
    return client


def hear(client: imaplib.IMAP4) -> str:
    return client.readline().decode().strip()


def idle(client: imaplib.IMAP4) -> None:
    client.select("INBOX")
    client.send(b"i IDLE\r\n")
    assert hear(client) == "+ idling"


def test_what_was_delivered_is_read(server) -> None:
    client = log_in(server)
    assert client.select("INBOX") == ("OK", [b"0"])
    server.deliver("first")
    client.untagged_responses.clear()
    client.noop()
    assert client.untagged_responses == {"EXISTS": [b"1"]}
    status, [(_, header), _close] = client.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert (status, header) == ("OK", b"Subject: first\r\n\r\n")
    assert client.logout()[0] == "BYE"
    session = server.wait("session", kind="imap")
    assert (session["account"], session["end"]) == ("alice", "quit")


def test_a_delivery_is_told_while_the_client_idles(server) -> None:
    client = log_in(server)
    idle(client)
    seconds = []
    for count in range(1, 6):
        server.deliver(f"number {count}")
        began = time.monotonic()
        assert hear(client) == f"* {count} EXISTS"
        seconds.append(time.monotonic() - began)
    # Milliseconds, where nothing else keeps the machine busy; it is not 30 s, after which a client would see it anyway.
    assert sorted(seconds)[2] < 2.0
    client.send(b"DONE\r\n")
    assert hear(client).startswith("i OK")


def test_who_shows_it_and_a_kick_ends_it(server) -> None:
    client = log_in(server)
    idle(client)
    [session] = wait_until(lambda: [s for s in server.ask("who")["sessions"] if s["account"]], "it is shown")
    assert (session["kind"], session["account"]) == ("imap", "alice")
    assert server.ask("kick", id=session["id"])["ok"]
    assert hear(client).startswith("* BYE the postmaster")
    assert server.wait("session", kind="imap")["end"] == "kicked"


def test_the_kinds_of_processes(server) -> None:
    kinds = [(worker["kind"], worker["state"]) for worker in server.ask("status")["workers"]]
    assert kinds == [("smtpd", "ready"), ("imapd", "ready"), ("imapd", "ready")]


def test_a_reload_says_goodbye_to_who_idles_and_others_come_in(server) -> None:
    client = log_in(server)
    idle(client)
    assert server.ask("reload")["ok"]
    assert hear(client).startswith("* BYE the server is restarting")
    assert log_in(server).select("INBOX")[0] == "OK"


def test_without_listeners_of_imap_there_is_no_imapd(server) -> None:
    server.write(accounts=f'password_hash = "{HASH}"\n', more="[limits]\nworkers = 1\ndrain_seconds = 1\n")
    assert server.ask("reload")["ok"]
    wait_until(lambda: {w["kind"] for w in server.ask("status")["workers"]} == {"smtpd"}, "imapd is gone")
    with pytest.raises(ConnectionRefusedError):
        imaplib.IMAP4("127.0.0.1", server.imap, timeout=DEADLINE)


def test_a_killed_worker_is_replaced_and_costs_its_sessions_only(server) -> None:
    client = log_in(server)
    idle(client)
    for worker in server.ask("status")["workers"]:
        if worker["kind"] == "imapd":
            os.kill(worker["pid"], signal.SIGKILL)
    assert hear(client) == ""
    server.deliver("meanwhile")

    def read():
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            return log_in(server).select("INBOX")[1]

    assert wait_until(read, "an imapd serves again") == [b"1"]


def test_wrong_passwords_are_banned_as_everywhere(make_server) -> None:
    server = start(make_server, failures=1)
    client = imaplib.IMAP4("127.0.0.1", server.imap, timeout=DEADLINE)
    with pytest.raises(imaplib.IMAP4.abort):
        client.login("alice", "wrong")
    assert server.wait("login", result="banned")["kind"] == "imap"
    with pytest.raises(imaplib.IMAP4.error, match="shut out"):
        imaplib.IMAP4("127.0.0.1", server.imap, timeout=DEADLINE)
