"""Who may do what: the file of an account, and what follows from it."""

import pytest

from mailsrv.errors import StorageError
from mailsrv.store import access as module
from mailsrv.store.access import ANYONE, Access, format_grants, parse_grants
from mailsrv.store.refusals import TooMany
from mailsrv.store.values import EVERY_RIGHT
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock


def make(path):
    return Access(Disk(), str(path), FakeClock(2_000_000_000.0))


def grant(access, owner, mailboxid, **rights):
    with access.change(owner) as grants:
        grants.setdefault(mailboxid, {}).update({name.replace("no_", "-"): text for name, text in rights.items()})


def test_the_owner_has_every_right(tmp_path):
    access = make(tmp_path)
    assert access.owners() == []
    assert access.rights("alice", "alice", "F1") == EVERY_RIGHT
    grant(access, "alice", "F1", no_anyone=EVERY_RIGHT)
    assert access.rights("alice", "alice", "F1") == EVERY_RIGHT


def test_what_is_granted_to_one_and_to_anyone_adds_up(tmp_path):
    access = make(tmp_path)
    grant(access, "alice", "F1", bob="wl", anyone="r")
    assert access.rights("bob", "alice", "F1") == "lrw"
    assert access.rights("carol", "alice", "F1") == "r"
    assert access.rights("bob", "alice", "F2") == ""
    grant(access, "alice", "F1", no_bob="r", no_anyone="w")
    assert access.rights("bob", "alice", "F1") == "l"
    assert access.rights("carol", "alice", "F1") == "r"


def test_another_process_sees_it(tmp_path):
    one, other = make(tmp_path), make(tmp_path)
    assert other.owners() == []
    grant(one, "alice", "F1", bob="l")
    grant(one, "dave", "F1", bob="l")
    assert other.owners() == ["alice", "dave"]
    assert other.rights("bob", "alice", "F1") == "l"
    with one.change("alice") as grants:
        grants["F1"]["bob"] = ""
    assert other.rights("bob", "alice", "F1") == ""
    assert (tmp_path / "acl/alice").read_text() == "acl 1\n"


def test_a_damaged_file_grants_nothing_and_stays(tmp_path):
    access = make(tmp_path)
    grant(access, "alice", "F1", bob="lr")
    path = tmp_path / "acl/alice"
    path.write_text("acl 1\nF1\tbob\tlr\nF1\t-bob\tR\n")
    assert access.rights("bob", "alice", "F1") == ""
    with pytest.raises(StorageError, match="alice:3: "), access.change("alice"):
        pass
    assert "-bob" in path.read_text()


def test_there_is_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINES", 2)
    access = make(tmp_path)
    grant(access, "alice", "F1", bob="l", anyone="l")
    with pytest.raises(TooMany):
        grant(access, "alice", "F2", bob="l")
    assert access.rights("bob", "alice", "F2") == ""


def test_a_name_leads_nowhere_else(tmp_path):
    with pytest.raises(ValueError, match="not the name of an account"):
        make(tmp_path).rights("bob", "../x", "F1")


def test_the_file():
    octets = b"acl 1\nF1\t-bob\tr\nF1\tanyone\tlr\nF2\tbob\tl\n"
    grants = parse_grants(octets)
    assert grants == {"F1": {"-bob": "r", ANYONE: "lr"}, "F2": {"bob": "l"}}
    assert format_grants(grants) == octets
    assert format_grants({"F1": {"bob": ""}, "F2": {}}) == b"acl 1\n"


@pytest.mark.parametrize(
    "octets",
    [b"", b"acl 2\n", b"acl 1", b"acl 1\nF1\tbob\n", b"acl 1\nF1\tbob\tlq\n", b"acl 1\n\tbob\tl\n", b"acl 1\nF1\t\tl\n",
     b"acl 1\nF1\tbob\tl\nF1\tbob\tr\n", b"acl 1\nF1\t\xff\tl\n"],
)  # fmt: skip
def test_what_is_damaged(octets):
    with pytest.raises(ValueError, match=r"^\d: "):
        parse_grants(octets)
