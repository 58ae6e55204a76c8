"""What IMAP makes of several operations of the store, cut off at each of their steps: REPLACE (RFC 8508), and messages
that go between two accounts, each with an index of its own."""

import gc
import os
import shutil
from dataclasses import replace

import pytest

from mailsrv.store.database import Database
from mailsrv.store.index import SCHEMA
from mailsrv.store.readers import Readers
from mailsrv.system.disk import Disk

from tests.crash import store
from tests.crash.store import Killed, Watched, finish, look, texts
from tests.fakes.clock import FakeClock
from tests.fakes.imap_client import House

NOW = 2_000_000_000.0
LATER = NOW + 3600
ALICE = ["alice 0", "alice 1", "alice 2"]
BOB = ["bob 0", "bob 1"]
NEW = "new one"
BOBS = '"Other Users/bob/Team"'


@pytest.fixture(autouse=True, scope="module")
def steps_at_commits():
    """As in test_store: commits are steps, and the disk is not waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "write", store.write)
        patch.setattr("mailsrv.store.index.SCHEMA", replace(SCHEMA, durable=False))
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda fd: None)
        yield


@pytest.fixture(scope="module")
def ground(tmp_path_factory, steps_at_commits):
    """Alice and Bob, who shares a mailbox with her."""
    path = tmp_path_factory.mktemp("ground")
    house = House(path, clock=FakeClock(NOW))
    bob = house.client("bob")
    bob.do("CREATE Team")
    assert bob.do("SETACL Team alice lrswite")[-1].startswith("OK")
    house.client().do("CREATE Other")
    for box, those in ((house.box(), ALICE), (house.box("Team", "bob"), BOB)):
        for text in those:
            store.append(box, text)
    for account in ("alice", "bob"):
        finish(house.reader(account))
    house.readers.close()
    del house, bob, box
    gc.collect()
    return path


def act(path, disk, mailbox, command):
    """What Alice hears of one command."""
    house = House(path, clock=FakeClock(NOW))
    house.readers = house.services.readers = Readers(disk, str(path), house.clock, "host.example")
    client = house.client()
    client.do(f"SELECT {mailbox}")
    # From here on the process may die.
    disk.kill_at, disk.wanted = disk.wanted, None
    disk.count = 0
    try:
        return client.do(command)
    except Killed:
        return client.heard.decode().split("\r\n")[:-1]


class Mortal(Watched):
    """A disk that begins to count when the mailbox is selected."""

    def __init__(self, wanted=None):
        super().__init__()
        self.wanted = wanted


def seen(path):
    """What is there afterwards, and that idle work changes nothing of it and finds nothing wrong."""
    found = {}
    for account in ("alice", "bob"):
        reader = Readers(Disk(), str(path), FakeClock(LATER), "host.example").reader(account)
        found[account] = texts(look(reader))
        assert reader.check() == []
        finish(reader)
        assert texts(look(reader)) == found[account]
        assert reader.check() == []
    return found


def literal(text):
    return f"{{{len(text)}+}}\r\n{text}"


# What is selected, and the command; what goes from whom, and what comes to whom.
OPERATIONS = {
    "replace in place": ("INBOX", f"REPLACE 2 INBOX {literal(NEW)}", ("alice", ["alice 1"]), ("alice", [NEW])),
    "replace elsewhere": ("INBOX", f"UID REPLACE 2 Other {literal(NEW)}", ("alice", ["alice 1"]), ("alice", [NEW])),
    "replace at another's": ("INBOX", f"REPLACE 2 {BOBS} {literal(NEW)}", ("alice", ["alice 1"]), ("bob", [NEW])),
    "replace from another": (BOBS, f"REPLACE 1 INBOX {literal(NEW)}", ("bob", ["bob 0"]), ("alice", [NEW])),
    "move to another": ("INBOX", f"MOVE 1:2 {BOBS}", ("alice", ALICE[:2]), ("bob", ALICE[:2])),
    "move from another": (BOBS, "UID MOVE 1:2 INBOX", ("bob", BOB), ("alice", BOB)),
    "copy to another": ("INBOX", f"COPY 2:3 {BOBS}", ("alice", []), ("bob", ALICE[1:])),
}
BEFORE = {"alice": ALICE, "bob": BOB}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_process_dies_anywhere(tmp_path, ground, name):
    mailbox, command, (giver, goes), (taker, comes) = OPERATIONS[name]
    shutil.copytree(ground, tmp_path / "whole")
    disk = Mortal()
    heard = act(tmp_path / "whole", disk, mailbox, command)
    assert heard[-1].startswith(("OK", "t2 OK")), heard
    assert disk.faults == []
    after = {account: list(those) for account, those in BEFORE.items()}
    after[giver] = [text for text in after[giver] if text not in goes]
    after[taker] = sorted(after[taker] + comes)
    assert seen(tmp_path / "whole") == after
    assert disk.count > 5
    for kill_at in range(disk.count):
        path = tmp_path / str(kill_at)
        shutil.copytree(ground, path)
        heard = act(path, Mortal(kill_at), mailbox, command)
        check(name, seen(path), told="UID " in "".join(heard))
        shutil.rmtree(path)


def check(name, found, told):
    """What must be true wherever it was cut off; `told`: the client has heard the UIDs of what came."""
    _, _, (giver, goes), (taker, comes) = OPERATIONS[name]
    came = [text for text in found[taker] if text in comes]
    left = [text for text in found[giver] if text in goes]
    for account, those in BEFORE.items():
        others = [text for text in found[account] if text not in comes and text not in goes]
        assert others == [text for text in those if text not in comes and text not in goes]
    # Files that got a name and no row are adopted (mailsrv-store(5), CHANGES), but nothing is twice in one account.
    assert len(set(came)) == len(came)
    assert left in ([], goes)
    if told or left != goes:
        assert came == comes, "what went, or what the client was told, is lost"
