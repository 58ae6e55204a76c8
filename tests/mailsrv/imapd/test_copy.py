"""COPY and MOVE: what the dialogs do not show. Quota, keywords, other processes, targets that vanish."""

import pytest

from mailsrv.store.values import Usage
from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.deliver(*[message(str(number)) for number in range(1, 5)])
    made.reader().create("Work")
    return made


def test_nothing_is_copied_where_there_is_no_room(tmp_path, house):
    used = house.reader().usage()
    tight = House(tmp_path, Usage(used.octets + 40, 0), clock=house.clock)
    client = tight.client(selected="INBOX")
    assert client.do("COPY 1:4 Work")[-1].startswith("NO [OVERQUOTA]")
    assert tight.flags("Work") == {}
    # A move needs no room (RFC 6851 section 4.1).
    assert client.do("MOVE 1:4 Work")[-1].startswith("OK")
    assert list(tight.flags("Work")) == [1, 2, 3, 4]


def test_octets_and_dates_are_the_same(house):
    client = house.client(selected="INBOX")
    before = [house.octets(uid) for uid in (2, 3)]
    dates = client.do("FETCH 2:3 (INTERNALDATE)")
    client.do("COPY 2:3 Work")
    assert [house.octets(uid, "Work") for uid in (1, 2)] == before
    client.do("SELECT Work")
    assert [line.split(" ", 2)[2] for line in client.do("FETCH 1:2 (INTERNALDATE)")] == [
        line.split(" ", 2)[2] for line in dates
    ]


def test_too_many_keywords_in_the_target(house):
    client = house.client(selected="INBOX")
    client.do("STORE 1 +FLAGS.SILENT (one more than fits)")
    work = house.client(selected="Work")
    work.append(message(), "Work")
    work.do("STORE 1 +FLAGS.SILENT (" + " ".join(f"k{number}" for number in range(53)) + ")")
    assert client.do("COPY 1 Work")[-1].startswith("NO [LIMIT]")
    assert client.do("MOVE 1 Work")[-1].startswith("NO [LIMIT]")
    assert list(house.flags("Work")) == [1] and list(house.flags()) == [1, 2, 3, 4]


def test_another_process_hears_of_it(tmp_path, house):
    another = House(tmp_path, clock=house.clock)
    client, other = house.client(selected="INBOX"), another.client(selected="INBOX")
    target = another.client(selected="Work")
    assert client.do("MOVE 2:3 Work")[-1] == "OK moved"
    assert target.do("NOOP") == ["* 2 EXISTS", "OK nothing more is new"]
    assert other.do("NOOP")[:2] == ["* 3 EXPUNGE", "* 2 EXPUNGE"]


def test_a_target_that_vanishes_under_the_command(house, monkeypatch):
    client = house.client(selected="INBOX")
    box = client.state.view.box
    copy = box.copy

    def late(uids, target):
        house.client().do("DELETE Work")
        return copy(uids, target)

    monkeypatch.setattr(box, "copy", late)
    assert client.do("COPY 1 Work") == ["NO [TRYCREATE] the mailbox Work was deleted meanwhile"]
    assert client.do("NOOP")[-1].startswith("OK")
    assert client.do("FETCH 1 (UID)")[0] == "* 1 FETCH (UID 1)"


def test_the_selected_mailbox_vanishes(house):
    client = house.client(selected="Work")
    house.deliver(message(), mailbox="Work")
    client.do("NOOP")
    house.client().do("DELETE Work")
    lines = client.do("COPY 1 INBOX")
    assert lines[0].startswith("* BYE") and lines[-1].startswith("NO")
