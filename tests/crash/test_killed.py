"""A process that delivers with several threads, killed at some moment: what it has acknowledged lies there, once."""

import os
import signal
import threading
from pathlib import Path

import pytest

from mailsrv.deliver.local import LocalDelivery
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode
from mailsrv.spool.layout import prepare
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.store.account import Store
from mailsrv.store.quota import Quota
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk

from tests.crash.recovery import BODY, HOSTNAME, PREFIX, RETURN_PATH, Silent, message
from tests.fakes.log import FakeLog

RECIPIENTS = (
    Recipient(Address("alice", "example.org"), account="alice"),
    Recipient(Address("bob", "example.org"), account="bob"),
    Recipient(Address("erin", "remote.example")),
)
THREADS = 4


def deliver(data_dir, acknowledgements, mailbox):
    """The process: deliver without end, one line with the ID for each message that was kept."""
    disk, clock = Disk(), SystemClock()
    store = Store(disk, data_dir)
    quota = Quota(disk, store, clock)
    delivery = LocalDelivery(disk, store, Spool(disk, data_dir), quota, Silent(), FakeLog(), clock, HOSTNAME)
    ids = QueueIds(clock, 0)

    def work():
        while True:
            identifier = child(ids.new(), 0)
            envelope = Envelope(identifier, clock.now(), None, RECIPIENTS, size=len(PREFIX + BODY), mailbox=mailbox)
            delivery.commit(envelope, message(), RETURN_PATH)
            os.write(acknowledgements, identifier.encode() + b"\n")

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("count", "mailbox"), [(1, ""), (7, ""), (30, ""), (1, "Junk"), (7, "Junk")])
def test_killed_after_so_many_acknowledgements(tmp_path, count, mailbox):
    prepare(Disk(), str(tmp_path))
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.close(reader)
        try:
            deliver(str(tmp_path), writer, mailbox)
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as lines:
        acknowledged = [lines.readline() for _ in range(count)]
        os.kill(process, signal.SIGKILL)
        acknowledged += lines.readlines()
    os.waitpid(process, 0)
    identifiers = {line.decode().rstrip("\n") for line in acknowledged if line.endswith(b"\n")}
    assert len(identifiers) >= count

    for account in ("alice", "bob"):
        home = Path(Store(Disk(), str(tmp_path)).directory(account, mailbox))
        files = list((home / "new").iterdir())
        assert {file.read_bytes() for file in files} == {RETURN_PATH + PREFIX + BODY}
        found = [file.name.split(".")[1] for file in files]
        assert len(found) == len(set(found))
        assert identifiers <= set(found)
        assert list((home / "tmp").iterdir()) == []
    queued = list((tmp_path / "spool/queue").iterdir())
    assert identifiers <= {file.name for file in queued}
    for file in queued:
        line, _, rest = file.read_bytes().partition(b"\n")
        assert decode(line).envelope.recipients == RECIPIENTS[2:]
        assert rest == PREFIX + BODY
