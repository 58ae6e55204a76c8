"""A whole smtpd service inside the test's process: real sockets on free ports, a real data_dir, no supervisor."""

import smtplib
import socket
import ssl
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from argon2.low_level import Type, hash_secret

from mailsrv.config.schema import AccountConfig, Config, LimitsConfig, ListenerConfig, LogConfig, TlsConfig
from mailsrv.sasl.scram import derive, format_key
from mailsrv.serve.bans import Bans
from mailsrv.serve.counts import Counts
from mailsrv.serve.daemon import Daemon
from mailsrv.serve.smtpd import build
from mailsrv.serve.worker import BoundListener, WorkerContext
from mailsrv.spool.layout import prepare
from mailsrv.system import tls
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from tests.fakes.log import FakeLog

PASSWORD = "open sesame 1"
MESSAGE = "From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hello\r\n\r\nHello Bob.\r\n"


@cache
def quick_hash(password: str) -> str:
    """A hash of the least cost that a configuration may have: what a login costs is not what these servers are for."""
    return hash_secret(password.encode(), b"0123456789abcdef", 1, 8, 1, 32, Type.ID).decode("ascii")


@cache
def scram_key(password: str) -> str:
    return format_key(derive(password, b"0123456789abcdef", 4096))


class WaitingLog(FakeLog):
    """A FakeLog on which a test can wait for what another thread writes."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, event: str, level: str, fields: dict[str, object]) -> None:
        with self._written:
            super().write(event, level, fields)
            self._written.notify_all()

    def wait_for(self, event: str) -> list[dict[str, object]]:
        """All events of this name, once there is one."""
        with self._written:
            assert self._written.wait_for(lambda: self.named(event), 20), f"no event {event}"
            return self.named(event)


class SmtpServer:
    """Listeners by kind (`ports`), accounts alice and bob with PASSWORD, domain example.org."""

    def __init__(self, directory: Path, *, limits: LimitsConfig | None = None, **listener: Any) -> None:
        self.data_dir = directory / "data"
        certificates = directory / "tls"
        certificates.mkdir()
        pair = tls.make_self_signed(str(certificates), ["mx.example.org"])
        self.lmtp_path = str(directory / "lmtp")
        self.config = Config(
            hostname="mx.example.org",
            data_dir=str(self.data_dir),
            domains=["example.org"],
            accounts=[self._account("alice", "alice@example.org", "postmaster@example.org"),
                      self._account("bob", "bob@example.org")],
            aliases={"both@example.org": ["alice", "bob"]},
            tls=TlsConfig(*pair),
            limits=limits or LimitsConfig(free_bytes=0, free_inodes=0),
            log=LogConfig(decisions_bytes=1_000_000),
        )
        self.log = WaitingLog()
        self.server_tls = tls.load([tls.Pair(*pair)])
        clock, disk = SystemClock(), Disk()
        prepare(disk, str(self.data_dir))
        disk.make_directories(f"{self.data_dir}/run/argon2")
        counts = Counts(bytes(16), clock, self.config.bans.window_seconds)
        slot = counts.claim()
        assert slot is not None
        self.counts = counts
        self.bans = Bans(f"{self.data_dir}/bans", f"{self.data_dir}/run/bans.lock", disk, clock)
        self.service: Daemon = build(WorkerContext(
            self.config, self.server_tls, self.log, clock, counts.writer(slot), self.bans, slot, 1, 1, 1))
        self._bound = [self._bind(kind, listener) for kind in ("smtp", "submission", "submissions", "lmtp")]
        self.ports = {b.config.kind: b.socket.getsockname()[1] for b in self._bound}
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(self.lmtp_path)
        unix.listen()
        unix.setblocking(False)
        self._bound.append(BoundListener(unix, ListenerConfig("lmtp", self.lmtp_path)))
        self.service.start(self._bound)

    @staticmethod
    def _account(name: str, *addresses: str) -> AccountConfig:
        return AccountConfig(name, list(addresses), quick_hash(PASSWORD), scram_key(PASSWORD))

    @staticmethod
    def _bind(kind: str, listener: dict[str, Any]) -> BoundListener:
        bound = socket.create_server(("127.0.0.1", 0))
        bound.setblocking(False)
        return BoundListener(bound, replace(ListenerConfig(kind), **listener))

    def client(self, kind: str) -> smtplib.SMTP:
        """Python's own client, connected and greeted."""
        if kind == "submissions":
            return smtplib.SMTP_SSL("127.0.0.1", self.ports[kind], context=insecure(), timeout=20)
        return smtplib.SMTP("127.0.0.1", self.ports[kind], timeout=20)

    def inbox(self, account: str, mailbox: str = "") -> list[bytes]:
        """The messages that lie in an account's new/, or in that of another mailbox, such as Junk."""
        home = self.data_dir / "accounts" / account
        new = (home / f".{mailbox}" if mailbox else home) / "new"
        return [file.read_bytes() for file in sorted(new.iterdir())] if new.is_dir() else []

    def queue(self) -> list[bytes]:
        """The queue files."""
        return [file.read_bytes() for file in sorted((self.data_dir / "spool" / "queue").iterdir())]

    def close(self) -> None:
        """Stop everything."""
        self.service.stop_accepting()
        self.service.drain(0, 0)
        for bound in self._bound:
            bound.socket.close()


def insecure() -> ssl.SSLContext:
    """A client's context that believes everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_closed(client: socket.socket) -> bool:
    """Whether the server has closed, with a reset where it had not read everything."""
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True
