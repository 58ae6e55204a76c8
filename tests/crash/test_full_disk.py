"""A file system without a single free block: what is there can be read, and removed; nothing is lost or told wrongly.

On a small file system in memory that is really full, which only root may make.
"""

import gc
import os
import subprocess

import pytest

from mailsrv.errors import StorageFull
from mailsrv.store.values import FLAGGED
from mailsrv.system.reserve import Reserve

from tests.fakes.imap_client import House, message

RESERVE = 512 << 10


@pytest.fixture
def small(tmp_path):
    """A directory on a file system of 8 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system can be mounted by root only, where that is allowed: {error}")
    yield path
    gc.collect()
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def make(path):
    house = House(path)
    house.readers.reserve = Reserve(f"{path}/reserve", RESERVE)
    return house


def fill(path):
    """Write until not one octet can be written."""
    with open(path / "filler", "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    assert os.statvfs(path).f_bavail == 0


def number_of(house):
    return len(house.flags())


@pytest.mark.parametrize("again", [False, True], ids=["in use", "opened anew"])
def test_what_is_there_can_be_read_and_removed(small, again):
    house = make(small)
    assert house.readers.reserve.keep()
    house.deliver(*[message(f"message {number}") for number in range(40)])
    house.client(selected="INBOX").do("STORE 1:4 +FLAGS (\\Flagged)")
    house.readers.filler("alice").fill()  # as the background does after a delivery
    (small / "accounts/alice/new/1600009999.M1.host.example").write_bytes(message("not adopted yet"))
    if again:  # nobody has the index open: its log and its map are not there
        house.readers.close()
        gc.collect()
        house = make(small)
    fill(small)
    client = house.client(selected="INBOX")
    assert client.do("NOOP")[-1].startswith("OK")
    known = 41 if again else 40
    assert any(f"(MESSAGES {known}" in line for line in client.do("STATUS INBOX (MESSAGES UNSEEN)"))
    assert any("message 7" in line for line in client.do("FETCH 8 (FLAGS BODY[])"))
    assert client.do("FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)")[-1].startswith("OK")
    assert "* SEARCH 8" in client.do('SEARCH TEXT "message 7"')
    assert client.do("SORT (SUBJECT) UTF-8 TO bob")[-1].startswith("OK")
    if not again:  # else the reserve serves already, by the file's being opened
        assert client.do("STORE 9 +FLAGS (\\Answered)")[-1].startswith("NO [UNAVAILABLE]")
    octets = message("x" * 100_000)
    assert client.do(f"APPEND INBOX {{{len(octets)}+}}\r\n".encode() + octets)[-1].startswith("NO [UNAVAILABLE]")
    # Room is made.
    lines = client.do("STORE 1:30 +FLAGS.SILENT (\\Deleted)")
    assert lines[-1].startswith("OK"), lines
    assert len([line for line in client.do("EXPUNGE") if line.endswith("EXPUNGE")]) == 30
    assert client.do(f"APPEND INBOX {{{len(octets)}+}}\r\n".encode() + octets)[-1].startswith("NO [UNAVAILABLE]")
    assert number_of(house) == 11, "with room in the reserve, what has waited is adopted"
    while house.reader().tidy():
        pass
    os.unlink(small / "filler")
    # There is room again: uploads are taken, and the reserve is whole.
    assert client.do(f"APPEND INBOX {{{len(octets)}+}}\r\n".encode() + octets)[-1].startswith("OK [APPENDUID")
    assert os.path.getsize(small / "reserve") == RESERVE
    assert number_of(house) == 12 and house.reader().check() == []
    told = house.log.named("storage")
    assert 1 <= len(told) <= 4, told
    house.readers.close()


def test_a_mailbox_can_be_deleted(small):
    house = make(small)
    house.readers.reserve.keep()
    house.reader().create("Work")
    house.deliver(*[message("w")] * 5, mailbox="Work")
    client = house.client(selected="INBOX")
    client.do("STATUS Work (MESSAGES)")
    fill(small)
    assert client.do("CREATE Other")[-1].startswith("NO [UNAVAILABLE]")
    assert client.do("DELETE Work")[-1].startswith("OK")
    assert not [line for line in client.do('LIST "" *') if "Work" in line]
    assert not [name for name in os.listdir(small / "accounts/alice") if name == ".Work"]
    os.unlink(small / "filler")
    assert house.reader().check() == []
    house.readers.close()


def test_without_a_reserve_reading_goes_on(small):
    house = make(small)
    house.deliver(*[message(f"message {number}") for number in range(3)])
    box = house.box()
    fill(small)
    box.refresh(force=True)
    assert list(box.view()[0]) == [1, 2, 3]
    with pytest.raises(StorageFull):
        from mailsrv.imap.numbers import NumberSet
        from mailsrv.store.values import Operation

        for _ in range(2000):  # as long as the log has room from before
            box.store_flags(NumberSet([(1, 3)]), Operation.ADD, FLAGGED)
            box.store_flags(NumberSet([(1, 3)]), Operation.REMOVE, FLAGGED)
    house.readers.close()
