"""The IMAP client, against a small server on loopback."""

import imaplib

import pytest

from mailsrv.system import imap_client
from mailsrv.system.imap_client import (
    ImapClient,
    ImapLost,
    ImapNonsense,
    ImapRefused,
    Listed,
    Security,
    _split_namespaces,
)
from tests.fakes.imap_server import SECONDS, FakeImapServer, FakeMailbox

DATE = "17-Jul-2020 02:44:25 -0700"
BODY = b"Subject: x\r\n\r\nbody ) with {3}\r\n"


def connect(server: FakeImapServer, password: str = "secret") -> ImapClient:
    client = ImapClient("127.0.0.1", server.port, Security.PLAIN, True, SECONDS)
    try:
        client.login("alice", password)
    except BaseException:
        client.close()
        raise
    return client


def test_mailboxes_and_messages_are_read_and_nothing_is_changed() -> None:
    boxes = {
        "INBOX": FakeMailbox({3: ("\\Seen $x", DATE, BODY), 9: ("", DATE, b"")}, "\\HasNoChildren \\Subscribed"),
        'odd "name"': FakeMailbox({}, "\\Sent"),
    }
    with FakeImapServer(boxes) as server:
        client = connect(server)
        assert client.namespaces() == []
        assert client.list_mailboxes() == [
            Listed(frozenset({"\\hasnochildren", "\\subscribed"}), b"/", b"INBOX"),
            Listed(frozenset({"\\sent"}), b"/", b'odd "name"'),
        ]
        assert (client.count(b"INBOX"), client.count(b"none")) == (2, 0)
        assert client.examine(b'odd "name"') == (0, 7)
        assert client.examine(b"INBOX") == (2, 7)
        first, second = client.describe(1, 2)
        assert (first.uid, first.flags, first.date, first.size) == (3, {"\\Seen", "$x"}, DATE.encode(), len(BODY))
        assert (second.uid, second.flags) == (9, frozenset())
        assert client.bodies([3, 9]) == {3: BODY, 9: b""}
        assert list(client.pieces(3, 7)) == [BODY[at : at + 7] for at in range(0, len(BODY), 7)]
        assert client.expunged() == 0
        client.close()
        assert {one.split()[0] for one in server.said} == {
            "CAPABILITY", "AUTHENTICATE", "LIST", "LSUB", "STATUS", "EXAMINE", "FETCH", "UID", "LOGOUT",
        }  # fmt: skip
        assert all("PEEK" in one for one in server.said if "BODY" in one)


def test_login_without_sasl_and_wrong_passwords() -> None:
    with FakeImapServer({}, "IMAP4rev1") as server:
        connect(server).close()
        with pytest.raises(ImapRefused, match="not so"):
            connect(server, "other")
        with pytest.raises(ImapRefused, match="ASCII"):
            connect(server, "pässword")
    with FakeImapServer({}, password="pässword") as server:
        connect(server, "pässword").close()


def test_special_use_is_asked_for_where_it_can_be() -> None:
    with FakeImapServer({}, "IMAP4rev1 AUTH=PLAIN LIST-EXTENDED SPECIAL-USE") as server:
        client = connect(server)
        client.list_mailboxes()
        client.close()
        assert 'LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED)' in server.said


def test_namespaces() -> None:
    namespace = '(("INBOX." ".")) (("~" "/")("*" "/")) NIL'
    with FakeImapServer({}, "IMAP4rev1 AUTH=PLAIN NAMESPACE", namespace=namespace) as server:
        client = connect(server)
        assert client.namespaces() == [[(b"INBOX.", b".")], [(b"~", b"/"), (b"*", b"/")], []]
        client.close()
    assert _split_namespaces(b'(("a(" "/")) NIL (("b" "/"))') == [b'(("a(" "/"))', b"", b'(("b" "/"))']


def test_no_connection_and_one_that_breaks() -> None:
    with FakeImapServer({}) as server:
        port = server.port
        server.breaks = [4]
        client = connect(server)
        with pytest.raises(ImapLost):
            client.list_mailboxes()
            client.list_mailboxes()
        client.close()
    with pytest.raises(ImapLost):
        ImapClient("127.0.0.1", port, Security.PLAIN, True, SECONDS)


def test_bodies_in_every_form_that_a_server_may_choose() -> None:
    """As a string, as a literal of RFC 3516, with the UID behind it, and other answers in between."""
    answer = (
        b'* 1 FETCH (UID 1 BODY[] "a \\"b\\" \\\\ UID 9")\r\n* 7 EXISTS\r\n* 2 FETCH (FLAGS (\\Seen) UID 2)\r\n'
        b'* 2 FETCH (BODY[] ~{3}\r\na\0b UID 2)\r\n* 3 FETCH (UID 3 BODY[] "")\r\n* 4 FETCH (UID 4 BODY[] NIL)\r\n'
        b'* 5 FETCH (UID 5 BODY[] {2}\r\nxy FLAGS (\\Seen))\r\n* 6 FETCH (UID 6 BODY[]<0> "part")\r\nTAG OK done\r\n'
    )
    with FakeImapServer({"INBOX": FakeMailbox({1: ("", DATE, BODY)})}) as server:
        client = connect(server)
        client.examine(b"INBOX")
        server.answers["UID"] = answer
        assert client.bodies([1, 2, 3, 4, 5, 6]) == {
            1: b'a "b" \\ UID 9', 2: b"a\0b", 3: b"", 5: b"xy", 6: b"part",
        }  # fmt: skip
        client.close()


def test_too_much_and_nonsense() -> None:
    with FakeImapServer({"INBOX": FakeMailbox({1: ("", DATE, BODY)})}) as server:
        client = connect(server)
        client.examine(b"INBOX")
        server.answers["UID"] = b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\n"
        with pytest.raises(ImapLost, match="more than"):
            client.bodies([1])
        client.close()
        client = connect(server)
        server.answers["LIST"] = b"* LIST (x\r\n* LIST nonsense\r\nTAG OK done\r\n"
        assert client.list_mailboxes() == []
        server.answers["LIST"] = b"what?\r\n"
        with pytest.raises(ImapLost):
            client.list_mailboxes()
        client.close()


def test_tls_is_verified() -> None:
    with FakeImapServer({}) as server, pytest.raises(ImapLost, match="SSL"):
        ImapClient("127.0.0.1", server.port, Security.TLS, True, SECONDS)
    with FakeImapServer({}) as server, pytest.raises(ImapLost, match="TLS"):
        ImapClient("127.0.0.1", server.port, Security.STARTTLS, True, SECONDS)


MANY = b"9" * 5000  # digits, more than int() reads


@pytest.mark.parametrize(
    ("verb", "answer", "ask"),
    [
        ("EXAMINE", b"* %b EXISTS\r\n" % MANY, lambda client: client.examine(b"INBOX")),
        ("EXAMINE", b"* 1 EXISTS\r\n* OK [UIDVALIDITY %b] x\r\n" % MANY, lambda client: client.examine(b"INBOX")),
        ("STATUS", b'* STATUS "INBOX" (MESSAGES %b)\r\n' % MANY, lambda client: client.count(b"INBOX")),
        ("FETCH", b'* 1 FETCH (UID %b FLAGS () INTERNALDATE "x")\r\n' % MANY, lambda client: client.describe(1, 1)),
        (
            "FETCH",
            b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "x" RFC822.SIZE %b)\r\n' % MANY,
            lambda client: client.describe(1, 1),
        ),
        ("UID", b'* 1 FETCH (UID %b BODY[] "x")\r\n' % MANY, lambda client: client.bodies([1])),
        ("UID", b"* 1 FETCH (UID 1 BODY[] {%b}\r\nx)\r\n" % MANY, lambda client: client.bodies([1])),
        ("UID", b'* 1 FETCH (UID 1 BODY[]<0> "12345678")\r\n', lambda client: list(client.pieces(1, 7))),
        ("LIST", b'* LIST () "/" ' + b"x" * 2_000_000, lambda client: client.list_mailboxes()),
        ("LIST", b'* LIST () "/" x\r\n' * 70_000, lambda client: client.list_mailboxes()),
        ("FETCH", b"+ \r\n" * 70_000, lambda client: client.describe(1, 1)),
    ],
)
def test_what_is_no_imap_is_told_in_one_line(verb, answer, ask, monkeypatch) -> None:
    monkeypatch.setattr(imaplib, "_MAXLINE", 1_000_000)  # as it is where no test of the same process raises it
    with FakeImapServer({"INBOX": FakeMailbox({1: ("", DATE, BODY)})}) as server:
        client = connect(server)
        client.examine(b"INBOX")
        server.answers[verb] = answer + b"TAG OK done\r\n"
        with pytest.raises(ImapNonsense) as raised:
            ask(client)
        assert len(str(raised.value)) < 100 and "digits" not in str(raised.value)
        client.close()


def test_numbers_where_something_else_stands_are_none() -> None:
    with FakeImapServer({"INBOX": FakeMailbox({})}) as server:
        client = connect(server)
        server.answers["EXAMINE"] = b"* EXISTS {1}\r\n5\r\n* UIDVALIDITY {1}\r\n5\r\nTAG OK done\r\n"
        assert client.examine(b"INBOX") == (0, 0)
        client.close()


def test_braces_at_the_end_of_a_text_announce_nothing() -> None:
    with FakeImapServer({}) as server:
        server.answers["LIST"] = b"* OK {a text in braces that is long enough}\r\n* OK all is well}\r\nTAG OK done\r\n"
        client = connect(server)
        assert client.list_mailboxes() == []
        client.close()


def test_endless_answers_to_a_login() -> None:
    with FakeImapServer({}) as server:
        server.answers["AUTHENTICATE"] = b"* OK\r\n" * 5000 + b"TAG OK done\r\n"
        with pytest.raises(ImapNonsense, match="more than"):
            connect(server)
        server.answers["AUTHENTICATE"] = b"+ \r\n+ \r\n"
        with pytest.raises(ImapNonsense, match="asking"):
            connect(server)


def test_a_server_has_not_more_mailboxes_than_we_ask_about(monkeypatch) -> None:
    monkeypatch.setattr(imap_client, "MAX_MAILBOXES", 2)
    with FakeImapServer({name: FakeMailbox({}) for name in "ab"}) as server:
        client = connect(server)
        assert len(client.list_mailboxes()) == 2
        server.mailboxes["c"] = FakeMailbox({})
        with pytest.raises(ImapRefused, match="more than 2 mailboxes"):
            client.list_mailboxes()
        client.close()


def test_what_nobody_asked_for_is_not_kept() -> None:
    with FakeImapServer({"INBOX": FakeMailbox({1: ("", DATE, BODY)})}) as server:
        client = connect(server)
        client.examine(b"INBOX")
        server.answers["UID"] = b"* XODD " + b"x" * 1000 + b"\r\n* 3 EXPUNGE\r\nTAG OK done\r\n"
        for _ in range(3):
            assert client.bodies([1]) == {}
        assert len(client._imap.untagged_responses["XODD"]) == 1
        assert (client.expunged(), client.expunged()) == (3, 0)
        client.close()
