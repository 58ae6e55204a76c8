"""Values that clients keep: the file of an account, its limits, and what is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.store import metadata as module
from mailsrv.store.metadata import SERVER, Metadata, format_values, parse_values
from mailsrv.store.refusals import TooMany
from mailsrv.system.disk import Disk

from tests.fakes.clock import FakeClock


@pytest.fixture
def metadata(tmp_path):
    (tmp_path / "accounts/alice").mkdir(parents=True)
    return Metadata(Disk(), str(tmp_path), FakeClock(2_000_000_000.0))


def test_values_are_set_and_removed(metadata, tmp_path):
    assert metadata.values("alice", SERVER) == {}
    metadata.change("alice", "F1", {"/shared/comment": b"a\tb\\\r\n", "/private/x": b""})
    metadata.change("alice", SERVER, {"/private/y": "é".encode()})
    file = tmp_path / "accounts/alice/metadata"
    assert file.read_text() == (
        "metadata 1\n-\t/private/y\té\nF1\t/private/x\t\nF1\t/shared/comment\ta\\x09b\\x5c\\x0d\\x0a\n"
    )
    assert metadata.values("alice", "F1") == {"/shared/comment": b"a\tb\\\r\n", "/private/x": b""}
    metadata.change("alice", "F1", {"/shared/comment": None, "/private/none": None})
    assert metadata.values("alice", "F1") == {"/private/x": b""}


def test_what_belongs_to_no_mailbox_is_dropped(metadata):
    for place in ("F1", "F2", "bob/F3", SERVER):
        metadata.change("alice", place, {"/private/x": b"1"})
    metadata.change("alice", "F1", {"/private/x": b"2"}, {"F1"})
    assert metadata.values("alice", "F1") == {"/private/x": b"2"}
    assert metadata.values("alice", "F2") == {}
    assert metadata.values("alice", "bob/F3") == metadata.values("alice", SERVER) == {"/private/x": b"1"}


def test_there_are_limits(metadata, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    monkeypatch.setattr(module, "MAX_ALL_ENTRIES", 3)
    monkeypatch.setattr(module, "MAX_OCTETS", 10)
    metadata.change("alice", "F1", {"/private/a": b"1", "/private/b": b"1"})
    with pytest.raises(TooMany, match="mailbox"):
        metadata.change("alice", "F1", {"/private/a": b"2", "/private/c": b"1"})
    assert metadata.values("alice", "F1") == {"/private/a": b"1", "/private/b": b"1"}
    metadata.change("alice", "F2", {"/private/a": b"1"})
    with pytest.raises(TooMany, match="account has"):
        metadata.change("alice", "F3", {"/private/a": b"1"})
    with pytest.raises(TooMany, match="octets"):
        metadata.change("alice", "F2", {"/private/a": b"x" * 9})
    # What is too much already can be made less.
    monkeypatch.setattr(module, "MAX_ENTRIES", 1)
    metadata.change("alice", "F1", {"/private/a": None})


@given(st.dictionaries(st.sampled_from(["/private/a", "/shared/b c"]), st.binary(max_size=40), max_size=2))
def test_any_octets_come_back(entries):
    values = {"F1": entries} if entries else {}
    assert parse_values(format_values(values)) == values


@pytest.mark.parametrize(
    "octets",
    [b"", b"metadata 1", b"metadata 2\n", b"metadata 1\nF1\t/a\n", b"metadata 1\nF1\ta\tx\n",
     b"metadata 1\nF1\t/a\t\\n\n", b"metadata 1\nF\xc3\t/a\t\n"],
)  # fmt: skip
def test_what_is_damaged(octets):
    with pytest.raises(ValueError, match=r"^\d: "):
        parse_values(octets)
