"""ENABLE METADATA; the dialog tests/cases/imap/metadata-enable shows what is told when."""

import tracemalloc

import pytest

from mailsrv.config.schema import Config
from mailsrv.errors import StorageError
from mailsrv.imapd import annotations as module
from tests.fakes.imap_client import House


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.services.config = Config("host.example", str(tmp_path))
    return made


def test_values_are_read_only_when_their_files_have_changed(house, monkeypatch):
    client, other = house.client(enabled="METADATA"), house.client()
    found = []
    find = module.find_values
    monkeypatch.setattr(module, "find_values", lambda state, name: found.append(name) or find(state, name))
    for _ in range(3):
        client.do("NOOP")
    assert found == []
    other.do('SETMETADATA INBOX (/private/comment "x")')
    assert client.do("NOOP")[0] == "* METADATA INBOX /private/comment"
    assert found == [""]


def test_a_mailbox_that_comes_with_values_is_no_news(house):
    client, other = house.client(enabled="METADATA"), house.client()
    other.do("CREATE x")
    other.do('SETMETADATA x (/private/comment "x")')
    assert client.do("NOOP") == ["OK nothing more is new"]
    other.do('SETMETADATA x (/private/comment "y")')
    other.do("RENAME x y")
    assert client.do("NOOP")[0] == "* METADATA y /private/comment"


def test_who_uses_notify_says_there_what_it_wants(house):
    client, other = house.client(enabled="METADATA"), house.client()
    client.do("NOTIFY SET (personal (MailboxName))")
    other.do('SETMETADATA INBOX (/private/comment "x")')
    assert client.do("NOOP") == ["OK nothing more is new"]
    client.do("NOTIFY NONE")


def test_what_cannot_be_found_out_is_told_another_time(house, monkeypatch):
    client, other = house.client(enabled="METADATA"), house.client()
    other.do('SETMETADATA INBOX (/private/comment "x")')

    def broken(state, name):
        raise StorageError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(module, "find_values", broken)
        assert client.do("NOOP") == ["OK nothing more is new"]
    assert client.do("NOOP")[0] == "* METADATA INBOX /private/comment"


def test_unauthenticate_ends_it(house):
    client = house.client(enabled="METADATA")
    client.do("UNAUTHENTICATE")
    assert client.state.annotations is None


def test_a_session_keeps_no_values(house):
    other = house.client()
    for number in range(30):
        other.do(f'SETMETADATA "" (/private/v{number} "{"x" * 30000}")')
    state = house.client().state
    module.Annotations(state, True)  # what is kept by others, too, is there now
    tracemalloc.start()
    try:
        kept = module.Annotations(state, True)
        assert tracemalloc.get_traced_memory()[0] < 30_000
    finally:
        tracemalloc.stop()
    assert kept is not None


def test_of_very_many_entries_all_are_told_when_one_changes(house, monkeypatch):
    """There is room for the digests of one mailbox: the server's, which are looked at first."""
    monkeypatch.setattr(module, "_ROOM", 800)
    client, other = house.client(enabled="METADATA"), house.client()
    many = " ".join(f'/private/e{number} "x"' for number in range(5))
    other.do(f"SETMETADATA INBOX ({many})")
    told = "* METADATA INBOX " + " ".join(f"/private/e{number}" for number in range(5))
    assert client.do("NOOP")[0] == told
    other.do('SETMETADATA "" (/private/comment "y")')
    assert client.do("NOOP")[0] == '* METADATA "" /private/comment'
    other.do('SETMETADATA INBOX (/private/e3 "y")')
    assert client.do("NOOP")[0] == told
    other.do("SETMETADATA INBOX (/private/e3 NIL)")
    assert client.do("NOOP")[0] == "* METADATA INBOX /private/e0 /private/e1 /private/e2 /private/e4"
    other.do('SETMETADATA INBOX (/private/e4 "x")')
    assert client.do("NOOP") == ["OK nothing more is new"]
