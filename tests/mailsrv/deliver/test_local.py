"""Local delivery on a real disk: files, replies' values and log; power cuts are tests/crash."""

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mailsrv.errors import AlreadyThere, StorageError, StorageFull
from mailsrv.deliver.local import Again, LocalDelivery
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, Envelope, Recipient
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import decode
from mailsrv.spool.layout import prepare
from mailsrv.store.account import Store
from mailsrv.store.quota import Quota
from mailsrv.system import disk as door
from mailsrv.system.disk import CrossDevice, Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog

ID = "dZJjly8m63W0"
RETURN_PATH = b"Return-Path: <>\r\n"


class Announced(list):
    def announce(self, *accounts):
        self.extend(accounts)


class House:
    """A delivery and all that it works with."""

    def __init__(self, path):
        self.path = path
        self.disk = Disk()
        self.clock = FakeClock()
        self.log = FakeLog()
        self.announced = Announced()
        self.layout = prepare(self.disk, str(path))
        self.store = Store(self.disk, str(path))
        self.quota = Quota(self.disk, self.store, self.clock)
        self.delivery = LocalDelivery(
            self.disk, self.store, Spool(self.disk, str(path)), self.quota, self.announced, self.log, self.clock,
            "mx.example.org",
        )  # fmt: skip

    def message(self, octets=b"Subject: x\r\n\r\nbody\r\n", bound=1000):
        scratch = Scratch(self.disk, self.layout.tmp, bound, MemoryBudget(1000))
        scratch.write(octets)
        return Octets(b"Received: y\r\n", scratch)

    def new(self, account, mailbox=""):
        return sorted((Path(self.store.directory(account, mailbox)) / "new").glob("*"))

    def queued(self):
        return [decode(p.read_bytes().partition(b"\n")[0]).envelope for p in (self.path / "spool/queue").iterdir()]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def local(*names, domain="example.org"):
    return tuple(Recipient(Address(name, domain), account=name.partition("+")[0]) for name in names)


ERIN = Recipient(Address("erin", "remote.example"))


def envelope(*recipients, identifier=ID, mailbox=""):
    return Envelope(identifier, FakeClock().now() - 2, None, recipients, mailbox=mailbox)


@pytest.mark.parametrize("bound", [1000, 0], ids=["memory", "spilled"])
def test_one_account(house, bound):
    result = house.delivery.commit(envelope(*local("alice")), house.message(bound=bound), RETURN_PATH)
    assert (result.delivered, result.queued, result.failed) == (("alice",), (), {})
    (file,) = house.new("alice")
    assert file.read_bytes() == b"Return-Path: <>\r\nReceived: y\r\nSubject: x\r\n\r\nbody\r\n"
    assert file.name.split(".", 1)[1] == f"{ID}.mx.example.org,S={file.stat().st_size}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert house.queued() == []
    assert house.announced == ["alice"]
    (attempt,) = house.log.named("attempt")
    assert attempt == {
        "id": ID, "to": "alice@example.org", "account": "alice", "status": "delivered", "relay": "local",
        "delays": "2/0/0/0", "dsn": "2.0.0",
    }  # fmt: skip


def test_one_copy_per_account_however_many_addresses(house):
    result = house.delivery.commit(envelope(*local("alice", "alice+lists", "bob")), house.message(), RETURN_PATH)
    assert result.delivered == ("alice", "bob")
    (one,), (two,) = house.new("alice"), house.new("bob")
    assert one.stat().st_ino == two.stat().st_ino
    (attempt,) = house.log.named("attempt")
    assert attempt["to"] == "alice@example.org,alice+lists@example.org,bob@example.org"
    assert attempt["account"] == "alice,bob"


def test_the_log_names_the_address_that_the_client_gave(house):
    alias = Recipient(Address("alice", "example.org"), original=Address("info", "example.org"), account="alice")
    house.delivery.commit(envelope(alias), house.message(), RETURN_PATH)
    assert house.log.named("attempt")[0]["to"] == "info@example.org"


def test_remote_recipients_are_queued_without_a_return_path(house):
    result = house.delivery.commit(envelope(*local("alice"), ERIN), house.message(), RETURN_PATH)
    assert (result.delivered, result.queued) == (("alice",), (ERIN,))
    (queued,) = house.queued()
    assert queued.recipients == (ERIN,)
    assert (queued.id, queued.size) == (ID, 33)
    octets = (house.path / f"spool/queue/{ID}").read_bytes().partition(b"\n")[2]
    assert octets == b"Received: y\r\nSubject: x\r\n\r\nbody\r\n"
    assert house.log.named("queued") == [{"id": ID, "recipients": 1}]


def test_an_account_that_fails_waits_in_the_queue(house):
    (house.path / "accounts").mkdir()
    (house.path / "accounts/bob").write_bytes(b"no directory")
    result = house.delivery.commit(envelope(*local("bob", "alice")), house.message(), RETURN_PATH)
    assert result.delivered == ("alice",)
    assert [r.account for r in result.queued] == ["bob"]
    assert list(result.failed) == ["bob"]
    assert house.queued()[0].recipients == local("bob")
    assert house.log.named("storage")
    assert house.announced == ["alice"]
    assert house.log.named("queued")[0]["reason"]


def test_a_maildir_that_was_removed_is_made_again(house):
    house.delivery.commit(envelope(*local("alice", "bob")), house.message(), RETURN_PATH)
    for account in ("alice", "bob"):
        for leaf in ("new", "tmp", "cur"):
            for file in (house.path / f"accounts/{account}/{leaf}").iterdir():
                file.unlink()
            (house.path / f"accounts/{account}/{leaf}").rmdir()
        (house.path / f"accounts/{account}").rmdir()
    result = house.delivery.commit(
        envelope(*local("alice", "bob"), identifier="dZJjly8m63W1"), house.message(), RETURN_PATH
    )
    assert result.delivered == ("alice", "bob")
    assert [len(house.new(account)) for account in ("alice", "bob")] == [1, 1]


@pytest.mark.parametrize("error", [CrossDevice("other file system"), CrossDevice("too many links")])
def test_where_a_link_cannot_be_made_there_is_a_copy(house, monkeypatch, error):
    real = door.UnnamedFile.link
    first = []

    def link(self, directory, name):
        first.append(self) if not first else None
        if "/bob/" in directory and self is first[0]:
            raise error
        real(self, directory, name)

    monkeypatch.setattr(door.UnnamedFile, "link", link)
    result = house.delivery.commit(envelope(*local("alice", "bob")), house.message(), RETURN_PATH)
    assert result.delivered == ("alice", "bob")
    (one,), (two,) = house.new("alice"), house.new("bob")
    assert one.stat().st_ino != two.stat().st_ino
    assert one.read_bytes() == two.read_bytes()
    assert one.name == two.name


def test_two_messages_of_one_id_are_an_error_and_harm_nothing(house):
    house.delivery.commit(envelope(*local("alice")), house.message(), RETURN_PATH)
    with pytest.raises(AlreadyThere):
        house.delivery.commit(envelope(*local("bob", "alice")), house.message(), RETURN_PATH)
    assert len(house.new("alice")) == 1
    assert house.new("bob") == []


@pytest.mark.parametrize("mailbox", ["", "Junk"])
@pytest.mark.parametrize("moved", [False, True], ids=["new", "cur"])
def test_the_runner_finds_what_was_delivered_before_the_crash(house, moved, mailbox):
    house.delivery.commit(envelope(*local("alice"), mailbox=mailbox), house.message(), RETURN_PATH)
    if moved:
        (file,) = house.new("alice", mailbox)
        file.rename(file.parent.parent / f"cur/{file.name}:2,S")
    again = envelope(*local("alice", "bob"), mailbox=mailbox)
    result = house.delivery.commit(again, house.message(), RETURN_PATH, Again.YES)
    assert result.delivered == ("alice", "bob")
    assert len(house.new("alice", mailbox)) == (0 if moved else 1)
    assert len(house.new("bob", mailbox)) == 1


def test_quarantine_lands_in_junk_of_each_account(house):
    result = house.delivery.commit(
        envelope(*local("alice", "bob"), ERIN, mailbox="Junk"), house.message(), RETURN_PATH
    )  # fmt: skip
    assert (result.delivered, result.queued) == (("alice", "bob"), (ERIN,))
    (one,), (two,) = house.new("alice", "Junk"), house.new("bob", "Junk")
    assert one.stat().st_ino == two.stat().st_ino
    assert one.read_bytes() == b"Return-Path: <>\r\nReceived: y\r\nSubject: x\r\n\r\nbody\r\n"
    assert house.new("alice") == house.new("bob") == []
    assert house.announced == ["alice", "bob"]
    (attempt,) = house.log.named("attempt")
    assert (attempt["account"], attempt["mailbox"]) == ("alice,bob", "Junk")
    assert [(queued.recipients, queued.mailbox) for queued in house.queued()] == [((ERIN,), "Junk")]


def test_lmtp_delivers_into_junk_too(house):
    result = house.delivery.commit_each(envelope(*local("alice"), mailbox="Junk"), house.message(), RETURN_PATH)
    assert result == {"alice": None}
    assert (len(house.new("alice", "Junk")), house.new("alice")) == (1, [])


def test_a_junk_that_fails_waits_in_the_queue_for_junk(house):
    house.store.prepare("alice", "bob")
    (house.path / "accounts/bob/.Junk").write_bytes(b"no directory")
    result = house.delivery.commit(envelope(*local("bob", "alice"), mailbox="Junk"), house.message(), RETURN_PATH)
    assert (result.delivered, list(result.failed)) == (("alice",), ["bob"])
    assert [(queued.recipients, queued.mailbox) for queued in house.queued()] == [(local("bob"), "Junk")]
    assert house.new("bob") == []


@pytest.mark.parametrize("above", [False, True], ids=["mailbox", "account"])
def test_a_junk_that_was_removed_is_made_again(house, above):
    first = envelope(*local("alice", "bob"), mailbox="Junk")
    house.delivery.commit(first, house.message(), RETURN_PATH)
    for account in ("alice", "bob"):
        shutil.rmtree(house.store.directory(account, "" if above else "Junk"))
    result = house.delivery.commit(replace(first, id="dZJjly8m63W1"), house.message(), RETURN_PATH)
    assert result.delivered == ("alice", "bob")
    for account in ("alice", "bob"):
        assert len(house.new(account, "Junk")) == 1
        names = {path.name for path in Path(house.store.directory(account, "Junk")).iterdir()}
        assert names == {"tmp", "new", "cur", "maildirfolder"}
        assert Path(house.store.directory(account), "cur").is_dir()


def test_inbox_needs_no_junk_and_is_counted_without_one(house, monkeypatch):
    """What INBOX costs is counted on the fake disk (tests/crash); here, that nothing is even looked at."""
    seen = []
    monkeypatch.setattr(Store, "_make_inner", lambda *given: seen.append(given))
    house.delivery.commit(envelope(*local("alice")), house.message(), RETURN_PATH)
    assert seen == []
    assert list((house.path / "accounts/alice").glob(".*")) == []


def test_a_mailbox_that_no_account_can_have_is_a_mistake_of_the_program(house):
    with pytest.raises(ValueError):
        house.delivery.commit(envelope(*local("alice"), mailbox="../bob"), house.message(), RETURN_PATH)
    assert house.queued() == house.log.events == []


def test_a_full_disk_keeps_nothing(house, monkeypatch):
    def full(self, buffers):
        raise StorageFull("full")

    monkeypatch.setattr(door.UnnamedFile, "write", full)
    with pytest.raises(StorageFull):
        house.delivery.commit(envelope(*local("alice"), ERIN), house.message(), RETURN_PATH)
    assert house.new("alice") == house.queued() == []
    assert house.announced == house.log.events == []


def test_when_the_queue_fails_what_was_linked_goes_away(house):
    os.rmdir(house.layout.queue)
    with pytest.raises(StorageError):
        house.delivery.commit(envelope(*local("alice"), ERIN), house.message(), RETURN_PATH)
    assert house.new("alice") == []
    assert house.announced == []


def test_a_message_without_recipients_is_a_mistake_of_the_program(house):
    with pytest.raises(ValueError):
        house.delivery.commit(envelope(), house.message(), RETURN_PATH)


def test_deliveries_count_for_the_quota(house):
    house.store.prepare("alice")
    assert house.quota.room("alice", 1000, 10)
    house.delivery.commit(envelope(*local("alice")), house.message(), RETURN_PATH)
    assert house.quota.usage("alice", 1000).octets == house.new("alice")[0].stat().st_size


def test_what_lies_in_junk_counts_for_the_quota(house):
    house.store.prepare("alice")
    assert house.quota.room("alice", 1000, 10)
    house.delivery.commit(envelope(*local("alice"), mailbox="Junk"), house.message(), RETURN_PATH)
    octets = house.new("alice", "Junk")[0].stat().st_size
    assert house.quota.usage("alice", 1000).octets == octets
    (house.path / "accounts/alice/maildirsize").unlink()
    assert house.quota.usage("alice", 1000).octets == octets


def test_a_quota_that_cannot_be_counted_changes_nothing(house, monkeypatch):
    def fail(*_):
        raise StorageError("no")

    monkeypatch.setattr(Quota, "add", fail)
    assert house.delivery.commit(envelope(*local("alice")), house.message(), RETURN_PATH).delivered == ("alice",)
    assert house.log.named("storage") == [{"path": "alice", "reason": "no"}]


def test_lmtp_answers_for_each_account_and_never_queues(house):
    (house.path / "accounts").mkdir()
    (house.path / "accounts/bob").write_bytes(b"no directory")
    result = house.delivery.commit_each(envelope(*local("bob", "alice", "alice+x")), house.message(), RETURN_PATH)
    assert list(result) == ["bob", "alice"]
    assert isinstance(result["bob"], StorageError) and result["alice"] is None
    assert len(house.new("alice")) == 1
    assert house.queued() == []
    assert house.announced == ["alice"]


def test_lmtp_with_a_full_disk_refuses_all(house, monkeypatch):
    def full(self):
        raise StorageFull("full")

    monkeypatch.setattr(door.UnnamedFile, "sync", full)
    result = house.delivery.commit_each(envelope(*local("alice", "bob")), house.message(), RETURN_PATH)
    assert {account: type(error) for account, error in result.items()} == {"alice": StorageFull, "bob": StorageFull}
    assert house.new("alice") == house.new("bob") == []
    assert house.log.named("attempt") == []


def test_whoever_wants_to_be_told_gets_it_from_the_queue(house):
    confirmed = replace(local("alice")[0], dsn=DsnRequest(("SUCCESS",)))
    wanted = replace(envelope(confirmed, *local("bob")), reverse_path=Address("x", "far.example"))
    result = house.delivery.commit(wanted, house.message(), RETURN_PATH)
    assert result.delivered == ("bob",)
    assert result.queued == (confirmed,)
    assert house.new("alice") == []
    assert len(house.queued()) == 1
    result = house.delivery.commit(envelope(confirmed, identifier="dZJjly8m63W1"), house.message(), RETURN_PATH)
    assert result.delivered == ("alice",), "the null reverse-path gets no report"
