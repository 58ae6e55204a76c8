"""One connection's thread: PROXY headers, TLS before the first word, and who is at the other end."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import LimitsConfig, ListenerConfig
from mailsrv.serve.connection import address_of, is_behind_proxy, name_of
from tests.mailsrv.serve.smtp_server import SmtpServer, insecure, is_closed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    made = SmtpServer(tmp_path)
    yield made
    made.close()


def test_a_proxy_header_names_the_client(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path, proxy_from=["127.0.0.0/8"])
    try:
        with socket.create_connection(("127.0.0.1", server.ports["smtp"]), timeout=20) as client:
            client.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
            assert client.recv(100).startswith(b"220")
            client.sendall(b"QUIT\r\n")
            assert client.recv(100).startswith(b"221")
        [line] = server.log.wait_for("session")
        assert line["client"] == "192.0.2.7"
        with socket.create_connection(("127.0.0.1", server.ports["submissions"]), timeout=20) as raw:
            raw.sendall(b"PROXY TCP4 192.0.2.8 198.51.100.1 4711 465\r\n")
            with insecure().wrap_socket(raw) as client:
                assert client.recv(100).startswith(b"220")
        with socket.create_connection(("127.0.0.1", server.ports["smtp"]), timeout=20) as client:
            client.sendall(b"EHLO not.a.proxy\r\n")
            assert is_closed(client)
    finally:
        server.close()


def test_garbage_instead_of_tls_is_one_line_in_the_log(server: SmtpServer) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["submissions"]), timeout=20) as client:
        client.sendall(b"EHLO where.is.tls\r\n")
        while not is_closed(client):
            pass
    [line] = server.log.wait_for("tls")
    assert "handshake" in str(line["reason"])


def test_stalled_handshakes_of_one_address_are_as_few_as_its_connections(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path, limits=LimitsConfig(free_bytes=0, free_inodes=0, connections_per_address=1))
    address = ("127.0.0.1", server.ports["submissions"])
    try:
        with socket.create_connection(address, timeout=20) as first:
            with socket.create_connection(address, timeout=20) as second:
                assert is_closed(second)
            [line] = server.log.wait_for("refused")
            assert (line["stage"], str(line["reply"])[:3]) == ("connect", "421")
            with insecure().wrap_socket(first) as client:
                assert client.recv(100).startswith(b"220")
                client.sendall(b"QUIT\r\n")
                assert client.recv(100).startswith(b"221")
        server.log.wait_for("session")
        assert server.counts.total() == 0
        with server.client("submissions") as again:
            assert again.noop()[0] == 250
    finally:
        server.close()


@pytest.mark.parametrize(
    ("peer_name", "expected"),
    [
        (("192.0.2.1", 25), ("192.0.2.1", 25)),
        (("::ffff:192.0.2.1", 25, 0, 0), ("192.0.2.1", 25)),
        (("2001:db8::1", 25, 0, 0), ("2001:db8::1", 25)),
        (("fe80::1%eth0", 25, 0, 2), ("fe80::1", 25)),
        ("", ("local", 0)),
    ],
)
def test_the_address_of_a_peer(peer_name: object, expected: tuple[str, int]) -> None:
    assert address_of(peer_name) == expected


def test_only_the_proxys_networks_send_headers() -> None:
    listener = ListenerConfig("smtp", proxy_from=["192.0.2.0/24", "2001:db8::/32"])
    assert is_behind_proxy("192.0.2.9", listener)
    assert is_behind_proxy("2001:db8::9", listener)
    assert not is_behind_proxy("198.51.100.1", listener)
    assert not is_behind_proxy("local", listener)
    assert not is_behind_proxy("192.0.2.9", ListenerConfig("smtp"))


def test_the_name_of_a_listener() -> None:
    assert name_of(ListenerConfig("smtp", "192.0.2.1", 25)) == "192.0.2.1:25"
    assert name_of(ListenerConfig("lmtp", "/run/lmtp")) == "/run/lmtp"
