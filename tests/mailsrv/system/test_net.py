"""Connections that we make: deadlines, ends, TLS with and without a certificate that must be good."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.system import net, tls

SOON = 0.05


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def connected(listener: socket.socket) -> tuple[net.Connection, socket.socket]:
    connection = net.connect("127.0.0.1", listener.getsockname()[1], 10)
    far = listener.accept()[0]
    far.settimeout(10)
    return connection, far


def test_octets_both_ways_and_the_end(listener: socket.socket) -> None:
    connection, far = connected(listener)
    connection.send(b"hello", 10)
    assert far.recv(10) == b"hello"
    assert connection.receive_now() == b""
    far.sendall(b"220 hi\r\n")
    assert connection.receive(10) == b"220 hi\r\n"
    far.close()
    with pytest.raises(net.Lost, match="was closed"):
        connection.receive(10)
    connection.close()


def test_silence_expires(listener: socket.socket) -> None:
    connection, far = connected(listener)
    with pytest.raises(net.TimedOut, match="no answer"):
        connection.receive(SOON)
    with pytest.raises(net.TimedOut):
        connection.send(b"x" * 30_000_000, SOON)
    connection.close()
    far.close()


def test_nobody_there_is_unreachable(listener: socket.socket, tmp_path: Path) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(net.Unreachable, match="connection refused"):
        net.connect("127.0.0.1", port, 10)
    with pytest.raises(net.Unreachable, match="no such file"):
        net.connect_unix(str(tmp_path / "nobody"), 10)


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        connection = net.connect_unix(path, 10)
        far = server.accept()[0]
        far.sendall(b"220 hi\r\n")
        assert connection.receive(10) == b"220 hi\r\n"
        assert connection.address == path
        connection.close()
        far.close()


@pytest.mark.parametrize("verify", [False, True])
def test_tls_with_a_certificate_that_nobody_vouches_for(listener: socket.socket, tmp_path: Path, verify: bool) -> None:
    server = tls.load([tls.Pair(*tls.make_self_signed(str(tmp_path), ["mx.example"]))])
    assert server is not None
    connection, far = connected(listener)
    outcome: list[str] = []

    def serve() -> None:
        try:
            secure, _info = server.accept(far, 10)
            outcome.append(secure.recv(5).decode())
            secure.close()
        except OSError as error:
            outcome.append(type(error).__name__)

    thread = threading.Thread(target=serve)
    thread.start()
    if verify:
        with pytest.raises(net.TlsFailed, match="not good for mx.example"):
            connection.start_tls("mx.example", True, 10)
        connection.close()
    else:
        connection.start_tls("mx.example", False, 10)
        assert connection.tls.startswith("TLS1.3 ")
        connection.send(b"EHLO ", 10)
    thread.join(10)
    assert outcome == ["EHLO "] if not verify else len(outcome) == 1
    connection.close()


def test_a_host_that_speaks_no_tls_after_all(listener: socket.socket) -> None:
    connection, far = connected(listener)
    far.sendall(b"500 what?\r\n")
    with pytest.raises(net.TlsFailed, match="handshake failed"):
        connection.start_tls("mx.example", False, 10)
    connection.close()
    far.close()


def test_a_silent_handshake_expires(listener: socket.socket) -> None:
    connection, far = connected(listener)
    with pytest.raises(net.TlsFailed, match="took longer"):
        connection.start_tls("mx.example", False, SOON)
    connection.close()
    far.close()


def test_the_contexts() -> None:
    assert tls.client_context(True).verify_mode is ssl.CERT_REQUIRED
    assert tls.client_context(True).check_hostname
    assert tls.client_context(False).minimum_version is ssl.TLSVersion.TLSv1_2
