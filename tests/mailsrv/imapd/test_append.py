"""APPEND: octets, quota before and after, all or none, and what is left when it breaks off."""

import os

import pytest

from mailsrv.errors import StorageError, StorageFull
from mailsrv.store.values import DRAFT, SEEN, Usage
from mailsrv.imapd.append import MOST_FILES
from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def open_files():
    return len(os.listdir("/proc/self/fd"))


def several(*octets, mailbox="INBOX"):
    """APPEND of several messages."""
    return b"APPEND %b" % mailbox.encode() + b"".join([b" {%d+}\r\n%b" % (len(one), one) for one in octets])


def test_octets_are_kept_as_they_are(house):
    client = house.client()
    octets = bytes(range(1, 256)) * 40 + b"\nbare\rends\r\n"
    assert client.append(octets, arguments="(\\Seen) ")[0].startswith("OK [APPENDUID")
    assert house.octets(1) == octets and house.flags() == {1: SEEN}


def test_a_message_in_many_pieces(house):
    client = house.client(selected="INBOX")
    octets = message("x", "y" * 3000)
    heard = client.send(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets), step=7)
    assert heard.startswith(b"* 1 EXISTS\r\na OK [APPENDUID")
    assert house.octets(1) == octets


def test_no_room_is_told_before_the_octets(tmp_path):
    house = House(tmp_path, Usage(1000, 0))
    client = house.client()
    assert client.send(b"a APPEND INBOX {1001}\r\n").startswith(b"a NO [OVERQUOTA]")
    assert client.send(b"b APPEND INBOX {1000}\r\n").startswith(b"+ ")
    assert b"b OK" in client.send(b"x" * 1000 + b"\r\n")
    assert client.send(b"c APPEND INBOX {1}\r\n").startswith(b"c NO [OVERQUOTA]")


def test_no_room_for_all_of_several(tmp_path):
    house = House(tmp_path, Usage(1000, 0))
    client = house.client()
    assert client.do(several(b"x" * 600, b"y" * 600))[-1].startswith("NO [OVERQUOTA]")
    assert house.flags() == {}
    few = House(tmp_path, Usage(0, 2), clock=house.clock).client()
    assert few.do(several(b"x\r\n", b"y\r\n", b"z\r\n"))[-1].startswith("NO [OVERQUOTA]")
    assert few.do(several(b"x\r\n", b"y\r\n"))[-1].startswith("OK")


def test_no_room_any_more_at_the_end(tmp_path):
    """Another session was faster while the octets came."""
    house = House(tmp_path, Usage(1000, 0))
    client, other = house.client(), house.client()
    client.send(b"a APPEND INBOX {600}\r\n")
    assert other.append(b"x" * 600)[0].startswith("OK")
    assert client.send(b"y" * 600 + b"\r\n").startswith(b"a NO [OVERQUOTA]")
    assert list(house.flags()) == [1]


def test_several_get_uids_in_their_order(house):
    client = house.client(selected="INBOX")
    lines = client.do(b"APPEND INBOX (\\Draft) {3+}\r\na\r\n (k) {3+}\r\nb\r\n {3+}\r\nc\r\n")
    assert lines[0] == "* 3 EXISTS" and lines[-1].endswith(" 1:3] appended")
    assert [house.octets(uid)[:1] for uid in (1, 2, 3)] == [b"a", b"b", b"c"]
    assert house.flags() == {1: DRAFT, 2: house.box().keyword_bit("K"), 3: 0}


def test_so_many_files_and_no_more(house):
    client = house.client()
    assert client.do(several(*[b"x\r\n"] * MOST_FILES))[-1].startswith("OK")
    before = open_files()
    assert client.do(several(*[b"x\r\n"] * (MOST_FILES + 1)))[-1].startswith("NO [LIMIT]")
    assert open_files() <= before and len(house.flags()) == MOST_FILES


def test_a_client_that_goes_leaves_nothing(house):
    client = house.client()
    client.append(b"x\r\n")  # connections to the index stay open, and so do directories
    before = open_files()
    client.send(b"a APPEND INBOX {3+}\r\nabc {10000}\r\n" + b"x" * 5000)
    assert open_files() == before + 2
    client.policy.close("gone")
    assert open_files() == before
    assert list(house.flags()) == [1]
    assert len(list(house.path.joinpath("accounts/alice/cur").iterdir())) == 1


def test_what_the_core_breaks_off_leaves_nothing(house):
    client = house.client()
    client.append(b"x\r\n")  # connections to the index stay open
    before = open_files()
    assert client.send(b"a APPEND INBOX {3+}\r\nabc nonsense\r\n").startswith(b"a BAD")
    assert open_files() == before and client.state.upload is None
    assert client.append(b"x\r\n")[0].startswith("OK")


def test_a_disk_that_refuses_while_octets_come(house, monkeypatch):
    client = house.client()

    class Refusing:
        size = 0

        def __init__(self, error):
            self.error = error

        def write(self, buffers):
            raise self.error

        def close(self):
            """Nothing is held."""

    for error in (StorageFull("no space"), StorageError("broken")):
        upload = "mailsrv.store.opened.OpenMailbox.new_file"
        monkeypatch.setattr(upload, lambda self, error=error: Refusing(error))
        assert client.append(b"x\r\n")[0].startswith("NO [UNAVAILABLE]")
        assert client.do(several(b"x\r\n", b"y\r\n"))[-1].startswith("NO [UNAVAILABLE]")
    assert {name for name, _, _ in house.log.events} == {"storage"}
    assert house.flags() == {}


def test_too_many_keywords_store_nothing(house):
    client = house.client()
    keywords = " ".join(f"k{number}" for number in range(56))
    assert client.append(b"x\r\n", arguments=f"({keywords}) ")[0].startswith("NO [LIMIT]")
    assert house.flags() == {}


def test_the_mailbox_is_deleted_meanwhile(house):
    client = house.client(selected="INBOX")
    client.do("CREATE Work")
    client.send(b"a APPEND Work {3}\r\n")
    house.client().do("DELETE Work")
    heard = client.send(b"abc\r\n")
    assert b"a NO [" in heard and b"CLOSED" not in heard
    assert client.do("NOOP")[-1].startswith("OK")


def test_messages_that_were_stored_are_counted_for_the_log(house):
    client = house.client(selected="INBOX")
    one = "{1+}\r\nx"
    client.do(f"APPEND INBOX {one} {one}")
    client.do(f"APPEND nowhere {one}")
    client.do(f"REPLACE 1 INBOX {one}")
    assert client.state.stored == 3
    client.policy.close("quit", 5)
    assert house.log.named("session")[-1]["messages"] == 3
