"""imapd as a client sees it: logins, TLS, compression, many sessions, and the ends of them."""

import imaplib
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import BansConfig, LimitsConfig
from mailsrv.serve.imapd import _FULL
from tests.mailsrv.serve.imap_server import MESSAGE, ImapServer
from tests.mailsrv.serve.smtp_server import PASSWORD, insecure


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ImapServer]:
    made = ImapServer(tmp_path)
    yield made
    made.close()


class Lines:
    """A bare connection, line by line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.file = connection.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def say(self, *lines: str) -> None:
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def hear(self) -> str:
        return self.file.readline().decode().removesuffix("\r\n")

    def until(self, tag: str) -> list[str]:
        """All lines up to the tagged one."""
        heard = []
        while not heard or not heard[-1].startswith(f"{tag} "):
            line = self.hear()
            assert line, heard
            heard.append(line)
        return heard

    def log_in(self, account: str = "alice") -> None:
        self.hear()
        self.say(f'x LOGIN {account} "{PASSWORD}"')
        assert self.until("x")[-1].startswith("x OK")


def test_before_tls_nobody_logs_in(server: ImapServer) -> None:
    client = server.client("imap")
    assert "LOGINDISABLED" in client.capabilities
    with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
        client.login("alice", PASSWORD)
    client.starttls(insecure())
    assert "LOGINDISABLED" not in client.capabilities
    assert "AUTH=SCRAM-SHA-256-PLUS" in client.capabilities
    assert client.login("alice", PASSWORD)[0] == "OK"
    assert client.select("INBOX") == ("OK", [b"0"])
    client.logout()
    [session] = server.log.wait_for("session")
    assert (session["kind"], session["account"], session["end"]) == ("imap", "alice", "quit")
    assert str(session["tls"]).startswith("TLS1.3")


def test_tls_from_the_first_octet(server: ImapServer) -> None:
    server.deliver("alice")
    client = server.log_in("alice@example.org", "imaps")
    client.select("INBOX")
    assert client.fetch("1", "(BODY[])")[1][0][1] == MESSAGE
    assert client.fetch("1", "(FLAGS)")[1] == [b"1 (FLAGS (\\Seen))"]


def test_wrong_passwords(tmp_path: Path) -> None:
    server = ImapServer(tmp_path, bans=BansConfig(allow=["127.0.0.0/8"]))  # which are not slowed down
    client = server.client()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login("alice", "wrong")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login("nobody", PASSWORD)
    with pytest.raises(imaplib.IMAP4.abort, match="too many failed logins"):
        client.login("bob", PASSWORD + "x")
    client.shutdown()
    assert [event["result"] for event in server.log.named("login")] == ["wrong"] * 3
    assert "account" not in server.log.wait_for("session")[0]
    server.close()


def test_authenticate_plain_and_login(server: ImapServer) -> None:
    one = Lines(server.connect())
    one.hear()
    one.say("a AUTHENTICATE PLAIN")
    assert one.hear() == "+ "
    one.say("AGFsaWNlAG9wZW4gc2VzYW1lIDE=")
    assert one.hear().startswith("a OK [CAPABILITY IMAP4rev2 IMAP4rev1 ")
    two = Lines(server.connect())
    two.hear()
    two.say("a AUTHENTICATE LOGIN Ym9i")
    assert two.hear() == "+ UGFzc3dvcmQ6"
    two.say("b3BlbiBzZXNhbWUgMQ==")
    assert two.hear().startswith("a OK")
    two.say("b UNAUTHENTICATE", "c AUTHENTICATE PLAIN", "*", "d SELECT INBOX")
    assert two.until("d")[-1] == "d BAD SELECT: log in first"


def test_an_account_has_so_many_sessions(tmp_path: Path) -> None:
    server = ImapServer(tmp_path, limits=LimitsConfig(imap_sessions=2))
    try:
        one, two = server.log_in(), server.log_in()
        with pytest.raises(imaplib.IMAP4.error, match="LIMIT"):
            server.log_in()
        server.log_in("bob")
        one.logout()
        server.log.wait_for("session")
        server.log_in()
        two.logout()
    finally:
        server.close()


def test_an_address_has_so_many_connections(tmp_path: Path) -> None:
    server = ImapServer(tmp_path, limits=LimitsConfig(connections_per_address=1))
    try:
        first = server.client()
        with pytest.raises(imaplib.IMAP4.error, match="too many connections"):
            server.client()
        assert first.noop()[0] == "OK"
        with pytest.raises((ssl.SSLError, OSError)):
            server.client("imaps")
    finally:
        server.close()


def test_a_full_process_says_so(tmp_path: Path) -> None:
    server = ImapServer(tmp_path, limits=LimitsConfig(imap_connections=1))
    try:
        first = server.client()
        assert server.connect().recv(100) == _FULL
        assert first.noop()[0] == "OK"
    finally:
        server.close()


def test_news_come_while_the_client_is_silent_through_tls_too(server: ImapServer) -> None:
    raw = ssl.SSLContext.wrap_socket(insecure(), server.connect("imaps"))
    client = Lines(raw)
    client.log_in()
    client.say("a SELECT INBOX", "b IDLE")
    while client.hear() != "+ idling":
        pass
    for count in range(1, 4):
        server.deliver("alice")
        assert client.hear() == f"* {count} EXISTS"
    client.say("DONE")
    assert client.hear().startswith("b OK")


def test_what_other_programs_do_is_seen_without_an_announcement(server: ImapServer) -> None:
    client = Lines(server.connect())
    client.log_in()
    client.say("a SELECT INBOX", "b IDLE")
    while client.hear() != "+ idling":
        pass
    server.service._watch._wait_seconds = 0.01
    new = server.data_dir / "accounts" / "alice" / "new" / "17.other"
    new.write_bytes(MESSAGE)
    server.deliver("bob")  # whoever waits looks up, and finds the shorter time
    assert client.hear() == "* 1 EXISTS"


def test_compression(server: ImapServer) -> None:
    server.deliver("alice", MESSAGE + b"x" * 300_000 + b"\r\n")
    client = Lines(server.connect())
    client.log_in()
    client.say("a COMPRESS DEFLATE")
    assert client.hear().startswith("a OK")
    out, back = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

    def talk(*lines: str, until: bytes) -> bytes:
        octets = "".join(f"{line}\r\n" for line in lines).encode()
        client.socket.sendall(out.compress(octets) + out.flush(zlib.Z_SYNC_FLUSH))
        heard = b""
        while until not in heard:
            octets = client.socket.recv(65536)
            assert octets
            heard += back.decompress(octets)
        return heard

    assert b"* 1 EXISTS" in talk("b SELECT INBOX", until=b"b OK")
    assert MESSAGE + b"x" * 300_000 in talk("c FETCH 1 BODY[]", "d COMPRESS DEFLATE", until=b"d NO [COMPRESSIONACTIVE]")
    assert b"+ idling" in talk("e IDLE", until=b"+ idling")
    server.deliver("alice")
    assert talk(until=b"EXISTS").endswith(b"* 2 EXISTS\r\n")
    client.socket.sendall(b"this is not deflate at all, whatever it is" * 10)
    assert client.socket.recv(100) == b""
    assert "not compressed" in str(server.log.wait_for("session")[0]["end"])


def test_a_large_message_comes_whole_in_clear(server: ImapServer) -> None:
    octets = MESSAGE + b"".join(b"%07d line\r\n" % number for number in range(300_000))
    server.deliver("alice", octets)
    client = server.log_in()
    client.select("INBOX")
    status, found = client.fetch("1", "(BODY.PEEK[] UID)")
    assert status == "OK"
    assert found[0][1] == octets


def test_a_bug_ends_one_session(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailsrv.imapd import act

    monkeypatch.setitem(act.ACTIONS, "ID", lambda state, command: 1 // 0)
    client, other = Lines(server.connect()), server.log_in("bob")
    client.log_in()
    client.say("a ID NIL")
    assert client.hear() == "* BYE [SERVERBUG] an error of this server, please connect again"
    client.close()
    assert "ZeroDivisionError" in str(server.log.wait_for("bug")[0]["traceback"])
    assert other.noop()[0] == "OK"


def test_a_kick_and_a_drain(server: ImapServer) -> None:
    one, two = Lines(server.connect()), Lines(ssl.SSLContext.wrap_socket(insecure(), server.connect("imaps")))
    one.log_in()
    two.log_in("bob")
    [mine] = [session for session in server.counts.sessions() if session.account == "alice"]
    assert server.service.kick(mine.id)
    assert one.hear() == "* BYE the postmaster has ended this session"
    one.close()
    two.say("a SELECT INBOX", "b IDLE")
    while two.hear() != "+ idling":
        pass
    server.service.stop_accepting()
    server.service.drain(0, 60)
    assert two.hear() == "* BYE the server is restarting, please connect again"
    assert {event["end"] for event in server.log.wait_for("session")} <= {"kicked", "drain"}


def test_time_outs(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsrv.serve.imap_pump.LOGIN_SECONDS", 0.05)
    early = Lines(server.connect())
    early.hear()
    assert early.hear() == "* BYE too long without a login, closing the connection"


def test_autologout(tmp_path: Path) -> None:
    server = ImapServer(tmp_path, limits=LimitsConfig(imap_idle_seconds=1))
    try:
        client = Lines(server.connect())
        client.log_in()
        client.say("a IDLE")
        assert client.hear() == "+ idling"
        assert client.hear() == "* BYE too long without a command, logging out"
        client.close()
        assert server.log.wait_for("session")[0]["end"] == "timeout"
    finally:
        server.close()


def test_a_client_that_does_not_read(tmp_path: Path) -> None:
    server = ImapServer(tmp_path, limits=LimitsConfig(command_seconds=1))
    try:
        server.deliver("alice", MESSAGE + b"x" * 8_000_000 + b"\r\n")
        client = Lines(server.connect())
        client.log_in()
        client.say("a SELECT INBOX", "b FETCH 1 BODY.PEEK[]", "c FETCH 1 BODY.PEEK[]")
        assert "expired" in str(server.log.wait_for("session")[0]["end"])
    finally:
        server.close()
