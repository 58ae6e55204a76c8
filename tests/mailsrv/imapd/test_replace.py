"""REPLACE: the room that the old message leaves, what others do meanwhile, and never neither message."""

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.values import Usage
from tests.fakes.imap_client import House, message


def replace(client, number, octets, mailbox="INBOX", uid=False):
    verb = b"UID REPLACE" if uid else b"REPLACE"
    return client.do(b"%b %d %b {%d+}\r\n%b" % (verb, number, mailbox.encode(), len(octets), octets))


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.deliver(*[message(str(number)) for number in range(1, 4)])
    return made


def test_the_old_message_makes_room(tmp_path):
    house = House(tmp_path, Usage(1000, 1))
    client = house.client(selected="INBOX")
    assert client.append(b"x" * 900)[-1].startswith("OK")
    assert client.append(b"x")[-1].startswith("NO [OVERQUOTA]")
    assert replace(client, 1, b"y" * 1000)[-1].startswith("OK")
    assert replace(client, 1, b"y" * 1001)[-1].startswith("NO [OVERQUOTA]")
    assert house.octets(2) == b"y" * 1000 and list(house.flags()) == [2]
    assert house.reader().limits == client.state.mailboxes.own.limits == Usage(1000, 1)


def test_nobody_is_told_that_the_old_one_is_deleted(house):
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX", enabled="QRESYNC")
    lines = replace(client, 2, message("new"))
    assert [line.split("]")[0].rpartition(" ")[0] for line in lines[:1]] == ["* OK [APPENDUID 1700000000"]
    assert lines[1:] == ["* 2 EXPUNGE", "* 3 EXISTS", "OK replaced"]
    assert other.do("NOOP")[:2] == ["* VANISHED 2", "* 3 EXISTS"]


def test_only_the_one_message_goes(house):
    client = house.client(selected="INBOX")
    client.do("STORE 1 +FLAGS.SILENT (\\Deleted)")
    replace(client, 3, message("new"), uid=True)
    assert list(house.flags()) == [1, 2, 4]


def test_somebody_else_expunges_it_while_octets_come(house):
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX")
    assert client.send(b"a REPLACE 2 INBOX {3}\r\n").startswith(b"+")
    other.do("STORE 2 +FLAGS.SILENT (\\Deleted)")
    other.do("EXPUNGE")
    heard = client.send(b"abc\r\n")
    assert b"a NO [EXPUNGEISSUED]" in heard and list(house.flags()) == [1, 3]


def test_the_old_one_stays_when_the_new_one_cannot_be_stored(house, monkeypatch):
    client = house.client(selected="INBOX")

    def refuse(self, messages):
        for one in messages:
            one.file.close()
        raise StorageError("broken")

    monkeypatch.setattr("mailsrv.store.opened.OpenMailbox.append", refuse)
    assert replace(client, 2, message("new"))[-1].startswith("NO [UNAVAILABLE]")
    assert list(house.flags()) == [1, 2, 3]
