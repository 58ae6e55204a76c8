"""A cheap IMAP client for measuring: one blocking connection, replies only searched for their end.

Diagnostics: an answer other than OK, or a closed connection, raises load.LoadError with the last octets.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time

from imap_servers import ACCOUNT, PASSWORD, ImapServer
from load import LoadError

_SECONDS = 600
_LINE = 4096  # octets of a tagged line at most: that of LOGIN has all capabilities


class Client:
    """One session. `octets` counts what came for the last command."""

    def __init__(self, port: int, tls: bool = False) -> None:
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), _SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        self._tag = 0
        self.octets = 0
        self._buffer = bytearray(1 << 20)
        self._rest = b""
        self.wait_for(b"\r\n")

    def login(self) -> None:
        """With the account of the bench."""
        self.ask(f"LOGIN {ACCOUNT} {PASSWORD}")

    def ask(self, command: str) -> float:
        """One command; the seconds until its OK."""
        self._tag += 1
        tag = b"t%d " % self._tag
        began = time.perf_counter()
        self._socket.sendall(tag + command.encode() + b"\r\n")
        self._read_until_tagged(tag)
        return time.perf_counter() - began

    def append(self, mailbox: str, message: bytes) -> None:
        """One message, with a non-synchronizing literal."""
        self._tag += 1
        tag = b"t%d " % self._tag
        self._socket.sendall(b"%bAPPEND %b {%d+}\r\n%b\r\n" % (tag, mailbox.encode(), len(message), message))
        self._read_until_tagged(tag)

    def idle(self) -> None:
        """Begin to wait."""
        self._tag += 1
        self._socket.sendall(b"t%d IDLE\r\n" % self._tag)
        self.wait_for(b"+ ")

    def wait_for(self, text: bytes) -> None:
        """Read until something came that has `text` in it."""
        seen = self._rest
        while text not in seen:
            seen = seen[-200:] + self._receive()
        self._rest = b""

    def done(self) -> None:
        """End IDLE."""
        self._socket.sendall(b"DONE\r\n")
        self._read_until_tagged(b"t%d " % self._tag)

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bytes:
        octets = self._socket.recv(1 << 20)
        if not octets:
            raise LoadError("connection closed by the server")
        return octets

    def _read_until_tagged(self, tag: bytes) -> None:
        """The tagged line comes last, whatever stands in literals before it."""
        total, tail, view = 0, b"", memoryview(self._buffer)
        while True:
            count = self._socket.recv_into(view)
            if not count:
                raise LoadError(f"connection closed by the server behind {tail!r}")
            total += count
            tail = (tail + bytes(view[max(count - _LINE, 0) : count]))[-_LINE:]
            if tail.endswith(b"\r\n"):
                line = tail[:-2].rpartition(b"\r\n")[2]
                if line.startswith(tag):
                    self.octets = total
                    if not line.startswith(tag + b"OK"):
                        raise LoadError(line.decode("ascii", "replace"))
                    return


def open_selected(server: ImapServer, tls: bool = False, mailbox: str = "INBOX") -> Client:
    """A session that has a mailbox."""
    client = Client(server.tls_port if tls else server.port, tls)
    client.login()
    client.ask(f"SELECT {mailbox}")
    return client


def deliver(server: ImapServer, message: bytes) -> float:
    """One message by SMTP or LMTP; the moment of its 250 (time.perf_counter)."""
    talk = smtplib.LMTP if server.lmtp else smtplib.SMTP
    with talk("127.0.0.1", server.smtp_port, "bench.client.test") as client:
        client.ehlo_or_helo_if_needed()
        client.mail("bench@sender.test")
        client.rcpt(f"{ACCOUNT}@bench.test" if not server.lmtp else ACCOUNT)
        code, text = client.data(message)
        moment = time.perf_counter()
    if code != 250:
        raise LoadError(f"{code} {text!r}")
    return moment
