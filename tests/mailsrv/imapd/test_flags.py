"""STORE: what the dialogs do not show. The order of what is told, speed by number of messages, races."""

import pytest

from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation
from mailsrv.imap.numbers import NumberSet
from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.deliver(*[message(str(number)) for number in range(1, 7)])
    return made


def test_every_form_of_change(house):
    client = house.client(selected="INBOX")
    client.do("STORE 1:3 +FLAGS (\\Seen \\Flagged)")
    client.do("STORE 2 -FLAGS \\Seen")
    client.do("STORE 3 FLAGS.SILENT (\\Deleted)")
    assert house.flags() == {1: SEEN | FLAGGED, 2: FLAGGED, 3: DELETED, 4: 0, 5: 0, 6: 0}


def test_thousands_are_told_in_order_and_in_parts(tmp_path):
    house = House(tmp_path)
    house.deliver(*[b"S: x\r\n\r\n"] * 4100)
    client = house.client(selected="INBOX")
    lines = client.do("STORE 1:* +FLAGS (\\Seen)")
    assert lines[:-1] == [f"* {number} FETCH (UID {number} FLAGS (\\Seen))" for number in range(1, 4101)]
    assert client.do("STORE 1:* -FLAGS.SILENT (\\Seen)") == ["OK stored"]
    assert set(house.flags().values()) == {0}


def test_a_silent_change_of_others_in_the_same_command_is_told(house, monkeypatch):
    """Another session is faster than this one, between its look and its STORE."""
    client, other = house.client(selected="INBOX"), house.box()
    box = client.state.view.box
    store = box.store_flags

    def late(*arguments):
        other.store_flags(NumberSet([(1, 2)]), Operation.ADD, FLAGGED)
        return store(*arguments)

    monkeypatch.setattr(box, "store_flags", late)
    lines = client.do("STORE 2:3 +FLAGS.SILENT (\\Seen)")
    assert "* 1 FETCH (UID 1 FLAGS (\\Flagged))" in lines
    # Its last modseq is this command's own; yet the client must hear that it is flagged.
    assert "* 2 FETCH (UID 2 FLAGS (\\Seen \\Flagged))" in lines
    assert house.flags()[2] == SEEN | FLAGGED


def test_a_message_that_goes_meanwhile_is_not_told(house, monkeypatch):
    client, other = house.client(selected="INBOX"), house.box()
    box = client.state.view.box
    store = box.store_flags

    def late(*arguments):
        stored = store(*arguments)
        other.store_flags(NumberSet([(2, 2)]), Operation.ADD, DELETED)
        other.expunge()
        return stored

    monkeypatch.setattr(box, "store_flags", late)
    lines = client.do("STORE 1:3 +FLAGS (\\Seen)")
    assert [line for line in lines if "FETCH" in line] == [
        "* 1 FETCH (UID 1 FLAGS (\\Seen))",
        "* 3 FETCH (UID 3 FLAGS (\\Seen))",
    ]
    assert "* 2 EXPUNGE" in client.do("NOOP")


def test_news_of_others_are_not_told_twice(house):
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX")
    other.do("STORE 1:2 +FLAGS.SILENT (\\Flagged)")
    lines = client.do("STORE 2:3 +FLAGS (\\Seen)")
    assert lines == [
        "* 2 FETCH (UID 2 FLAGS (\\Seen \\Flagged))",
        "* 3 FETCH (UID 3 FLAGS (\\Seen))",
        "* 1 FETCH (UID 1 FLAGS (\\Flagged))",
        "OK stored",
    ]


def test_modified_and_qresync_both_are_told(house):
    client, other = house.client(selected="INBOX", enabled="QRESYNC"), house.client(selected="INBOX")
    seen = client.state.view.modseq
    other.do("STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.do("EXPUNGE")
    other.do("STORE 1 +FLAGS.SILENT (\\Seen)")
    lines = client.do(f"STORE 2:3 (UNCHANGEDSINCE {seen}) +FLAGS (\\Flagged)")
    assert "OK [MODIFIED 2]" in lines[-1]
    assert f"* OK [HIGHESTMODSEQ {seen}] not all is told yet" in lines


def test_keywords_of_another_session_are_named_before_they_are_seen(house):
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX")
    other.do("STORE 1 +FLAGS (urgent)")
    lines = client.do("STORE 1 +FLAGS (\\Seen)")
    named = next(number for number, line in enumerate(lines) if line.startswith("* FLAGS") and "urgent" in line)
    used = next(number for number, line in enumerate(lines) if "FETCH" in line)
    assert named < used and "urgent" in lines[used]


def test_a_mailbox_that_is_deleted_ends_politely(house):
    house.reader().create("Work")
    house.deliver(message(), mailbox="Work")
    client = house.client(selected="Work", enabled="IMAP4rev2")
    house.client().do("DELETE Work")
    lines = client.do("STORE 1 +FLAGS (\\Seen)")
    assert any("[CLOSED]" in line for line in lines) and lines[-1].startswith("NO [NONEXISTENT]")
    assert client.do("STORE 1 +FLAGS (\\Seen)")[-1].startswith("BAD")
    assert client.do("NOOP")[-1].startswith("OK")
