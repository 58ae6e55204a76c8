"""Commands about the session itself."""

from mailsrv import __version__
from tests.fakes.imap_client import House, message


def test_noop_and_check_look_for_new_files(tmp_path) -> None:
    house = House(tmp_path)
    client = house.client(selected="INBOX")
    for count, command in enumerate(["NOOP", "CHECK"], 1):
        house.deliver(message())
        assert client.do(command) == [f"* {count} EXISTS", "OK nothing more is new"]
    assert client.do("UNSELECT")[-1].startswith("OK")
    assert client.do("NOOP") == ["OK nothing more is new"]


def test_id_and_namespace(tmp_path) -> None:
    client = House(tmp_path).client()
    assert client.do('ID ("name" "somebody")') == [
        f'* ID ("name" "mailsrv" "version" "{__version__}")', "OK pleased to meet you"
    ]  # fmt: skip
    assert client.do("NAMESPACE") == ['* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL', "OK these are all"]


def test_enable_and_logout(tmp_path) -> None:
    client = House(tmp_path).client()
    assert client.do("ENABLE QRESYNC") == ["* ENABLED QRESYNC", "OK enabled"]
    assert client.core.enabled == {"QRESYNC", "CONDSTORE"}
    assert client.do("LOGOUT") == ["* BYE until next time", "OK logged out"]


def test_compress(tmp_path) -> None:
    client = House(tmp_path).client()
    assert client.do("COMPRESS DEFLATE") == ["OK DEFLATE active"]
    assert client.core.wants_compression


def test_who_enables_modseqs_with_a_mailbox_selected_is_told_its_highest(tmp_path) -> None:
    """RFC 7162 section 3.1."""
    client = House(tmp_path).client(selected="INBOX")
    lines = client.do("ENABLE QRESYNC")
    assert lines[0].startswith("* OK [HIGHESTMODSEQ ") and lines[1:] == ["* ENABLED QRESYNC", "OK enabled"]
    assert client.do("ENABLE CONDSTORE") == ["* ENABLED", "OK enabled"]
