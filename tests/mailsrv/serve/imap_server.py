"""A whole imapd service inside the test's process: real sockets on free ports, a real data_dir, no supervisor."""

import imaplib
import itertools
import os
import socket
from dataclasses import replace
from pathlib import Path

from mailsrv.config.schema import BansConfig, Config, LimitsConfig, ListenerConfig, TlsConfig
from mailsrv.imapd.house import House
from mailsrv.serve.bans import Bans
from mailsrv.serve.counts import IMAP, Counts
from mailsrv.serve.imap_house import build_imap_house
from mailsrv.serve.imapd import Imapd, build
from mailsrv.serve.worker import BoundListener, WorkerContext
from mailsrv.spool.layout import prepare
from mailsrv.store.notify import Announcer
from mailsrv.system import tls
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from tests.mailsrv.serve.smtp_server import PASSWORD, SmtpServer, WaitingLog, insecure

MESSAGE = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hello\r\n\r\nHello Bob.\r\n"
# Our name: the listener's kind; clear allows logins without TLS.
KINDS = {"imap": "imap", "imaps": "imaps", "clear": "imap"}

_numbers = itertools.count(1)


class ImapServer:
    """Listeners by our name (`ports`), accounts alice, bob, carol and admin with PASSWORD; carol may store 4 KiB and
    three messages, and admin may set quotas."""

    def __init__(
        self, directory: Path, limits: LimitsConfig | None = None, bans: BansConfig | None = None
    ) -> None:
        self.data_dir = directory / "data"
        certificates = directory / "tls"
        certificates.mkdir()
        pair = tls.make_self_signed(str(certificates), ["mx.example.org"])
        self.config = Config(
            hostname="mx.example.org",
            data_dir=str(self.data_dir),
            domains=["example.org"],
            accounts=[
                SmtpServer._account("alice", "alice@example.org"),
                SmtpServer._account("bob", "bob@example.org"),
                replace(SmtpServer._account("carol", "carol@example.org"), quota_bytes=4096, quota_messages=3),
                replace(SmtpServer._account("admin", "admin@example.org"), sets_quotas=True),
            ],
            bans=bans or BansConfig(),
            tls=TlsConfig(*pair),
            limits=limits or LimitsConfig(),
        )
        self.log = WaitingLog()
        self.clock = SystemClock()
        self._disk = Disk()
        prepare(self._disk, str(self.data_dir))
        self._disk.make_directories(f"{self.data_dir}/run/argon2")
        self.counts = Counts(bytes(16), self.clock, self.config.bans.window_seconds)
        slot = self.counts.claim()
        assert slot is not None
        self.bans = Bans(f"{self.data_dir}/bans", f"{self.data_dir}/run/bans.lock", self._disk, self.clock)
        self.context = WorkerContext(
            self.config, tls.load([tls.Pair(*pair)]), self.log, self.clock, self.counts.writer(slot, IMAP), self.bans,
            slot, 101, 1, 1,
        )
        self.service: Imapd = build(self.context)
        self._announcer = Announcer(f"{self.data_dir}/run/watch", self._disk, self.clock)
        self._bound = []
        self.ports = {}
        for name, kind in KINDS.items():
            bound = socket.create_server(("127.0.0.1", 0))
            bound.setblocking(False)
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the server's own
            self.ports[name] = bound.getsockname()[1]
            self._bound.append(BoundListener(bound, replace(ListenerConfig(kind), without_tls=name == "clear")))
        self.service.start(self._bound)

    @property
    def house(self) -> House:
        """A house of its own, for sessions that the service does not know."""
        return build_imap_house(self.context, self.service._watch, lambda seconds: None)

    def client(self, name: str = "clear") -> imaplib.IMAP4:
        """Python's own client, connected and greeted."""
        if name == "imaps":
            return imaplib.IMAP4_SSL("127.0.0.1", self.ports[name], ssl_context=insecure(), timeout=20)
        return imaplib.IMAP4("127.0.0.1", self.ports[name], timeout=20)

    def log_in(self, account: str = "alice", name: str = "clear") -> imaplib.IMAP4:
        """The same, logged in."""
        client = self.client(name)
        client.login(account, PASSWORD)
        return client

    def connect(self, name: str = "clear") -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.ports[name]), 20)

    def deliver(self, account: str, octets: bytes = MESSAGE) -> None:
        """What delivery does: a file in new/, and an announcement."""
        new = self.data_dir / "accounts" / account / "new"
        for leaf in ("tmp", "cur", "new"):
            (new.parent / leaf).mkdir(parents=True, exist_ok=True)
        path = new.parent / "tmp" / f"{next(_numbers)}.{os.getpid()}.test"
        path.write_bytes(octets)
        path.rename(new / path.name)
        self._announcer.announce(account)

    def close(self) -> None:
        """Stop everything."""
        if not self.service._stopping:
            self.service.stop_accepting()
        self.service.drain(0, 0)
        for bound in self._bound:
            bound.socket.close()
