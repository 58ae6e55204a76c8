"""SELECT, CLOSE and their kin, beyond the dialogs of tests/cases/imap: select, close, unselect, condstore, qresync."""

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
