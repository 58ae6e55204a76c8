"""The ceiling: what a Python prefork server reaches that does nothing but keep the promise. Not a peer, not mailsrv.

It says the replies a client waits for and puts each message durably into the Maildirs (unnamed file, sync, link, sync
of each directory) before its 250; it parses nothing, checks nothing, logs nothing. What it reaches in the same run is
what this machine, this disk and this language allow at that minute, and so what a ratio can be at most.

    probe.py PORT HOSTNAME DIRECTORY CERTIFICATE KEY   serves until SIGTERM; `smtp.py --servers ... probe` starts it

Diagnostics: as server.Server; a handler that fails closes its connection.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import sys
import threading
from itertools import count
from pathlib import Path

from server import MAILBOXES, Server

PROCESSES = 2
THREADS = 40
RECIPIENT = re.compile(rb"<(u\d+)@")
FIXED = {b"MAIL": b"250 2.1.0 ok\r\n", b"RCPT": b"250 2.1.5 ok\r\n", b"EHLO": b"250-probe\r\n250 STARTTLS\r\n"}


class Probe(Server):
    """The probe as a server under test."""

    name = "probe"

    def command(self) -> list[str]:
        """This file, run as a program."""
        for new in self.mailboxes():
            new.mkdir(parents=True)
        arguments = [str(self.port), self.hostname, str(self.root / "mail"), str(self.certificate), str(self.key)]
        return [sys.executable, str(Path(__file__).resolve()), *arguments]

    def mailboxes(self) -> list[Path]:
        """As deep as mailsrv's."""
        return [self.root / "mail" / f"u{number}" / "new" for number in range(MAILBOXES)]


class Mailboxes:
    """Open directories, and the one way to put a message into them."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._directories: dict[bytes, int] = {}
        self._numbers = count()

    def deliver(self, recipients: list[bytes], octets: bytes) -> None:
        """Write once, sync, link into every mailbox, sync every directory."""
        file = os.open(self._base, os.O_TMPFILE | os.O_WRONLY, 0o400)
        os.write(file, octets)
        os.fdatasync(file)
        name, source = f"{os.getpid()}.{next(self._numbers)}", f"/proc/self/fd/{file}"
        directories = [self._open(recipient) for recipient in recipients]
        for directory in directories:
            os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
        for directory in directories:
            os.fsync(directory)
        os.close(file)

    def _open(self, recipient: bytes) -> int:
        if recipient not in self._directories:
            self._directories[recipient] = os.open(f"{self._base}/{recipient.decode()}/new", os.O_RDONLY)
        return self._directories[recipient]


def serve(listener: socket.socket, greeting: bytes, mailboxes: Mailboxes, context: ssl.SSLContext) -> None:
    """One thread: one connection after the other."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            _talk(connection, greeting, mailboxes, context)
        except OSError:
            connection.close()


def _talk(connection: socket.socket, greeting: bytes, mailboxes: Mailboxes, context: ssl.SSLContext) -> None:
    connection.sendall(greeting)
    recipients: list[bytes] = []
    while octets := connection.recv(4096):
        verb = octets[:4]
        if verb == b"RCPT" and (found := RECIPIENT.search(octets)):
            recipients.append(found[1])
        if verb in FIXED:
            connection.sendall(FIXED[verb])
        elif verb == b"STAR":
            connection.sendall(b"220 2.0.0 ready\r\n")
            connection = context.wrap_socket(connection, server_side=True)
        elif verb == b"DATA":
            connection.sendall(b"354 go ahead\r\n")
            chunks = [connection.recv(131072)]
            while not chunks[-1].endswith(b"\r\n.\r\n"):
                chunks.append(connection.recv(131072))
            mailboxes.deliver(recipients, b"".join(chunks)[:-3])
            recipients = []
            connection.sendall(b"250 2.0.0 ok\r\n")
        else:
            connection.sendall(b"221 2.0.0 bye\r\n")
            break
    connection.close()


def main(port: int, hostname: str, base: str, certificate: str, key: str) -> None:
    """Bind, fork, start the threads, wait for SIGTERM."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    children = [pid for _ in range(PROCESSES - 1) if (pid := os.fork())]
    threading.stack_size(262144)
    greeting, mailboxes = f"220 {hostname} ESMTP probe\r\n".encode(), Mailboxes(base)
    for _ in range(THREADS):
        threading.Thread(target=serve, args=(listener, greeting, mailboxes, context), daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    for pid in children:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    os._exit(0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(int(sys.argv[1]), *sys.argv[2:])
