"""Names made regular, and what the dialogs mailboxes, special-use and objectid of tests/cases/imap do not show."""

from tests.fakes.imap_client import House


def test_names_that_were_made_regular_are_told_behind_imap4rev2(tmp_path) -> None:
    client = House(tmp_path).client(enabled="IMAP4rev2")
    heard = client.do("CREATE inbox/x/")
    assert heard[0] == '* LIST () "/" INBOX/x ("OLDNAME" (inbox/x/))'
    heard = client.do("RENAME INBOX/x y")
    assert heard == ['* LIST () "/" y ("OLDNAME" (INBOX/x))', "OK renamed"]


def test_special_uses(tmp_path) -> None:
    client = House(tmp_path).client()
    assert client.do("CREATE a (USE (\\Junk))")[0].startswith("OK [MAILBOXID")
    assert client.do("CREATE b (USE (\\Junk))")[0].startswith("NO [USEATTR]")
    assert client.do("CREATE b (USE (\\Sent \\Trash))") == ["NO [USEATTR] a mailbox has one special use at most"]
    assert client.do("CREATE b (USE ())")[0].startswith("OK")


def test_subscriptions(tmp_path) -> None:
    client = House(tmp_path).client()
    assert client.do("SUBSCRIBE nowhere") == ["OK subscribed"]
    assert client.do("UNSUBSCRIBE nowhere") == ["OK no longer subscribed"]


def test_refused_names(tmp_path) -> None:
    client = House(tmp_path).client()
    for name in ('"a//b"', '"/a"', '"#a"', '""'):
        assert client.do(f"CREATE {name}")[0].startswith(("NO [CANNOT]", "BAD")), name
