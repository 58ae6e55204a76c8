"""The house of a rehearsal: the real services, of which none changes anything."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mailsrv.cli.rehearsal_house import Traces, build_house
from mailsrv.config.schema import DnsblConfig, FilterConfig, GreylistConfig
from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.receive.filter import Action
from mailsrv.receive.house import House
from mailsrv.serve.bans import Bans
from mailsrv.store.senders import Senders
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import Octets
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.rspamd import FakeRspamd
from tests.mailsrv.receive.fakes import Lines, make_config
from tests.mailsrv.receive.filter_message import new_message

NET, SENDER, RECIPIENT = "192.0.2.0/24", "a@far.example", "alice@example.org"


class Place:
    """A data_dir with a house above it."""

    def __init__(self, path: Path, **config) -> None:
        self.path = path
        (path / "run").mkdir(parents=True)
        self.clock = FakeClock()
        self.config = make_config(data_dir=str(path), **config)
        self.traces = Traces()

    def build(self, zone: str = "", with_filter: bool = True) -> House:
        return build_house(self.config, self.traces, FakeResolver(zone), self.clock, with_filter)

    def senders(self) -> Senders:
        """As the server has them."""
        return Senders(Disk(), str(self.path), self.config.greylist, self.clock, Lines())

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in self.path.rglob("*")
            if path.is_file() and not path.name.endswith("-shm")
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data", greylist=GreylistConfig(True, delay_seconds=300))


def test_nobody_is_known_where_there_is_no_file(place: Place) -> None:
    senders = place.build().senders
    assert senders is not None
    assert senders.seen(NET, SENDER, RECIPIENT) == 0.0
    assert not senders.is_known(NET, "far.example")
    senders.passed(NET, "far.example")
    assert place.files() == {}
    assert place.traces.notes == []


def test_senders_are_read_and_stay_as_they_are(place: Place) -> None:
    real = place.senders()
    assert real.seen(NET, SENDER, RECIPIENT) == 0.0
    real.passed(NET, "good.example")
    real.close()
    before = place.files()
    senders = place.build().senders
    assert senders is not None
    place.clock.advance(100)
    assert senders.seen(NET, SENDER, RECIPIENT) == 100.0
    assert senders.seen(NET, "new@far.example", RECIPIENT) == 0.0
    place.clock.advance(300)
    assert senders.seen(NET, SENDER, RECIPIENT) == 400.0  # has come back, and is not noted for it
    assert senders.seen(NET, "b@far.example", RECIPIENT) == 0.0
    assert senders.is_known(NET, "good.example")
    assert not senders.is_known(NET, "far.example")
    senders.close()
    assert place.files() == before
    again = place.senders()
    assert again.seen(NET, SENDER, RECIPIENT) == 400.0
    assert again.seen(NET, "c@far.example", RECIPIENT) == math.inf
    again.close()


def test_a_damaged_file_stays_where_it_is(place: Place) -> None:
    (place.path / "senders.sqlite3").write_bytes(b"x" * 5000)
    (place.path / "run" / "senders").touch()  # the lock that whoever made the file took
    before = place.files()
    senders = place.build().senders
    assert senders is not None
    assert senders.seen(NET, SENDER, RECIPIENT) == 0.0
    assert not senders.is_known(NET, "far.example")
    assert place.files() == before
    (note,) = place.traces.notes
    assert "everybody is a stranger" in note and "senders.sqlite3" in note


@pytest.mark.parametrize(
    ("config", "wanted"),
    [({}, False), ({"greylist": GreylistConfig(True)}, True), ({"dnsbl": DnsblConfig(["bad.example"])}, True)],
)
def test_senders_are_asked_when_the_server_would(tmp_path: Path, config: dict, wanted: bool) -> None:
    place = Place(tmp_path / "data", **config)
    assert (place.build().senders is not None) is wanted
    assert (Senders.from_config(place.config, Disk(), place.clock, Lines()) is not None) is wanted


def test_quotas_are_counted_and_nothing_is_written(place: Place) -> None:
    quota = place.build().quota
    assert quota.room("alice", 100, 100)
    assert not quota.room("alice", 100, 101)
    inbox = place.path / "accounts" / "alice" / "new"
    inbox.mkdir(parents=True)
    (inbox / "1").write_bytes(b"x" * 90)
    quota = place.build().quota
    assert quota.room("alice", 100, 10)
    assert not quota.room("alice", 100, 11)
    assert set(place.files()) == {"accounts/alice/new/1"}


def test_what_cannot_be_read_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_disk: Disk, path: str, *_more: object) -> None:
        raise StorageError(f"{path}: Permission denied")

    monkeypatch.setattr(Disk, "stamp", refuse)
    house = place.build()
    assert house.quota.room("alice", 100, 200)
    assert house.quota.room("alice", 100, 200)
    assert house.senders is not None
    assert house.senders.seen(NET, SENDER, RECIPIENT) == 0.0
    assert not house.senders.is_known(NET, "far.example")
    assert house.bans.banned("192.0.2.7") is None
    assert [note.partition(":")[0] for note in place.traces.notes] == [
        "whether the client is banned cannot be seen",
        "the quota of alice cannot be read, room is assumed",
        "who has written before cannot be seen, everybody is a stranger",
    ]


def test_bans_are_those_of_the_server(place: Place) -> None:
    bans = Bans(str(place.path / "bans"), str(place.path / "run/bans.lock"), Disk(), place.clock)
    bans.add("192.0.2.7", 60, "noise")
    ban = place.build().bans.banned("192.0.2.7")
    assert ban is not None and ban.network == "192.0.2.7"
    assert place.build().bans.banned("192.0.2.8") is None


def test_delivery_keeps(place: Place) -> None:
    house = place.build()
    recipients = (Recipient(Address("alice", "example.org"), account="alice"), Recipient(Address("b", "far.example")))
    envelope = Envelope("TEST", 0, None, recipients)
    with house.scratch() as scratch:
        scratch.write(b"body")
        committed = house.delivery.commit(envelope, Octets(b"top", scratch, 1), b"Return-Path: <>\r\n")
        assert list(committed.delivered) == ["alice"]
        assert list(committed.queued) == [recipients[1]]
        assert house.delivery.commit_each(envelope, Octets(b"", scratch), b"") == {"alice": None}
    assert place.traces.kept[0] == (envelope, b"topody", b"Return-Path: <>\r\n")
    assert place.files() == {}


def test_a_rehearsal_is_the_first_session_of_all(place: Place) -> None:
    house = place.build()
    throttle = house.throttle
    throttle.enter("TEST", "smtp", "192.0.2.7").account("alice")
    throttle.count("messages")
    assert throttle.opened("192.0.2.7") == throttle.total() == 1
    assert throttle.login_failed("192.0.2.7") == 0
    throttle.closed("192.0.2.7")
    throttle.enter("TEST", "smtp", "192.0.2.7").leave()
    assert house.space.has(1 << 60)
    assert not house.passwords.check(None, "secret")
    house.wait(1e9)
    house.log.write("session", "info", {"id": "TEST"})
    assert house.message_id("TEST", 3) == "TEST"


def test_lookups_are_kept_within_the_budget_of_a_message(place: Place) -> None:
    house = place.build("far.example A 192.0.2.7")
    assert house.lookups is not None
    ask = house.lookups()
    assert ask("far.example", "A").records == ("192.0.2.7",)
    assert [one.name for one in place.traces.transcript.lookups] == ["far.example"]
    assert house.lookups() is not ask


def test_the_content_filter_is_the_real_one(place: Place) -> None:
    with FakeRspamd({"action": "reject", "score": 20}) as rspamd:
        place.config = replace(place.config, filter=FilterConfig(rspamd=rspamd.url))
        house = place.build()
        assert house.filter is not None
        assert house.filter.scan(new_message()).action is Action.REJECT
    assert place.build(with_filter=False).filter is None


def test_a_note_is_kept_once() -> None:
    traces = Traces()
    for text in ("a", "b", "a"):
        traces.note(text)
    assert traces.notes == ["a", "b"]
