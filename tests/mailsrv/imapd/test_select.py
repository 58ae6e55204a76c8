"""SELECT, CLOSE and their kin, beyond the dialogs of tests/cases/imap: select, close, unselect, condstore, qresync."""

from mailsrv.store.opened import OpenMailbox
from tests.fakes.imap_client import House, message


def test_a_mailbox_that_is_selected_again(tmp_path) -> None:
    house = House(tmp_path)
    client = house.client(selected="INBOX")
    house.deliver(message())
    heard = client.do("SELECT INBOX")
    assert heard[0] == "* OK [CLOSED] the previous mailbox is closed"
    assert "* 1 EXISTS" in heard


def test_close_needs_no_right_to_expunge_in_a_read_only_view(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(message())
    one, two = house.client(selected="INBOX"), house.client(selected="INBOX", examine=True)
    one.do("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert two.do("CLOSE") == ["OK closed"]
    assert house.flags() == {1: 8}
    assert one.do("CLOSE") == ["OK closed"]
    assert house.flags() == {}


def test_qresync_with_numbers_that_the_client_knows(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(*[message()] * 5)
    client = house.client(enabled="QRESYNC", selected="INBOX")
    view = client.state.view
    known = f"{view.box.uidvalidity} {view.modseq}"
    other = house.client(selected="INBOX")
    other.do("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    other.do("EXPUNGE")
    heard = client.do(f"SELECT INBOX (QRESYNC ({known} 1:5 (1,3 1,3)))")
    assert "* VANISHED (EARLIER) 2,4" in heard
    heard = client.do(f"SELECT INBOX (QRESYNC ({known} (1,3 1,3)))")
    assert "* VANISHED (EARLIER) 2,4" in heard


def test_new_messages_are_among_what_qresync_tells(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(message())
    client = house.client(enabled="QRESYNC", selected="INBOX")
    known = f"{client.state.view.box.uidvalidity} {client.state.view.modseq}"
    client.do("UNSELECT")
    house.deliver(message())
    heard = client.do(f"SELECT INBOX (QRESYNC ({known}))")
    assert [line for line in heard if "FETCH" in line] == [
        f"* 2 FETCH (UID 2 FLAGS () MODSEQ ({client.state.view.modseq}))"
    ]
    assert not [line for line in heard if "VANISHED" in line]


def test_what_goes_while_a_mailbox_is_selected_is_told_once(tmp_path, monkeypatch) -> None:
    """Between the look at the mailbox and the look at what has changed, another session expunges a message."""
    house = House(tmp_path)
    house.deliver(*[message()] * 3)
    other = house.client(selected="INBOX")
    client = house.client(enabled="QRESYNC")
    box = house.box()
    known = f"{box.uidvalidity} {box.view()[1]}"
    other.do("STORE 2 +FLAGS.SILENT (\\Deleted)")
    changes = OpenMailbox.changes

    def late(self, *arguments):
        monkeypatch.setattr(OpenMailbox, "changes", changes)
        other.do("EXPUNGE")
        return changes(self, *arguments)

    monkeypatch.setattr(OpenMailbox, "changes", late)
    heard = client.do(f"SELECT INBOX (QRESYNC ({known}))")
    assert "* 3 EXISTS" in heard and not any("VANISHED" in line for line in heard)
    assert client.do("NOOP")[0] == "* VANISHED 2"


def test_qresync_behind_uidonly_has_no_numbers(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(message())
    client = house.client(enabled="QRESYNC UIDONLY", selected="INBOX")
    known = f"{client.state.view.box.uidvalidity} {client.state.view.modseq}"
    client.do("UNSELECT")
    house.deliver(message())
    heard = client.do(f"SELECT INBOX (QRESYNC ({known}))")
    assert [line for line in heard if "FETCH" in line] == [
        f"* 2 UIDFETCH (FLAGS () MODSEQ ({client.state.view.modseq}))"
    ]


def test_behind_uidonly_no_number_is_told(tmp_path) -> None:
    house = House(tmp_path)
    house.deliver(message())
    assert any("[UNSEEN 1]" in line for line in house.client().do("SELECT INBOX"))
    assert not any("UNSEEN" in line for line in house.client(enabled="UIDONLY").do("SELECT INBOX"))
