"""The library IMAPClient, which parses every answer: mailboxes, fetches, searches, changes, IDLE, quota, rights.

IMAPClient is a Python library of the environment, not a package of Debian; without it the tests are skipped.
"""

import datetime
import importlib
import smtplib
import subprocess

import pytest

from tests.peers.house import MAILSRV
from tests.peers.imap_house import KEEPER, NARROW, NARROW_MESSAGES, PASSWORD, WAIT_SECONDS, make_message

WAYS = ("imaps", "imap", "clear")


@pytest.fixture
def open_client(imap_house):
    """open_client(account, kind) -> an IMAPClient that is logged in; they are all left at the end."""
    try:
        imapclient = importlib.import_module("imapclient")
    except ImportError:
        pytest.skip("IMAPClient is not installed")
    opened = []

    def call(account, kind="imaps"):
        context = imap_house.trust()
        port = imap_house.ports[kind]
        client = imapclient.IMAPClient(
            "localhost", port, ssl=kind == "imaps", ssl_context=context, timeout=WAIT_SECONDS, use_uid=True
        )
        if kind == "imap":
            client.starttls(context)
        client.login(account, PASSWORD)
        opened.append(client)
        return client

    yield call
    for client in opened:
        client.logout()


@pytest.mark.parametrize("kind", WAYS)
def test_mailboxes(kind, imap_house, open_client):
    client = open_client(imap_house.new_account(), kind)
    assert client.namespace().personal == (("", "/"),)
    assert client.id_({"name": "tests"})[0][:2] == (b"name", b"mailsrv")
    client.create_folder("Entw\u00fcrfe & mehr/\u65e5\u672c")
    client.subscribe_folder("Entw\u00fcrfe & mehr/\u65e5\u672c")
    rows = {name: (flags, delimiter) for flags, delimiter, name in client.list_folders()}
    assert set(rows) >= {"INBOX", "Entw\u00fcrfe & mehr", "Entw\u00fcrfe & mehr/\u65e5\u672c"}
    assert {delimiter for _, delimiter in rows.values()} == {b"/"}
    assert b"\\HasChildren" in rows["Entw\u00fcrfe & mehr"][0]
    assert "Entw\u00fcrfe & mehr/\u65e5\u672c" in [name for _, _, name in client.list_sub_folders()]
    client.append("Entw\u00fcrfe & mehr", make_message(1), (b"\\Draft", b"keyword"))
    client.rename_folder("Entw\u00fcrfe & mehr", "Plans")
    status = client.folder_status("Plans", ["MESSAGES", "UIDNEXT", "UNSEEN", "HIGHESTMODSEQ", "SIZE"])
    assert (status[b"MESSAGES"], status[b"UIDNEXT"], status[b"UNSEEN"]) == (1, 2, 1)
    assert status[b"SIZE"] == len(make_message(1)) and status[b"HIGHESTMODSEQ"] > 0
    selected = client.select_folder("Plans", readonly=True)
    assert selected[b"EXISTS"] == 1 and b"READ-ONLY" in selected and b"keyword" in selected[b"FLAGS"]
    client.close_folder()
    client.delete_folder("Plans/\u65e5\u672c")
    client.delete_folder("Plans")
    assert not client.folder_exists("Plans")


def test_fetch(imap_house, open_client):
    account = imap_house.new_account()
    client = open_client(account)
    messages = [make_message(number, "client") for number in range(4)]
    received = datetime.datetime(2026, 11, 1, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    for octets in messages:
        client.append("INBOX", octets, (b"\\Seen",), received)
    client.select_folder("INBOX")
    items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY[]", "MODSEQ"]
    fetched = client.fetch([1, 2, 3, 4], items)
    assert list(fetched) == [1, 2, 3, 4]
    client.normalise_times = False
    assert client.fetch(1, "INTERNALDATE")[1][b"INTERNALDATE"] == received
    for uid, octets in enumerate(messages, 1):
        row = fetched[uid]
        assert row[b"BODY[]"] == octets and row[b"RFC822.SIZE"] == len(octets)
        assert row[b"FLAGS"] == (b"\\Seen",)
        envelope = row[b"ENVELOPE"]
        assert envelope.subject == b"client %d" % (uid - 1)
        assert envelope.message_id == b"<client.%d@example.net>" % (uid - 1)
        assert str(envelope.from_[0]) == f"Writer {uid - 1} <writer{uid - 1}@example.net>"
    plain, parts = fetched[1][b"BODYSTRUCTURE"], fetched[4][b"BODYSTRUCTURE"]
    assert not plain.is_multipart and plain[:3] == (b"TEXT", b"PLAIN", (b"CHARSET", b"utf-8"))
    assert parts.is_multipart
    assert [part[:2] for part in parts[0]] == [(b"TEXT", b"PLAIN"), (b"APPLICATION", b"OCTET-STREAM")]
    assert parts[1] == b"MIXED" and parts[2] == (b"BOUNDARY", b"b1")
    second = client.fetch(4, ["BODY.PEEK[2]", "BODY.PEEK[2.MIME]"])[4]
    assert second[b"BODY[2]"].startswith(b"AAECAAEC") and b"base64" in second[b"BODY[2.MIME]"]


def test_search_sort_and_thread(imap_house, open_client):
    account = imap_house.new_account()
    imap_house.put(account, [make_message(number, "gr\u00fcn" if number % 2 else "blau") for number in range(10)])
    client = open_client(account)
    client.select_folder("INBOX")
    assert client.search(["SUBJECT", "gr\u00fcn"], "UTF-8") == [2, 4, 6, 8, 10]
    since = datetime.date(2020, 1, 1)
    assert client.search(["NOT", "SUBJECT", "gr\u00fcn", "SINCE", since], "UTF-8") == [1, 3, 5, 7, 9]
    assert client.search(["NOT", ["SUBJECT", "blau", "SINCE", since]]) == [2, 4, 6, 8, 10]
    assert client.search(["OR", ["HEADER", "Message-ID", "blau.2@"], ["TEXT", "of blau 4"]]) == [3, 5]
    assert client.search("ALL").modseq is None
    found = client.search(["MODSEQ", "1"])
    assert len(found) == 10 and found.modseq > 0
    assert client.sort("REVERSE DATE") == list(range(10, 0, -1))
    assert client.sort(["SUBJECT"])[:2] == [1, 3]
    assert sorted(uid for thread in client.thread("ORDEREDSUBJECT") for uid in flat(thread)) == list(range(1, 11))


def flat(thread):
    """Every number of a thread, however deep it lies."""
    for one in thread:
        if isinstance(one, tuple):
            yield from flat(one)
        else:
            yield one


def test_changes(imap_house, open_client):
    account = imap_house.new_account()
    imap_house.put(account, [make_message(number) for number in range(6)])
    client, other = open_client(account), open_client(account, "clear")
    client.enable("CONDSTORE")
    modseq = client.select_folder("INBOX")[b"HIGHESTMODSEQ"]
    assert client.add_flags([1, 2], [b"\\Flagged", b"later"])[2] == (b"\\Flagged", b"later")
    assert client.set_flags(2, [b"\\Seen"]) == {2: (b"\\Seen",)}
    assert client.remove_flags(1, [b"later"]) == {1: (b"\\Flagged",)}
    changed = client.fetch(client.search(), ["FLAGS"], [f"CHANGEDSINCE {modseq}"])
    assert set(changed) == {1, 2} and all(row[b"MODSEQ"][0] > modseq for row in changed.values())
    client.create_folder("Archive")
    client.copy([1, 2], "Archive")
    client.move([3], "Archive")
    client.delete_messages([4, 5])
    client.uid_expunge([4])
    client.expunge()
    assert client.search() == [1, 2, 6]
    other.select_folder("Archive")
    assert other.get_flags(other.search()) == {1: (b"\\Flagged",), 2: (b"\\Seen",), 3: ()}
    client.multiappend("Archive", [{"msg": make_message(7), "flags": [b"\\Seen"]}, make_message(8)])
    other.noop()
    assert other.search() == [1, 2, 3, 4, 5]


def test_idle(imap_house, open_client):
    account = imap_house.new_account()
    client, other = open_client(account), open_client(account, "clear")
    client.select_folder("INBOX")
    client.idle()
    text = f"From: stranger@example.net\r\nTo: {account}@example.org\r\nSubject: hello\r\n\r\nhere\r\n"
    with smtplib.SMTP("127.0.0.1", imap_house.ports["smtp"], "client.example.net", timeout=30) as sender:
        sender.sendmail("stranger@example.net", [f"{account}@example.org"], text)
    assert (1, b"EXISTS") in client.idle_check(WAIT_SECONDS)
    other.select_folder("INBOX")
    other.add_flags(1, [b"\\Flagged"])
    (told,) = client.idle_check(WAIT_SECONDS)
    assert told[:2] == (1, b"FETCH") and (b"\\Flagged",) in told[2]
    client.idle_done()
    assert client.fetch(1, ["FLAGS"])[1][b"FLAGS"] == (b"\\Flagged",)


def test_quota(imap_house, open_client):
    client = open_client(NARROW)
    for number in range(NARROW_MESSAGES):
        client.append("INBOX", make_message(number))
    with pytest.raises(client.Error, match="OVERQUOTA"):
        client.append("INBOX", make_message(99))
    roots, quotas = client.get_quota_root("INBOX")
    assert roots.mailbox == "INBOX" and len(roots.quota_roots) == 1
    counted = [quota for quota in quotas if quota.resource == "MESSAGE"]
    assert [(quota.usage, quota.limit) for quota in counted] == [(NARROW_MESSAGES, NARROW_MESSAGES)]
    client.select_folder("INBOX")
    client.delete_messages(1)
    client.expunge()
    client.append("INBOX", make_message(99))


def test_a_quota_that_is_set_counts_at_once(imap_house, open_client):
    """For a session that is there already, for deliveries, and for the operator's commands."""
    account = imap_house.new_account()
    client, keeper = open_client(account), open_client(KEEPER)
    quota = importlib.import_module("imapclient.imapclient").Quota
    client.append("INBOX", make_message(1))
    with pytest.raises(client.Error, match="NOPERM"):
        client.set_quota([quota(account, "MESSAGE", None, 5)])
    keeper.set_quota([quota(account, "MESSAGE", None, 2)])
    deliver(imap_house, account, 2)
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="452"):
        deliver(imap_house, account, 3)
    assert client.folder_status("INBOX", ["MESSAGES"]) == {b"MESSAGES": 2}  # and what was delivered is in the index
    with pytest.raises(client.Error, match="OVERQUOTA"):
        client.append("INBOX", make_message(3))
    subprocess.run([*MAILSRV, "quota", "set", account, "--messages", "3", "--config", imap_house.config], check=True)
    deliver(imap_house, account, 3)
    assert [(one.usage, one.limit) for one in client.get_quota_root("INBOX")[1]] == [(3, 3)]
    subprocess.run([*MAILSRV, "quota", "reset", account, "--config", imap_house.config], check=True)
    deliver(imap_house, account, 4)
    assert client.get_quota_root("INBOX")[1] == []


def deliver(house, account, number):
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"], timeout=WAIT_SECONDS) as sender:
        sender.sendmail("a@example.com", [f"{account}@example.org"], make_message(number))


def test_a_shared_mailbox(imap_house, open_client):
    owner, guest = imap_house.new_account(), imap_house.new_account()
    client, other = open_client(owner), open_client(guest)
    client.create_folder("Team")
    client.append("Team", make_message(1), (b"\\Flagged",))
    ((prefix, delimiter),) = other.namespace().other
    shared = f"{prefix}{owner}{delimiter}Team"
    assert not other.folder_exists(shared)
    client.setacl("Team", guest, "lrsi")
    assert {text(who): set(text(rights)) for who, rights in client.getacl("Team")}[guest] == set("lrsi")
    assert shared in [name for _, _, name in other.list_folders()]
    other.select_folder(shared)
    assert other.fetch(other.search(), ["BODY.PEEK[]"])[1][b"BODY[]"] == make_message(1)
    other.append(shared, make_message(2))
    with pytest.raises(other.Error):
        other.delete_folder(shared)
    assert client.folder_status("Team", ["MESSAGES"]) == {b"MESSAGES": 2}
    client.setacl("Team", guest, '""')  # it quotes nothing here
    with pytest.raises(other.AbortError, match="the selected mailbox"):  # BYE, which it understands
        other.list_folders()
    other = open_client(guest)
    assert shared not in [name for _, _, name in other.list_folders()]


def text(token):
    """A token that IMAPClient gives as octets or as text."""
    return token.decode() if isinstance(token, bytes) else token
