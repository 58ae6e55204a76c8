"""STATUS; its items are shown in tests/cases/imap/status.dialog."""

from types import SimpleNamespace

from mailsrv.imap.mailbox_arguments import StatusItem
from mailsrv.imapd.status import _FROM_COUNTERS
from tests.fakes.imap_client import House, message


def test_every_item_is_known() -> None:
    assert set(StatusItem) - set(_FROM_COUNTERS) == {StatusItem.APPENDLIMIT, StatusItem.DELETED_STORAGE}


def test_what_an_expunge_would_free(tmp_path) -> None:
    house = House(tmp_path)
    house.services.config.limits = SimpleNamespace(message_size=1000)
    octets = message()
    house.deliver(octets, message(body="longer than the first"))
    client = house.client(selected="INBOX")
    assert client.do("STATUS INBOX (DELETED-STORAGE)")[0] == "* STATUS INBOX (DELETED-STORAGE 0)"
    client.do("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert client.do("STATUS INBOX (DELETED-STORAGE APPENDLIMIT)")[0] == (
        f"* STATUS INBOX (DELETED-STORAGE {len(octets)} APPENDLIMIT 1000)"
    )


def test_new_files_are_counted(tmp_path) -> None:
    house = House(tmp_path)
    client = house.client()
    house.deliver(message())
    assert client.do("STATUS INBOX (MESSAGES)")[0] == "* STATUS INBOX (MESSAGES 1)"


def test_asking_for_modseqs_shows_that_the_client_knows_them(tmp_path) -> None:
    client = House(tmp_path).client()
    client.do("STATUS INBOX (HIGHESTMODSEQ)")
    assert "CONDSTORE" in client.core.enabled
