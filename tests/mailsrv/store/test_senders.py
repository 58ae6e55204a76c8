"""Who has written before: what is waited for, what is known and for how long, and what a flood or a bad file does."""

import math
import multiprocessing
import re
import sqlite3

import pytest

from mailsrv.config.schema import Config, DnsblConfig, GreylistConfig
from mailsrv.errors import StorageError
from mailsrv.store import senders as room
from mailsrv.store.senders import Senders, network_of
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog
from tests.house.manual import find_tags
from tests.house.source import TOP

DELAY, WINDOW, KEEP = 300, 172_800, 36 * 86400
NET = "192.0.2.0/24"
TRIPLET = (NET, "a@far.example", "alice@example.org")


class Place:
    def __init__(self, path):
        (path / "run").mkdir()
        self.path = path
        self.clock = FakeClock()
        self.log = FakeLog()
        self.senders = self.again()

    def again(self, read_only=False):
        settings = GreylistConfig(enabled=True)
        return Senders(Disk(), str(self.path), settings, self.clock, self.log, read_only=read_only)

    def rows(self, table):
        connection = sqlite3.connect(self.path / room.FILE)
        found = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        connection.close()
        return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", ""),
    ],
)
def test_what_a_network_is(client, network):
    assert network_of(client) == network


def test_a_triplet_waits_and_comes_back(place):
    senders, clock = place.senders, place.clock
    assert senders.seen(*TRIPLET) == 0.0
    clock.advance(DELAY - 1)
    assert senders.seen(*TRIPLET) == DELAY - 1  # asking early does not begin it anew
    clock.advance(1)
    assert senders.seen(*TRIPLET) == DELAY
    assert senders.seen(*TRIPLET) == math.inf
    assert place.rows("triplets") == []


def test_what_came_back_is_known_as_a_pair(place):
    senders, clock = place.senders, place.clock
    senders.seen(*TRIPLET)
    clock.advance(DELAY)
    senders.seen(*TRIPLET)
    assert senders.seen(NET, "list-bounce-4711@far.example", "bob@example.org") == math.inf
    assert senders.seen("198.51.100.0/24", "a@far.example", "alice@example.org") == 0.0
    assert senders.seen(NET, "a@other.example", "alice@example.org") == 0.0
    # That it has a queue does not say who it is.
    assert not senders.is_known(NET, "far.example")


@pytest.mark.parametrize(
    "other",
    [
        ("198.51.100.0/24", "a@far.example", "alice@example.org"),
        (NET, "b@far.example", "alice@example.org"),
        (NET, "a@far.example", "bob@example.org"),
        (NET, "", "alice@example.org"),
    ],
)
def test_each_part_of_a_triplet_counts(place, other):
    place.senders.seen(*TRIPLET)
    place.clock.advance(DELAY)
    assert place.senders.seen(*other) == 0.0
    assert place.senders.seen(*TRIPLET) == DELAY


def test_the_null_reverse_path_is_a_pair_of_its_own(place):
    senders, clock = place.senders, place.clock
    assert senders.seen(NET, "", "alice@example.org") == 0.0
    clock.advance(DELAY)
    assert senders.seen(NET, "", "alice@example.org") == DELAY
    assert senders.seen(NET, "", "bob@example.org") == math.inf
    senders.passed(NET, "")
    assert not senders.is_known(NET, "")
    assert place.rows("passed_dmarc") == []


def test_who_comes_back_too_late_begins_anew(place):
    senders, clock = place.senders, place.clock
    senders.seen(*TRIPLET)
    clock.advance(WINDOW)
    assert place.again().seen(*TRIPLET) == WINDOW
    senders.seen(NET, "b@late.example", "alice@example.org")
    clock.advance(WINDOW + 1)
    assert senders.seen(NET, "b@late.example", "alice@example.org") == 0.0
    clock.advance(DELAY)
    assert senders.seen(NET, "b@late.example", "alice@example.org") == DELAY


def test_a_time_of_a_clock_that_was_ahead_begins_anew(place):
    place.clock.advance(10 * KEEP)
    place.senders.seen(*TRIPLET)
    place.senders.passed(NET, "far.example")
    place.clock.advance(-10 * KEEP)
    assert place.senders.seen(*TRIPLET) == 0.0
    assert not place.senders.is_known(NET, "far.example")
    place.senders.passed(NET, "far.example")
    assert place.senders.is_known(NET, "far.example")


def test_pairs_that_passed_dmarc_are_known_for_their_time(place):
    senders, clock = place.senders, place.clock
    assert not senders.is_known(NET, "far.example")
    senders.passed(NET, "far.example")
    assert senders.is_known(NET, "far.example")
    assert not senders.is_known(NET, "other.example")
    assert not senders.is_known("2001:db8::/64", "far.example")
    clock.advance(KEEP)
    assert senders.is_known(NET, "far.example")
    clock.advance(1)
    assert not senders.is_known(NET, "far.example")


def test_use_keeps_a_pair_and_writes_it_once_a_day(place):
    senders, clock = place.senders, place.clock
    senders.passed(NET, "far.example")
    began = int(clock.now())
    clock.advance(86400 - 1)
    senders.passed(NET, "far.example")
    assert place.rows("passed_dmarc") == [(1, NET, "far.example", began)]
    clock.advance(1)
    senders.passed(NET, "far.example")
    assert place.rows("passed_dmarc") == [(2, NET, "far.example", began + 86400)]  # the youngest again
    senders.seen(*TRIPLET)
    clock.advance(DELAY)
    senders.seen(*TRIPLET)
    for _ in range(5):
        clock.advance(KEEP - 1)
        assert senders.seen(*TRIPLET) == math.inf
    clock.advance(KEEP + 1)
    assert senders.seen(*TRIPLET) == 0.0


def test_a_restart_and_other_processes_know_the_same(place):
    place.senders.seen(*TRIPLET)

    def other():
        place.clock.advance(DELAY)
        assert place.senders.seen(*TRIPLET) == DELAY
        place.senders.passed(NET, "far.example")

    process = multiprocessing.get_context("fork").Process(target=other)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert place.senders.is_known(NET, "far.example")
    assert place.again().seen(*TRIPLET) == math.inf


def test_housekeeping_removes_what_counts_no_more(place, monkeypatch):
    monkeypatch.setattr(room, "_BATCH", 3)
    monkeypatch.setattr(room, "_BATCHES", 2)
    senders, clock = place.senders, place.clock
    for number in range(8):
        senders.seen(NET, f"{number}@old.example", "alice@example.org")
    senders.passed(NET, "old.example")
    clock.advance(WINDOW + 1)
    senders.seen(*TRIPLET)
    assert senders.expire()  # a call does so much and no more
    assert len(place.rows("triplets")) == 3
    assert not senders.expire()
    assert len(place.rows("triplets")) == 1
    assert senders.seen(*TRIPLET) == 0.0
    clock.advance(KEEP)
    senders.passed(NET, "new.example")
    assert not senders.expire()
    assert place.rows("triplets") == []
    assert [row[2] for row in place.rows("passed_dmarc")] == ["new.example"]


def test_a_flood_pushes_out_the_oldest_and_nothing_else(place, monkeypatch):
    monkeypatch.setattr(room, "TRIPLETS", 5)
    monkeypatch.setattr(room, "PAIRS", 3)
    senders, clock = place.senders, place.clock
    senders.passed(NET, "far.example")
    for number in range(9):
        senders.seen(NET, f"x@{number}.example", "alice@example.org")
        clock.advance(1)
    assert [int(clock.now()) - row[2] for row in place.rows("triplets")] == [5, 4, 3, 2, 1]
    clock.advance(DELAY)
    for number in range(4, 9):
        senders.seen(NET, f"x@{number}.example", "alice@example.org")
    assert [row[2] for row in place.rows("came_back")] == ["6.example", "7.example", "8.example"]
    assert senders.is_known(NET, "far.example")


def test_a_damaged_file_is_set_aside_with_an_event_and_begun_anew(place):
    file = place.path / room.FILE
    file.write_bytes(b"garbage" * 1000)
    with pytest.raises(StorageError, match="not a database"):
        place.senders.seen(*TRIPLET)
    assert place.senders.seen(*TRIPLET) == 0.0
    assert (place.path / f"{room.FILE}.damaged").read_bytes() == b"garbage" * 1000
    (event,) = place.log.named("storage")
    assert event["path"] == str(file)
    assert event["reason"].endswith("not a database; set aside as senders.sqlite3.damaged, a new one is begun")


def ask_until_answered(place, start, number):
    """A process of its own: twenty triplets, each asked for until there is an answer."""
    senders = place.again()
    start.wait()
    for at in range(20):
        for _ in range(50):
            try:
                senders.seen(NET, f"{at}@{number}.example", "alice@example.org")
            except StorageError:
                continue
            break
        else:
            raise AssertionError(place.log.events)


def test_processes_that_find_the_damage_at_once_begin_one_new_file(place):
    (place.path / room.FILE).write_bytes(b"garbage" * 1000)
    context = multiprocessing.get_context("fork")
    start = context.Event()
    processes = [context.Process(target=ask_until_answered, args=(place, start, number)) for number in range(4)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(place.rows("triplets")) == 80
    assert (place.path / f"{room.FILE}.damaged").read_bytes() == b"garbage" * 1000


def test_trouble_is_told_once_a_minute(place):
    (place.path / "run").rmdir()  # the lock that making the file needs
    for _ in range(2):
        for question in (
            lambda: place.senders.seen(*TRIPLET),
            lambda: place.senders.is_known(NET, "far.example"),
            lambda: place.senders.passed(NET, "far.example"),
            place.senders.expire,
        ):
            with pytest.raises(StorageError):
                question()
        place.clock.advance(60)
    assert len(place.log.named("storage")) == 2


def test_read_only_leaves_everything_as_it_is(place):
    place.senders.seen(*TRIPLET)
    place.clock.advance(DELAY + 1)
    before = place.rows("triplets"), place.rows("came_back"), place.rows("passed_dmarc")
    reader = place.again(read_only=True)
    assert reader.seen(NET, "new@far.example", "alice@example.org") == 0.0
    assert reader.seen(*TRIPLET) == DELAY + 1
    reader.passed(NET, "far.example")
    assert (place.rows("triplets"), place.rows("came_back"), place.rows("passed_dmarc")) == before


def test_read_only_leaves_a_damaged_file_where_it_is(place):
    (place.path / room.FILE).write_bytes(b"garbage" * 1000)
    reader = place.again(read_only=True)
    with pytest.raises(StorageError, match="not a database"):
        reader.seen(*TRIPLET)
    assert (place.path / room.FILE).read_bytes() == b"garbage" * 1000


def test_what_cannot_be_set_aside_is_left_and_told(place):
    (place.path / room.FILE).write_bytes(b"garbage" * 1000)
    (place.path / f"{room.FILE}.damaged").mkdir()
    with pytest.raises(StorageError, match="not a database"):
        place.senders.seen(*TRIPLET)
    assert "it cannot be set aside" in place.log.named("storage")[0]["reason"]


@pytest.mark.parametrize(
    ("greylist", "dnsbl", "used"),
    [
        (GreylistConfig(), DnsblConfig(), False),
        (GreylistConfig(enabled=True), DnsblConfig(), True),
        (GreylistConfig(), DnsblConfig(zones=["bl.example.org"]), True),
        (GreylistConfig(), DnsblConfig(allow_zones=["wl.example.org"]), False),
    ],
)
def test_nothing_is_kept_that_nobody_asks_for(place, greylist, dnsbl, used):
    config = Config(hostname="mx.example.org", data_dir=str(place.path), greylist=greylist, dnsbl=dnsbl)
    senders = Senders.from_config(config, Disk(), place.clock, place.log)
    assert (senders is not None) is used


def test_the_page_has_the_tables_and_the_numbers(place):
    place.senders.seen(*TRIPLET)
    page = (TOP / "man/mailsrv-store.5").read_text(encoding="utf-8")
    connection = sqlite3.connect(place.path / room.FILE)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert set(find_tags("mailsrv-store.5", "SENDERS")) == tables
    assert re.search(rf"more than {room.TRIPLETS} triplets and {room.PAIRS} pairs", page)
