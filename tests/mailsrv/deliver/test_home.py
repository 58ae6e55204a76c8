"""From the queue into accounts: what an address stands for now, full and broken mailboxes, and crashes in between."""

from pathlib import Path

import pytest

from mailsrv.config.schema import AccountConfig, Config
from mailsrv.deliver.home import Home
from mailsrv.deliver.job import Delivery, Job
from mailsrv.deliver.local import LocalDelivery
from mailsrv.deliver.route import HopKind, NextHop
from mailsrv.directory.accounts import Directory
from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Recipient
from mailsrv.mail.outcome import Status
from mailsrv.spool.format import decode
from mailsrv.store.account import Store
from mailsrv.store.quota import Quota
from tests.mailsrv.deliver.queued import MESSAGE, NOW, Spools
from tests.mailsrv.spool.place import ID, SENDER


class Announced(list):
    def announce(self, *accounts):
        self.extend(accounts)


class Household(Spools):
    """`refused`: accounts whose directory the disk keeps from us; `full`: those without room."""

    def __init__(self, path):
        super().__init__(path)
        config = Config(
            hostname="mail.example.org", data_dir=str(path), domains=["example.org"],
            accounts=[AccountConfig(name, [f"{name}@example.org"], quota_bytes=1 << 20) for name in ("ada", "bob")],
            aliases={
                "both@example.org": ["ada", "bob"], "mixed@example.org": ["ada", "x@remote.example"],
                "away@example.org": ["x@remote.example", "y@remote.example"],
            },
        )  # fmt: skip
        self.path = Path(path)
        self.full = set()
        self.store = Store(self.disk, str(path))
        quota = Quota(self.disk, self.store, self.clock)
        delivery = LocalDelivery(
            self.disk, self.store, self.spool, quota, Announced(), self.log, self.clock, "mail.example.org"
        )
        directory = Directory.from_config(config, self.clock)
        self.home = Home(
            delivery, directory, self.spool, self.clock, self.log, lambda name, _limit, _size: name not in self.full
        )

    def deliver(self, indexes=(0,)):
        with self.claim() as claim:
            hop = NextHop(HopKind.LOCAL, "")
            return self.home.deliver(Job(Delivery(claim, None, NOW), hop, tuple(indexes), SENDER))

    def new(self, account, mailbox=""):
        return [path.read_bytes() for path in Path(self.store.directory(account, mailbox), "new").glob("*")]

    def rest(self):
        """What was queued anew: the recipients of each message."""
        found = []
        for path in (self.path / "spool" / "queue").iterdir():
            if path.name != ID:
                line, _, octets = path.read_bytes().partition(b"\n")
                assert octets == MESSAGE
                found.append([(str(one.address), one.account) for one in decode(line).envelope.recipients])
        return found

    def mailboxes(self):
        """Where the messages in the queue are to go."""
        paths = (self.path / "spool" / "queue").iterdir()
        return {decode(path.read_bytes().partition(b"\n")[0]).envelope.mailbox for path in paths}


@pytest.fixture
def house(tmp_path):
    return Household(tmp_path)


def account(name):
    return Recipient(Address(name, "example.org"), account=name)


def brief(outcomes):
    return [(one.recipient, one.status, one.dsn) for one in outcomes]


def test_into_the_account_named_before_the_250(house):
    house.put("x@remote.example", account("ada"))
    [outcome] = house.deliver((1,))
    assert (outcome.recipient, outcome.status, outcome.at) == (1, Status.DELIVERED, NOW)
    assert house.new("ada") == [b"Return-Path: <carol@example.org>\r\n" + MESSAGE]


def test_an_address_of_ours_is_looked_up_now(house):
    house.put("ada@example.org", "nobody@example.org")
    assert brief(house.deliver((0, 1))) == [(0, Status.DELIVERED, "2.0.0"), (1, Status.FAILED, "5.1.1")]


def test_an_account_that_is_gone_has_failed(house):
    house.put(account("zoe"))
    assert brief(house.deliver()) == [(0, Status.FAILED, "5.1.1")]


def test_an_alias_becomes_its_members_once(house):
    house.put("mixed@example.org")
    for _ in range(2):  # the second time after a crash
        assert brief(house.deliver()) == [(0, Status.EXPANDED, "2.0.0")]
    assert len(house.new("ada")) == 1
    assert house.rest() == [[("x@remote.example", "")]]
    assert len(house.log.named("queued")) == 1


def test_an_alias_of_addresses_elsewhere(house):
    house.put("away@example.org", "mixed@example.org")
    assert brief(house.deliver((0, 1))) == [(0, Status.EXPANDED, "2.0.0"), (1, Status.EXPANDED, "2.0.0")]
    assert sorted(house.rest()) == [[("x@remote.example", "")], [("x@remote.example", ""), ("y@remote.example", "")]]


def test_what_was_put_in_quarantine_goes_there_from_the_queue(house):
    house.put("x@remote.example", account("ada"), mailbox="Junk")
    for _ in range(2):  # the second time after a crash
        assert brief(house.deliver((1,))) == [(1, Status.DELIVERED, "2.0.0")]
    assert house.new("ada", "Junk") == [b"Return-Path: <carol@example.org>\r\n" + MESSAGE]
    assert house.new("ada") == []
    assert house.log.named("attempt")[0]["mailbox"] == "Junk"


def test_quarantine_holds_for_the_members_of_an_alias_and_for_who_waits(house):
    house.put("both@example.org", "mixed@example.org", mailbox="Junk")
    house.full.add("bob")
    assert brief(house.deliver((0, 1))) == [(0, Status.EXPANDED, "2.0.0"), (1, Status.EXPANDED, "2.0.0")]
    assert (len(house.new("ada", "Junk")), house.new("ada"), house.new("bob", "Junk")) == (1, [], [])
    assert sorted(house.rest()) == [[("both@example.org", "bob")], [("x@remote.example", "")]]
    assert house.mailboxes() == {"Junk"}


def test_a_full_mailbox_waits(house):
    house.put(account("ada"))
    house.full.add("ada")
    assert brief(house.deliver()) == [(0, Status.DELAYED, "4.2.2")]
    house.full.clear()
    assert brief(house.deliver()) == [(0, Status.DELIVERED, "2.0.0")]


def test_one_full_mailbox_of_an_alias_waits_alone(house):
    house.put("both@example.org")
    house.full.add("bob")
    assert brief(house.deliver()) == [(0, Status.EXPANDED, "2.0.0")]
    assert len(house.new("ada")) == 1 and house.new("bob") == []
    assert house.rest() == [[("both@example.org", "bob")]]


def test_all_full_mailboxes_of_an_alias_wait_together(house):
    house.put("both@example.org")
    house.full |= {"ada", "bob"}
    assert brief(house.deliver()) == [(0, Status.DELAYED, "4.2.2")]
    assert house.rest() == []


def test_what_the_disk_says_is_for_the_log_only(house, monkeypatch):
    house.put(account("ada"), "away@example.org")

    def refuse(*_):
        raise StorageError("/srv/mail/accounts/ada/new: no space left on device")

    monkeypatch.setattr(house.disk, "open_unnamed", refuse)
    outcomes = house.deliver((0, 1))
    assert brief(outcomes) == [(0, Status.DELAYED, "4.3.0"), (1, Status.DELAYED, "4.3.0")]
    assert all("/srv" not in one.reply for one in outcomes)
    assert len([line for line in house.log.named("storage") if "no space" in line["reason"]]) >= 2
