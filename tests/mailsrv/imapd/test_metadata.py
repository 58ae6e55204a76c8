"""The commands on values; dialogs in tests/cases/imap/metadata show the rest."""

import pytest

from mailsrv.config.schema import Config, ReportsConfig
from mailsrv.store import metadata as store
from mailsrv.store.metadata import MAX_VALUE
from mailsrv.imapd.metadata import postmaster_of

from tests.fakes.imap_client import House


@pytest.mark.parametrize(
    ("domains", "whom", "told"),
    [
        ([], "postmaster", "postmaster@mx.example.org"),
        (["example.org"], "help", "help@example.org"),
        (["example.org", "mx.example.org"], "help", "help@mx.example.org"),
        (["example.org"], "x@example.net", "x@example.net"),
    ],
)
def test_whom_to_write_to(domains, whom, told):
    config = Config("mx.example.org", "/data", domains=domains, reports=ReportsConfig(postmaster=whom))
    assert postmaster_of(config) == told


def test_values_are_bounded(tmp_path, monkeypatch):
    client = House(tmp_path).client()
    large = f"SETMETADATA INBOX (/private/a {{{MAX_VALUE + 1}+}}\r\n{'x' * (MAX_VALUE + 1)})"
    assert client.do(large)[0].startswith(f"NO [METADATA MAXSIZE {MAX_VALUE}] ")
    monkeypatch.setattr(store, "MAX_ENTRIES", 1)
    assert client.do('SETMETADATA INBOX (/private/a "1" /shared/b "2")')[0].startswith("NO [METADATA TOOMANY] ")
    assert client.do("GETMETADATA INBOX (/private/a)") == ["* METADATA INBOX (/private/a NIL)", "OK that is all"]


def test_of_two_files_both_change_or_none(tmp_path, monkeypatch):
    house = House(tmp_path)
    alice, bob = house.client(), house.client("bob")
    alice.do("SETACL INBOX bob lrw")
    alice.do('SETMETADATA INBOX (/shared/a "1" /shared/b "1")')
    bob.do('SETMETADATA "Other Users/alice/INBOX" (/private/a "old")')
    monkeypatch.setattr(store, "MAX_ENTRIES", 2)
    refused = bob.do('SETMETADATA "Other Users/alice/INBOX" (/private/a "new" /private/b "new" /shared/c "1")')
    assert refused[0].startswith("NO [METADATA TOOMANY] ")
    assert bob.do('GETMETADATA "Other Users/alice/INBOX" (/private/a /private/b /shared/a)')[0] == (
        '* METADATA "Other Users/alice/INBOX" (/private/a "old" /private/b NIL /shared/a "1")'
    )
