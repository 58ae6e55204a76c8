"""Another server as a source, as far as it answers."""

import pytest

from mailsrv.cli import import_imap
from mailsrv.cli.import_imap import ImapPlace, ImapSource
from mailsrv.cli.import_source import SourceLost, Unreadable
from mailsrv.errors import Refused
from mailsrv.system.imap_client import Security
from tests.fakes.imap_server import FakeImapServer, FakeMailbox

DATE = " 1-Jan-2024 00:00:09 +0000"


def messages(*uids, flags="\\Seen work"):
    return {uid: (flags, DATE, f"Subject: {uid}\r\n\r\n".encode()) for uid in uids}


def open_source(server, waits=None, password="secret"):
    place = ImapPlace("127.0.0.1", server.port, Security.PLAIN, True, "alice", password)
    return ImapSource(place, (waits if waits is not None else []).append)


def read(source, known=(), name="INBOX"):
    [origin] = [one for one in source.mailboxes() if one.name == name]
    found = []
    for item in source.items(origin, known):
        found.append((item.key, item.pieces and b"".join(item.pieces)))
    return found


def test_messages_by_uid():
    with FakeImapServer({"INBOX": FakeMailbox(messages(5, 9, 12))}) as server:
        source = open_source(server)
        [origin] = source.mailboxes()
        assert (origin.name, origin.count) == ("INBOX", 3)
        first = next(source.items(origin, ()))
        assert (first.key, first.label, first.flags, first.received) == (
            "7.5", "UID 5", {"\\Seen", "work"}, 1704067209,
        )  # fmt: skip
        assert read(source, {"7.9"}) == [
            ("7.5", b"Subject: 5\r\n\r\n"),
            ("7.9", None),
            ("7.12", b"Subject: 12\r\n\r\n"),
        ]
        assert "UID FETCH 5,12 (UID BODY.PEEK[])" in server.said
        source.close()


def test_many_and_large_ones(monkeypatch):
    monkeypatch.setattr(import_imap, "_WINDOW", 3)
    monkeypatch.setattr(import_imap, "_GROUP", 2)
    monkeypatch.setattr(import_imap, "_PIECE", 100)
    boxes = {"INBOX": FakeMailbox(messages(*range(1, 9)))}
    boxes["INBOX"].messages[4] = ("", DATE, b"x" * 250)
    with FakeImapServer(boxes) as server:
        source = open_source(server)
        found = read(source)
        assert [key for key, _ in found] == [f"7.{uid}" for uid in range(1, 9)]
        assert found[3][1] == b"x" * 250
        assert sum("BODY.PEEK[]<" in one for one in server.said) == 3
        source.close()


def test_mailboxes_by_name_and_use():
    boxes = {
        "INBOX": FakeMailbox(delimiter="."),
        "INBOX.Gesendet": FakeMailbox(attributes="\\Sent \\Subscribed", delimiter="."),
        "INBOX.Papierkorb": FakeMailbox(delimiter="."),
        "INBOX.a/b.&AOQ-": FakeMailbox(delimiter="."),
        "INBOX.Top": FakeMailbox(attributes="\\Noselect", delimiter="."),
        "INBOX.All Mail": FakeMailbox(attributes="\\All", delimiter="."),
        "shared.x": FakeMailbox(delimiter="."),
    }
    namespace = '(("INBOX." ".")) NIL (("shared." "."))'
    with FakeImapServer(boxes, "IMAP4rev1 AUTH=PLAIN NAMESPACE", namespace=namespace) as server:
        source = open_source(server)
        found = source.mailboxes()
        assert [one.name for one in found if one.is_view] == ["All Mail"]
        assert [(one.name, one.key, one.special_use, one.subscribed) for one in found] == [
            ("INBOX", "INBOX", "", True),
            ("All Mail", "INBOX.All Mail", "", False),
            ("Gesendet", "INBOX.Gesendet", "\\Sent", True),
            ("Papierkorb", "INBOX.Papierkorb", "\\Trash", False),
            ("a_b/ä", "INBOX.a/b.&AOQ-", "", False),
        ]
        source.close()


def test_a_message_that_the_server_cannot_give():
    boxes = {"INBOX": FakeMailbox(messages(1, 3))}
    boxes["INBOX"].messages[2] = ("", DATE, None)
    with FakeImapServer(boxes) as server:
        source = open_source(server)
        [origin] = source.mailboxes()
        items = source.items(origin, ())
        assert b"".join(next(items).pieces) == b"Subject: 1\r\n\r\n"
        with pytest.raises(Unreadable):
            list(next(items).pieces)
        assert b"".join(next(items).pieces) == b"Subject: 3\r\n\r\n"
        source.close()


def test_a_connection_that_breaks_is_made_again(monkeypatch):
    monkeypatch.setattr(import_imap, "_GROUP", 2)
    waits = []
    with FakeImapServer({"INBOX": FakeMailbox(messages(*range(1, 8)))}, breaks=[10, 6]) as server:
        source = open_source(server, waits)
        assert [key for key, _ in read(source)] == [f"7.{uid}" for uid in range(1, 8)]
        assert waits
        source.close()


def test_a_large_message_goes_on_where_its_connection_broke(monkeypatch):
    """Whichever command it dies at: each message comes whole, once."""
    monkeypatch.setattr(import_imap, "_PIECE", 100)
    large = bytes(range(256)) * 2
    boxes = {"INBOX": FakeMailbox(messages(1, 3, 4) | {2: ("", DATE, large)})}
    small = [(f"7.{number}", b"Subject: %d\r\n\r\n" % number) for number in (1, 3, 4)]
    expected = sorted([*small, ("7.2", large)])
    for commands in range(3, 20):
        waits = []
        with FakeImapServer(boxes, breaks=[commands, 6]) as server:
            source = open_source(server, waits)
            assert read(source) == expected, commands
            pieces = [one for one in server.said if "BODY.PEEK[]<" in one]
            assert len(set(pieces)) == 6 and len(pieces) <= 8
            source.close()


def test_messages_that_get_other_numbers_meanwhile(monkeypatch):
    monkeypatch.setattr(import_imap, "_GROUP", 1)
    boxes = {"INBOX": FakeMailbox(messages(1, 2))}
    with FakeImapServer(boxes, breaks=[9]) as server:
        source = open_source(server)
        [origin] = source.mailboxes()
        items = source.items(origin, ())
        assert next(items).key == "7.1"
        boxes["INBOX"].validity = 8
        server.breaks = []
        with pytest.raises(SourceLost, match="other numbers meanwhile"):
            list(items)
        assert [item.key for item in source.items(origin, ())] == ["8.1", "8.2"]
        source.close()


def test_one_that_is_lost_for_good():
    waits = []
    with FakeImapServer({"INBOX": FakeMailbox(messages(1))}, breaks=[7, 0, 0, 0, 0, 0]) as server:
        source = open_source(server, waits)
        with pytest.raises(SourceLost, match="INBOX: 127.0.0.1"):
            read(source)
        assert waits == [1.0, 4.0, 9.0]
        source.close()


def test_who_is_not_let_in():
    with FakeImapServer({}) as server:
        with pytest.raises(Refused, match="not so"):
            open_source(server, password="wrong")
        port = server.port
    with pytest.raises(Refused, match=f"port {port}"):
        open_source(server)


def test_who_speaks_no_imap_is_not_asked_again():
    waits = []
    with FakeImapServer({"INBOX": FakeMailbox(messages(1))}) as server:
        source = open_source(server, waits)
        server.answers["EXAMINE"] = b"* %b EXISTS\r\nTAG OK done\r\n" % (b"9" * 5000)
        with pytest.raises(SourceLost, match="INBOX: 127.0.0.1: it sends what is no number: 9{30}$"):
            read(source)
        assert waits == []
        source.close()


@pytest.mark.parametrize("shown", [b"", b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "x" RFC822.SIZE 3)\r\n'])
def test_who_says_that_there_are_messages_and_does_not_show_them(shown):
    """They would be asked for four million times."""
    with FakeImapServer({"INBOX": FakeMailbox(messages(1))}) as server:
        source = open_source(server)
        server.answers["EXAMINE"] = b"* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nTAG OK done\r\n"
        server.answers["FETCH"] = shown + b"TAG OK done\r\n"
        with pytest.raises(SourceLost, match="says that there are 4294967295 messages, and does not show them"):
            read(source)
        assert sum(one.startswith("FETCH") for one in server.said) <= 11
        source.close()


def test_a_message_without_end(monkeypatch):
    monkeypatch.setattr(import_imap, "_PIECE", 10)
    monkeypatch.setattr(import_imap, "_MAX_SIZE", 95)
    boxes = {"INBOX": FakeMailbox({1: ("", DATE, b"x" * 20)})}
    with FakeImapServer(boxes) as server:
        source = open_source(server)
        [origin] = source.mailboxes()
        server.answers["UID"] = b"* 1 FETCH (UID 1 BODY[]<0> {10}\r\n0123456789)\r\nTAG OK done\r\n"
        [item] = source.items(origin, ())
        with pytest.raises(Unreadable, match="more than 95 octets"):
            list(item.pieces)
        source.close()
