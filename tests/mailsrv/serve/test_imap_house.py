"""The house of IMAP is made of what the configuration says, and passwords are remembered in it."""

from pathlib import Path

from mailsrv.config.schema import Config
from mailsrv.directory.remembered import Remembered
from mailsrv.serve.counts import IMAP, Counts
from mailsrv.serve.imap_house import build_imap_house
from mailsrv.serve.watch import Watch
from mailsrv.serve.worker import WorkerContext
from mailsrv.spool.layout import prepare
from mailsrv.store.values import Usage
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from tests.fakes.log import FakeLog
from tests.mailsrv.serve.smtp_server import PASSWORD, SmtpServer
from tests.mailsrv.serve.test_watch import Announcements


def test_a_house(tmp_path: Path) -> None:
    disk, clock = Disk(), SystemClock()
    prepare(disk, str(tmp_path))
    disk.make_directories(f"{tmp_path}/run/argon2")
    config = Config("mx.example", str(tmp_path), accounts=[SmtpServer._account("alice", "alice@example.org")])
    counts = Counts(bytes(16), clock, 60)
    context = WorkerContext(config, None, FakeLog(), clock, counts.writer(1, IMAP), None, 1, 101, 1, 1)
    watch = Watch(Announcements())
    house = build_imap_house(context, watch, lambda seconds: None)
    assert (house.tls, house.watch, len(house.secret)) == (False, watch, 32)
    assert isinstance(house.passwords, Remembered)
    account = house.directory.account("alice@example.org")
    assert house.passwords.check(account, PASSWORD)
    assert not house.passwords.check(account, "wrong")
    assert [info.name for info in house.readers.reader("alice", Usage()).mailboxes()] == ["INBOX"]
