"""One connection's thread: PROXY headers, TLS that comes to nothing, and what is written in the log."""

import contextlib
import socket
from dataclasses import replace
from pathlib import Path

from mailsrv.config.schema import ListenerConfig
from mailsrv.serve.imap_handler import ImapSession
from mailsrv.serve.wire import Drain
from mailsrv.serve.worker import BoundListener
from tests.mailsrv.serve.imap_server import ImapServer
from tests.mailsrv.serve.smtp_server import PASSWORD


def serve(server: ImapServer, said: bytes, peer: tuple[str, int], **listener: object) -> bytes:
    """One session in this thread with a client that has said everything already."""
    ours, theirs = socket.socketpair()
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    service = server.service
    session = ImapSession(server.context, server.house, Drain(), "SESSION1", ours)
    bound = BoundListener(ours, replace(ListenerConfig("imap"), **listener))
    session.run(peer, bound)
    theirs.settimeout(20)
    heard = b""
    with contextlib.suppress(ConnectionResetError):  # what was not read is why
        while octets := theirs.recv(4096):
            heard += octets
    theirs.close()
    assert service.sessions_left() == 0
    return heard


def test_the_header_of_a_proxy_names_the_client(tmp_path: Path) -> None:
    server = ImapServer(tmp_path)
    said = f'PROXY TCP4 192.0.2.77 192.0.2.1 1000 143\r\na LOGIN alice "{PASSWORD}"\r\nb LOGOUT\r\n'.encode()
    heard = serve(server, said, ("127.0.0.1", 1000), proxy_from=["127.0.0.0/8"], without_tls=True)
    assert b"a OK" in heard
    [session] = server.log.named("session")
    assert (session["client"], session["kind"], session["end"]) == ("192.0.2.77", "imap", "quit")
    server.close()


def test_a_wrong_header_and_a_wrong_handshake(tmp_path: Path) -> None:
    server = ImapServer(tmp_path)
    assert serve(server, b"a LOGIN\r\n" * 5, ("127.0.0.1", 1000), proxy_from=["127.0.0.0/8"]) == b""
    serve(server, b"this is no ClientHello\r\n", ("192.0.2.5", 1000), kind="imaps")
    first, second = server.log.named("tls")
    assert first["client"] == "127.0.0.1"
    assert "handshake failed" in str(second["reason"])
    assert server.log.named("session") == []
    server.close()


def test_the_client_goes_without_a_word(tmp_path: Path) -> None:
    server = ImapServer(tmp_path)
    assert serve(server, b"", ("192.0.2.5", 1000)).startswith(b"* OK")
    assert str(server.log.named("session")[0]["end"]).startswith("gone")
    server.close()
