"""Every dialog of several clients (tests/cases/imap_dialog.py), with the core, the policy and a real store: whole and
octet by octet without sockets, and through a real port."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import Config, LimitsConfig
from mailsrv.imap.commands import COMMANDS
from mailsrv.imapd import progress
from tests.cases.imap_dialog import Captures, Talk, load, parse, play
from tests.fakes import imap_client
from tests.mailsrv.serve.imap_server import ImapServer
from tests.mailsrv.serve.smtp_server import PASSWORD

DIALOGS = load(Path(__file__).parent / "imap")
SECONDS = 20.0


class Composed:
    """A server without sockets: who idles is rung after each delivery and each command of another client."""

    def __init__(self, path: Path) -> None:
        self.house = imap_client.House(path)
        self.house.services.config = Config("host.example", str(path))
        self.clients: list[ComposedClient] = []

    def client(self, account: str) -> "ComposedClient":
        made = ComposedClient(self, imap_client.Client(self.house, account))
        self.clients.append(made)
        return made

    def deliver(self, account: str, octets: bytes) -> None:
        new = Path(self.house.path) / "accounts" / account / "new"
        self.house.reader(account).open("INBOX")
        self.house.count += 1
        (new / f"{1_600_000_000 + self.house.count}.M{self.house.count:06}.host.example").write_bytes(octets)
        self.house.clock.advance(10)
        self.ring()

    def ring(self) -> None:
        for client in self.clients:
            client.ring()


class ComposedClient:
    def __init__(self, server: Composed, inner: imap_client.Client) -> None:
        self._server = server
        self._inner = inner
        self._heard = b""

    def send(self, octets: bytes, step: int = 0) -> None:
        self._heard += self._inner.send(octets, step)
        self._server.ring()

    def ring(self) -> None:
        self._inner.heard = b""
        self._inner.policy.woken()
        self._inner._flush()
        self._heard += self._inner.heard
        self._inner.heard = b""

    def hear(self) -> str:
        line, _, self._heard = self._heard.partition(b"\r\n")
        return line.decode()

    def close(self) -> None:
        self._server.clients.remove(self)
        self._inner.policy.leave()


class Ported:
    """A server behind a port."""

    def __init__(self, server: ImapServer) -> None:
        self._server = server

    def client(self, account: str) -> "PortedClient":
        return PortedClient(self._server.connect(), account)

    def deliver(self, account: str, octets: bytes) -> None:
        self._server.deliver(account, octets)


class PortedClient:
    def __init__(self, connection: socket.socket, account: str) -> None:
        self._socket = connection
        self._file = connection.makefile("rb")
        self.hear()
        self.send(f'x LOGIN {account} "{PASSWORD}"\r\n'.encode())
        assert self.hear().startswith("x OK")

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def hear(self) -> str:
        return self._file.readline().decode().removesuffix("\r\n")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def hurry(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dialog lasts ten seconds."""
    if talk.impatient:
        monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)


@pytest.mark.parametrize("step", [0, 1], ids=["whole", "by octets"])
@pytest.mark.parametrize("talk", DIALOGS, ids=lambda talk: talk.name)
def test_a_dialog(talk: Talk, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(talk, monkeypatch)
    assert play(talk, Composed(tmp_path), lambda client, octets: client.send(octets, step)) == ""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ImapServer]:
    made = ImapServer(tmp_path, limits=LimitsConfig(imap_sessions=1000))
    yield made
    made.close()


@pytest.mark.parametrize("talk", DIALOGS, ids=lambda talk: talk.name)
def test_a_dialog_through_a_port(talk: Talk, server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(talk, monkeypatch)
    assert play(talk, Ported(server), lambda client, octets: client.send(octets)) == ""


def test_every_command_is_said_where_two_clients_are() -> None:
    """But those that begin a session, which the dialogs of the core have, and the tests of listeners."""
    said = set()
    for talk in DIALOGS:
        if len({step.client for step in talk.steps} - {0}) > 1:
            words = [re.match(r"\S+ ((?:UID )?[A-Za-z]+)", step.text) for step in talk.steps if step.mark == "c"]
            said |= {word[1].upper().encode() for word in words if word}
    assert COMMANDS.keys() - said == {b"AUTHENTICATE", b"COMPRESS", b"LOGIN", b"STARTTLS"}


def test_captures() -> None:
    captures = Captures()
    assert captures.matches("* OK [UIDVALIDITY <v>] ...", "* OK [UIDVALIDITY 17] UIDs valid")
    assert captures.fill("b SELECT x (QRESYNC (<v> 1))") == "b SELECT x (QRESYNC (17 1))"
    assert captures.matches("<v> <w>", "17 a")
    assert not captures.matches("<v>", "18")


def test_what_is_no_dialog() -> None:
    with pytest.raises(ValueError, match="x:1:"):
        parse("x", "c: NOOP")
