"""Damaged pages of index.sqlite3: it is set aside by whoever meets it first, and made anew from the files."""

import gc
import os
import threading

import pytest

from mailsrv.store.values import SEEN

from tests.fakes.imap_client import House, message


def damage(path, first=1):
    """Write over everything from page `first` on, in place, as on a bad disk."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(4096 * first)
        file.write(b"\xa5" * (size - 4096 * first))


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.reader().create("Work")
    house.deliver(*[message(f"message {number}") for number in range(30)])
    house.deliver(message("w"), mailbox="Work")
    house.client(selected="INBOX").do("STORE 1:3 +FLAGS.SILENT (\\Seen)")
    while house.reader().tidy():
        pass
    house.clock.advance(100)
    return house


def index_of(path):
    return f"{path}/accounts/alice/index.sqlite3"


def validity(lines):
    return next(line for line in lines if "UIDVALIDITY" in line)


@pytest.mark.parametrize("first", [0, 1], ids=["no database any more", "its pages"])
def test_it_is_made_anew(house, tmp_path, first):
    before = validity(house.client().do("SELECT INBOX"))
    house.readers.close()
    gc.collect()
    damage(index_of(tmp_path), first)
    lines = house.client().do("SELECT INBOX")
    assert lines[-1].startswith("OK") and "* 30 EXISTS" in lines
    assert validity(lines) > before
    assert list(house.flags().values()) == [SEEN] * 3 + [0] * 27
    assert os.path.exists(index_of(tmp_path) + ".damaged")
    [told] = house.log.named("storage")
    assert told["path"] == "alice" and "set aside as" in told["reason"] and "made from the files" in told["reason"]
    assert "* 1 EXISTS" in house.client().do("SELECT Work")
    assert house.reader().check() == []


@pytest.mark.parametrize("enabled", ["", "IMAP4rev2"])
def test_sessions_that_have_the_mailbox_end_politely(house, tmp_path, enabled):
    client = house.client(selected="INBOX", enabled=enabled)
    house.readers.close()
    gc.collect()
    damage(index_of(tmp_path))
    said = [line for _ in range(3) for line in client.do("FETCH 1:* (FLAGS)")]
    assert any("CLOSED" in line if enabled else line.startswith("* BYE") for line in said), said
    assert not any("FETCH (" in line for line in said)
    assert "* 30 EXISTS" in house.client().do("SELECT INBOX")


def test_processes_at_the_same_time_set_one_aside(house, tmp_path):
    house.readers.close()
    gc.collect()
    damage(index_of(tmp_path))
    houses = [House(tmp_path, clock=house.clock) for _ in range(4)]
    start = threading.Barrier(len(houses))
    answers = []

    def select(one):
        start.wait()
        answers.append(one.client().do("SELECT INBOX"))

    threads = [threading.Thread(target=select, args=(one,)) for one in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 4
    assert sum("set aside as" in told["reason"] for one in houses for told in one.log.named("storage")) == 1
    found = [one.client().do("SELECT INBOX") for one in houses]
    assert all("* 30 EXISTS" in lines for lines in found)
    assert len({validity(lines) for lines in found}) == 1


def test_a_disk_that_damages_each_new_one_is_not_filled(house, tmp_path):
    """Once a minute, and every command is answered."""
    for _ in range(5):
        house.readers.close()
        gc.collect()
        damage(index_of(tmp_path), 0)
        client = house.client()
        assert client.do("SELECT INBOX")[-1][:2] in ("OK", "NO")
    told = [told["reason"] for told in house.log.named("storage")]
    assert sum("set aside as" in reason for reason in told) == 1 and len(told) <= 3
    house.clock.advance(61)
    lines = house.client().do("SELECT INBOX")
    assert "* 30 EXISTS" in lines
