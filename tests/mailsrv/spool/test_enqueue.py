"""Into the queue: the file's octets, its name, the wake, and what a failure leaves."""

import os

import pytest

from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode
from mailsrv.spool.layout import prepare
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch
from mailsrv.system.wake import Doorbell, Waker

from tests.fakes.disk import FakeDisk

ENVELOPE = Envelope("dZJjly8m63W0", 1.0, None, (Recipient(Address("erin", "remote.example")),), size=12)


def message(disk, directory, bound=100):
    scratch = Scratch(disk, directory, bound, MemoryBudget(100))
    scratch.write(b"one\r\n")
    scratch.write(b"two\r\n")
    return Octets(b"P\n", scratch)


@pytest.mark.parametrize("bound", [100, 0], ids=["memory", "spilled"])
def test_the_file_is_the_line_and_the_message(tmp_path, bound):
    disk = Disk()
    layout = prepare(disk, str(tmp_path))
    with Doorbell(layout.wake) as bell:
        Spool(disk, str(tmp_path), Waker()).enqueue(ENVELOPE, message(disk, layout.tmp, bound))
        assert bell.take() == [b"dZJjly8m63W0"]
    line, _, rest = (tmp_path / "spool/queue/dZJjly8m63W0").read_bytes().partition(b"\n")
    assert decode(line).envelope == ENVELOPE
    assert rest == b"P\none\r\ntwo\r\n"
    assert os.stat(tmp_path / "spool/queue/dZJjly8m63W0").st_mode & 0o777 == 0o400


def test_nonces_differ(tmp_path):
    disk = Disk()
    layout = prepare(disk, str(tmp_path))
    spool = Spool(disk, str(tmp_path))
    for number in range(2):
        spool.enqueue(ENVELOPE, message(disk, layout.tmp))
        os.rename(tmp_path / "spool/queue/dZJjly8m63W0", tmp_path / f"spool/hold/{number}")
    nonces = {decode(path.read_bytes().partition(b"\n")[0]).nonce for path in (tmp_path / "spool/hold").iterdir()}
    assert len(nonces) == 2


def test_two_messages_of_one_id(tmp_path):
    disk = Disk()
    layout = prepare(disk, str(tmp_path))
    spool = Spool(disk, str(tmp_path))
    spool.enqueue(ENVELOPE, message(disk, layout.tmp))
    before = (tmp_path / "spool/queue/dZJjly8m63W0").read_bytes()
    with pytest.raises(AlreadyThere):
        spool.enqueue(ENVELOPE, message(disk, layout.tmp))
    assert (tmp_path / "spool/queue/dZJjly8m63W0").read_bytes() == before


@pytest.mark.parametrize("failing", ["open", "write", "sync", "link"])
def test_a_failure_leaves_nothing_and_wakes_nobody(failing):
    disk = FakeDisk()
    prepare(disk, "/d")
    disk.refuse = lambda operation, path: StorageError("no") if operation == failing else None
    woken = []

    class Listening:
        def wake(self, path, octets=b""):
            woken.append(octets)

    with pytest.raises(StorageError):
        Spool(disk, "/d", Listening()).enqueue(ENVELOPE, message(disk, "/d/spool/tmp"))
    assert disk.names("/d/spool/queue") == []
    assert woken == []


def test_a_queue_directory_that_cannot_be_synced_keeps_nothing():
    disk = FakeDisk()
    prepare(disk, "/d")
    spool = Spool(disk, "/d")
    syncs = []

    def refuse(operation, path):
        syncs.extend([path] * (operation == "sync"))
        return StorageError("I/O error") if operation == "sync" and len(syncs) == 2 else None

    disk.refuse = refuse
    with pytest.raises(StorageError):
        spool.enqueue(ENVELOPE, message(disk, "/d/spool/tmp"))
    assert disk.names("/d/spool/queue") == []


def test_withdrawn(tmp_path):
    disk = Disk()
    layout = prepare(disk, str(tmp_path))
    spool = Spool(disk, str(tmp_path))
    spool.enqueue(ENVELOPE, message(disk, layout.tmp))
    spool.withdraw(ENVELOPE.id)
    spool.withdraw(ENVELOPE.id)
    assert os.listdir(layout.queue) == []


@pytest.mark.parametrize("place", ["queue", "hold", "journal", "corrupt"])
def test_queued_once_only(place):
    """A report that was made before a crash, whatever became of it since."""
    disk = FakeDisk()
    prepare(disk, "/d")
    spool = Spool(disk, "/d")
    spool.enqueue_once(ENVELOPE, message(disk, "/d/spool/tmp"))
    if place != "queue":
        disk.link("/d/spool/queue/dZJjly8m63W0", f"/d/spool/{place}/dZJjly8m63W0")
        disk.unlink("/d/spool/queue/dZJjly8m63W0")
    disk.operations.clear()
    with pytest.raises(AlreadyThere):
        spool.enqueue_once(ENVELOPE, message(disk, "/d/spool/tmp"))
    # Who put it there may not have lived to sync it, and the caller takes it for done.
    assert disk.operations == [("sync", f"/d/spool/{place}")]
