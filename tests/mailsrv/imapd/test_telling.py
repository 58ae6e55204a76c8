"""What surrounds a command: reasons of the store and failures as NO, a mailbox that is gone, and what waits."""

from mailsrv.errors import StorageError
from mailsrv.imap.answers import no, ok
from mailsrv.imapd.telling import GONE, guard, tell
from mailsrv.store.refusals import MailboxGone, MailboxThere
from tests.fakes.imap_client import House, message


def raise_it(error):
    raise error


def test_reasons_become_no(tmp_path) -> None:
    client = House(tmp_path).client()
    answer = guard(client.state, lambda: raise_it(MailboxThere("it is there")), renumber=True)
    assert answer == no("it is there", "ALREADYEXISTS")


def test_failures_are_logged_and_say_nothing_of_the_disk(tmp_path) -> None:
    house = House(tmp_path)
    client = house.client()
    answer = guard(client.state, lambda: raise_it(StorageError("/data: broken")), renumber=True)
    assert answer.code == "UNAVAILABLE"
    assert house.log.named("storage") == [{"path": "alice", "reason": "/data: broken"}]


def test_a_mailbox_that_is_gone_ends_the_selection(tmp_path) -> None:
    client = House(tmp_path).client(enabled="IMAP4rev2")
    client.do("CREATE x")
    client.do("SELECT x")
    client.house.reader().delete("x")
    client.heard = b""
    answer = guard(client.state, lambda: raise_it(MailboxGone("gone")), renumber=False)
    client._flush()
    assert (answer.code, client.heard, client.state.view) == ("NONEXISTENT", GONE, None)
    assert client.do("CHECK")[0].startswith("BAD")


def test_another_mailbox_that_is_gone_ends_nothing(tmp_path) -> None:
    client = House(tmp_path).client(selected="INBOX")
    answer = guard(client.state, lambda: raise_it(MailboxGone("gone")), renumber=False)
    assert answer.code == "NONEXISTENT" and client.do("CHECK") == ["OK nothing more is new"]


def test_who_does_not_know_closed_is_told_bye_and_answered(tmp_path) -> None:
    client = House(tmp_path).client()
    client.do("CREATE x")
    client.do("SELECT x")
    client.house.reader().delete("x")
    lines = client.do("CREATE y")
    assert lines[0].startswith("* BYE") and lines[1].startswith("OK [MAILBOXID")
    assert client.state.view is None and client.do("NOOP") == []


def test_a_store_that_fails_while_news_are_looked_for_keeps_the_answer(tmp_path, monkeypatch) -> None:
    house = House(tmp_path)
    client = house.client(selected="INBOX")
    monkeypatch.setattr(type(client.state.view), "sync", lambda view: raise_it(StorageError("broken")))
    assert tell(client.state, ok("done"), renumber=True) == ok("done")
    assert house.log.named("storage")


def test_a_mailbox_that_goes_while_news_are_looked_for(tmp_path, monkeypatch) -> None:
    client = House(tmp_path).client(selected="INBOX")
    monkeypatch.setattr(type(client.state.view), "sync", lambda view: raise_it(MailboxGone("gone")))
    assert tell(client.state, ok("done"), renumber=True) == ok("done")
    assert client.state.view is None


def test_with_qresync_the_client_is_told_what_it_may_believe(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(message(), message())
    one = house.client(selected="INBOX", enabled="QRESYNC")
    before = one.state.view.modseq
    two = house.client(selected="INBOX")
    two.do("STORE 1 +FLAGS.SILENT (\\Deleted)")
    two.do("EXPUNGE")
    assert one.do("FETCH 2 (UID)")[-1].startswith(f"OK [HIGHESTMODSEQ {before}]")
    assert one.do("NOOP") == ["* VANISHED 1", "OK nothing more is new"]
