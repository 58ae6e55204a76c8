"""smtpd as a client sees it: each kind of listener delivers, and what must be refused is refused."""

import errno
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.serve.daemon import Listener
from mailsrv.system.clock import SystemClock
from tests.mailsrv.serve.smtp_server import MESSAGE, PASSWORD, SmtpServer, insecure

@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    made = SmtpServer(tmp_path)
    yield made
    made.close()


def test_plain_smtp_delivers(server: SmtpServer) -> None:
    with server.client("smtp") as client:
        client.sendmail("x@sender.example", ["bob@example.org"], MESSAGE)
    [octets] = server.inbox("bob")
    assert octets.startswith(b"Return-Path: <x@sender.example>\r\nReceived: from ")
    assert octets.endswith(MESSAGE.encode())


def test_starttls_is_in_the_trace(server: SmtpServer) -> None:
    with server.client("smtp") as client:
        client.starttls(context=insecure())
        client.sendmail("x@sender.example", ["bob@example.org"], MESSAGE)
    assert b"with ESMTPS" in server.inbox("bob")[0]
    assert b"TLS1.3" in server.inbox("bob")[0]


@pytest.mark.parametrize("kind", ["submission", "submissions"])
def test_submission_needs_a_login_and_then_relays(server: SmtpServer, kind: str) -> None:
    with server.client(kind) as client:
        with pytest.raises(smtplib.SMTPSenderRefused, match="5.7.0"):
            client.sendmail("alice@example.org", ["bob@example.org"], MESSAGE)
        if kind == "submission":
            client.starttls(context=insecure())
        with pytest.raises(smtplib.SMTPAuthenticationError, match="5.7.8"):
            client.login("alice", "wrong")
        client.login("alice", PASSWORD)
        client.sendmail("alice@example.org", ["bob@example.org", "carol@far.example"], MESSAGE)
        with pytest.raises(smtplib.SMTPSenderRefused, match="5.7.1"):
            client.sendmail("bob@example.org", ["bob@example.org"], MESSAGE)
    assert b"Message-ID:" in server.inbox("bob")[0]
    [queued] = server.queue()
    assert b"carol@far.example" in queued.split(b"\n")[0]


@pytest.mark.parametrize("kind", ["lmtp", "lmtp unix"])
def test_lmtp_answers_for_each_recipient(server: SmtpServer, kind: str) -> None:
    if kind == "lmtp":
        client = smtplib.LMTP("127.0.0.1", server.ports["lmtp"])
    else:
        client = smtplib.LMTP(server.lmtp_path)
    with client:
        client.ehlo_or_helo_if_needed()
        client.mail("x@sender.example")
        assert client.rcpt("alice@example.org")[0] == 250
        assert client.rcpt("nobody@example.org")[0] == 550
        assert client.rcpt("bob@example.org")[0] == 250
        assert client.docmd("DATA")[0] == 354
        client.send(MESSAGE.encode() + b".\r\n")
        assert [client.getreply()[0], client.getreply()[0]] == [250, 250]
    assert len(server.inbox("alice")) == len(server.inbox("bob")) == 1
    assert server.queue() == []


def test_foreign_and_unknown_recipients_are_refused_with_the_id(server: SmtpServer) -> None:
    with server.client("smtp") as client:
        client.ehlo()
        client.mail("x@sender.example")
        code, text = client.rcpt("x@elsewhere.example")
        assert (code, text[:5]) == (550, b"5.7.1")
        code, text = client.rcpt("nobody@example.org")
        assert (code, text[:5]) == (550, b"5.1.1")
        session = text.rpartition(b"id=")[2].decode()
    [session_line] = server.log.wait_for("session")
    assert session_line["id"] == session
    assert session_line["refused"] == 2


def test_a_full_process_says_so_without_a_thread(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path, limits=LimitsConfig(connections=1, free_bytes=0, free_inodes=0))
    try:
        with server.client("smtp"), socket.create_connection(("127.0.0.1", server.ports["smtp"]), timeout=20) as second:
            assert second.recv(100).startswith(b"421 4.3.2")
            assert second.recv(100) == b""
    finally:
        server.close()


def test_without_descriptors_connections_wait_in_the_queue(server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    accept = Listener.get_request

    def run_short(listener: Listener) -> tuple[socket.socket, object]:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr(Listener, "get_request", run_short)
    began = SystemClock.monotonic()
    with server.client("smtp") as client:
        assert client.noop()[0] == 250
    assert SystemClock.monotonic() - began > 0.25  # three rests


def test_a_banned_address_is_refused_at_the_greeting(server: SmtpServer) -> None:
    server.bans.add("127.0.0.1", 60, "test")
    with pytest.raises(smtplib.SMTPConnectError, match="5.7.1"):
        server.client("smtp")


def test_kick_ends_a_session(server: SmtpServer) -> None:
    with server.client("smtp") as client:
        [session_id] = list(server.service._sessions)
        assert not server.service.kick("nobody")
        assert server.service.kick(session_id)
        assert client.getreply()[0] == 421
        client.close()


def test_the_drain_ends_all_sessions(server: SmtpServer) -> None:
    with server.client("smtp") as client:
        server.service.stop_accepting()
        server.service.drain(0, 60)
        assert client.getreply()[0] == 421
        client.close()
    server.log.wait_for("session")
