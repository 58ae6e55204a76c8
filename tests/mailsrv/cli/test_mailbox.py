"""mailsrv mailbox: what each action does, and what it says."""

import json

import pytest

from mailsrv.cli.mailbox import octets_for_people
from tests.mailsrv.cli.account_house import House


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)
    return House(tmp_path)


def test_list(house, capsys):
    house.append("Subject: x\r\n\r\n")
    house.append("Subject: y\r\n\r\n", "Sent", ["\\Seen"])
    assert house.run("mailbox", "list", "alice") == 0
    assert capsys.readouterr().out.splitlines() == [
        "MAILBOX  MESSAGES  UNSEEN  SIZE  USE  SUBSCRIBED",
        "INBOX    1         1       14    -    yes",
        "Sent     1         0       14    -    -",
    ]
    assert house.run("mailbox", "list", "alice", "--json") == 0
    inbox, sent = json.loads(capsys.readouterr().out)
    assert (inbox["name"], inbox["messages"], sent["directory"], sent["uidnext"]) == ("INBOX", 1, ".Sent", 2)


def test_create_rename_subscribe_delete(house, capsys):
    assert house.run("mailbox", "create", "alice", "Alt/Post", "--special-use", "archive") == 0
    assert house.run("mailbox", "create", "alice", "Still", "--no-subscribe") == 0
    assert house.run("mailbox", "rename", "alice@example.org", "Alt", "Neu") == 0
    names = {info.name: info for info in house.reader().mailboxes() if info.exists}
    assert set(names) == {"INBOX", "Neu", "Neu/Post", "Still"}
    assert (names["Neu/Post"].special_use, names["Still"].subscribed) == ("\\Archive", False)
    assert house.run("mailbox", "subscribe", "alice", "Still") == 0
    assert house.reader().find("Still").subscribed
    assert house.run("mailbox", "subscribe", "alice", "Still", "--off") == 0
    assert house.run("mailbox", "delete", "alice", "Still") == 0
    assert "Still" not in [info.name for info in house.reader().mailboxes()]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("delete", "alice", "INBOX"), 1, "INBOX cannot be deleted"),
        (("delete", "alice", "none"), 1, "there is no mailbox none"),
        (("create", "alice", "a//b"), 1, "levels"),
        (("create", "alice", "Other Users/bob/x"), 1, "names below Other Users"),
        (("rename", "alice", "INBOX", "Other Users/x"), 1, "names below Other Users"),
        (("create", "alice", "Entw\udcfcrfe"), 1, "name is UTF-8"),
        (("rename", "alice", "none", "x"), 1, "there is no mailbox none"),
        (("list", "carol"), 69, "there is no account carol"),
        (("create", "alice", "x", "--special-use", "fun"), 2, "none of"),
        (("create", "alice"), 2, "MAILBOX"),
    ],
)
def test_what_is_refused(house, capsys, words, code, said):
    assert house.run("mailbox", *words) == code
    assert said in capsys.readouterr().err


def test_out_of_where_those_of_others_are(house, capsys):
    # Somebody else has made its directory.
    (house.data / "accounts/alice/.Other Users.x/cur").mkdir(parents=True)
    assert house.run("mailbox", "rename", "alice", "Other Users/x", "Other Users/y") == 1
    assert "names below Other Users" in capsys.readouterr().err
    assert house.run("mailbox", "rename", "alice", "Other Users/x", "x") == 0
    assert [info.name for info in house.reader().mailboxes() if info.exists] == ["INBOX", "x"]


def test_sizes_for_people():
    sizes = (0, 999, 1000, 1536, 10 * 1024, 1 << 20, 5 << 40)
    assert [octets_for_people(size) for size in sizes] == ["0", "999", "1.0K", "1.5K", "10K", "1.0M", "5.0T"]
