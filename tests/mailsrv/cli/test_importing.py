"""mailsrv import: where things go, what it says, and that it may be given again."""

import io
import json
import sys

import pytest

from mailsrv.cli.import_source import Origin
from mailsrv.cli.importing import prepare
from mailsrv.errors import StorageFull
from tests.fakes.imap_server import FakeImapServer, FakeMailbox
from tests.mailsrv.cli.account_house import House, make_maildir, put


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)
    return House(tmp_path)


@pytest.fixture
def maildir(tmp_path):
    root = make_maildir(tmp_path / "m", ".Sent Items", ".a.b")
    put(root / "cur" / "1.a:2,S", "one\n")
    put(root / "new" / "2.a", "two\n")
    put(root / ".Sent Items/cur/3.a:2,", "three\n")
    put(root / ".a.b/cur/4.a:2,F", "four\n")
    return root


def test_a_maildir_twice(house, maildir, capsys):
    assert house.run("import", "maildir", "alice", maildir) == 0
    assert capsys.readouterr().out.splitlines() == [
        "MAILBOX     THERE  TAKEN  KNOWN  UPDATED  FAILED  GONE  MISSING  CONFLICTS  SIZE",
        "INBOX       2      2      0      0        0       0     0        0          10",
        "Sent Items  1      1      0      0        0       0     0        0          7",
        "a/b         1      1      0      0        0       0     0        0          6",
        "total       4      4      0      0        0       0     0        0          23",
    ]
    when = 1_500_000_000
    mail = {
        "INBOX": {"one\r\n": ({"\\Seen"}, when), "two\r\n": (set(), when)},
        "Sent Items": {"three\r\n": (set(), when)},
        "a": {},
        "a/b": {"four\r\n": ({"\\Flagged"}, when)},
    }
    assert house.mail() == mail
    assert house.reader().find("Sent Items").special_use == "\\Sent"
    assert house.reader().find("a/b").subscribed
    assert house.run("import", "maildir", "alice", maildir, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["mailbox"], row["taken"], row["known"]) for row in rows] == [
        ("INBOX", 0, 2), ("Sent Items", 0, 1), ("a/b", 0, 1),
    ]  # fmt: skip
    assert house.mail() == mail


def test_into_and_only_some(house, maildir, capsys):
    words = ["--into", "Old", "--mailbox", "INBOX", "--mailbox", "a*"]
    assert house.run("import", "maildir", "alice", maildir, *words) == 0
    assert "INBOX -> Old " in capsys.readouterr().out
    assert {name: len(texts) for name, texts in house.mail().items()} == {
        "INBOX": 0, "Old": 2, "Old/a": 0, "Old/a/b": 1,
    }  # fmt: skip
    assert house.run("import", "maildir", "alice", maildir, "--mailbox", "none") == 69
    assert "no mailbox of such a name" in capsys.readouterr().err


def test_special_uses_meet(house):
    reader = house.reader()
    reader.create("Sent", "\\Sent")
    assert prepare(reader, Origin("Gesendet", "", "\\Sent"), "", False) == "Sent"
    assert prepare(reader, Origin("Gesendet", "", "\\Sent"), "Old", False) == "Old/Gesendet"
    assert reader.find("Old/Gesendet").special_use == ""
    reader.create("Junk")
    assert prepare(reader, Origin("Junk", "", "\\Junk", subscribed=False), "", False) == "Junk"
    assert reader.find("Junk").special_use == "\\Junk"
    assert prepare(reader, Origin("x", "", subscribed=False), "", False) == "x"
    assert not reader.find("x").subscribed
    assert prepare(reader, Origin("INBOX", ""), "Alt", False) == "Alt"
    assert prepare(reader, Origin("file", ""), "Alt", True) == "Alt"


def test_an_mbox_from_standard_input(house, capsys, monkeypatch):
    class Input:
        buffer = io.BytesIO(b"From a@b Mon Jan  1 00:00:09 2024\nS: x\n\n")

    monkeypatch.setattr(sys, "stdin", Input)
    assert house.run("import", "mbox", "alice", "-") == 2
    assert house.run("import", "mbox", "alice", "-", "--into", "X") == 0
    assert house.mail()["X"] == {"S: x\r\n": (set(), 1704067209)}


def test_failures_are_told(house, maildir, capsys):
    put(maildir / "cur" / "9.\x1b:2,", "")
    assert house.run("import", "maildir", "alice", maildir) == 1
    said = capsys.readouterr()
    assert said.err == "mailsrv: INBOX: cur/9.?:2,: there is nothing in it\n"
    assert "INBOX       3      2 " in said.out


def test_names_that_a_mailbox_cannot_have(house, tmp_path, capsys):
    maildir = make_maildir(tmp_path / "m", ".Other Users.bob", "." + "x" * 100, ".a")
    for name in (".Other Users.bob", "." + "x" * 100, ".a"):
        put(maildir / name / "cur/1.a:2,", name)
    assert house.run("import", "maildir", "alice", maildir, "--into", "Other Users/bob") == 1
    assert "names below Other Users" in capsys.readouterr().err
    assert house.run("import", "maildir", "alice", maildir, "--mailbox", "*Users*") == 0
    assert set(house.mail()) == {"INBOX", "_Other Users", "_Other Users/bob"}
    capsys.readouterr()
    assert house.run("import", "maildir", "alice", maildir, "--into", "y" * 450, "--mailbox", "[ax]*") == 1
    said = capsys.readouterr()
    assert said.err == f"mailsrv: {'x' * 100}: the mailbox: a mailbox's name has 1 to 512 octets\n"
    assert "1      0      0      0        1 " in said.out
    assert "y" * 450 + "/a" in house.mail()


def test_what_was_taken_is_told_when_the_account_is_full(tmp_path, maildir, capsys, monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)
    house = House(tmp_path, quota=12)
    assert house.run("import", "maildir", "bob", maildir) == 1
    said = capsys.readouterr()
    assert "the account has no room for it" in said.err
    assert "total       3      2 " in said.out


def test_no_account_and_no_source(house, tmp_path, capsys):
    assert house.run("import", "maildir", "nobody", tmp_path) == 69
    assert house.run("import", "maildir", "alice", tmp_path / "none") == 69
    (tmp_path / "empty").mkdir()
    assert house.run("import", "maildir", "alice", tmp_path / "empty") == 69
    assert house.run("import", "imap", "alice", "--host", "x") == 2
    for port in ("0", "65536", "-1", "9" * 5000):
        assert house.run("import", "imap", "alice", "--host", "x", "--user", "x", f"--port={port}") == 2
        assert "is no port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/m/cur"), 77, "mailsrv: /m/cur: Permission denied\n"),
        (StorageFull("the disk is full"), 75, "mailsrv: the disk is full\n"),
        (OSError(5, "Input/output error", "/m/cur"), 1, "mailsrv: /m/cur: Input/output error\n"),
    ],
)
def test_what_ends_an_import_has_its_exit_status(house, maildir, capsys, monkeypatch, error, code, said):
    def mailboxes(self):
        raise error

    monkeypatch.setattr("mailsrv.cli.import_maildir.MaildirSource.mailboxes", mailboxes)
    assert house.run("import", "maildir", "alice", maildir) == code
    assert capsys.readouterr().err == said


def test_another_server(house, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MAILSRV_IMPORT_PASSWORD", "wrong")
    boxes = {
        "INBOX": FakeMailbox({4: ("\\Seen", " 1-Jan-2024 00:00:09 +0000", b"S: x\r\n\r\n")}),
        "Sent": FakeMailbox({}, "\\Sent"),
    }
    with FakeImapServer(boxes) as server:
        words = ["import", "imap", "alice", "--host", "127.0.0.1", "--port", server.port, "--user", "alice"]
        words += ["--security", "plain"]
        assert house.run(*words) == 69
        said = capsys.readouterr().err
        assert "anybody on the way" in said
        assert "not so" in said
        (tmp_path / "password").write_text("secret\n")
        words += ["--password-file", tmp_path / "password"]
        assert house.run(*words) == 0
        assert house.mail() == {"INBOX": {"S: x\r\n\r\n": ({"\\Seen"}, 1704067209)}, "Sent": {}}
        capsys.readouterr()
        boxes["INBOX"].messages[5] = ("", " 1-Jan-2024 00:00:10 +0000", b"S: y\r\n\r\n")
        assert house.run(*words, "--json") == 0
        inbox, _ = json.loads(capsys.readouterr().out)
        assert (inbox["there"], inbox["taken"], inbox["known"]) == (2, 1, 1)


def test_mailboxes_that_show_others_messages_are_taken_when_asked_for(house, capsys, monkeypatch):
    """As Gmail's with all mail, where archived messages are nowhere else."""
    monkeypatch.setenv("MAILSRV_IMPORT_PASSWORD", "secret")
    one = {4: ("", " 1-Jan-2024 00:00:09 +0000", b"S: x\r\n\r\n")}
    boxes = {"INBOX": FakeMailbox(one), "All": FakeMailbox(one, "\\All"), "Stars": FakeMailbox({}, "\\Flagged")}
    with FakeImapServer(boxes) as server:
        words = ["import", "imap", "alice", "--host", "127.0.0.1", "--port", server.port, "--user", "alice"]
        words += ["--security", "plain"]
        assert house.run(*words) == 0
        assert "mailsrv: All: left out, as it shows messages of other mailboxes" in capsys.readouterr().err
        assert house.mail().keys() == {"INBOX"}
        assert house.run(*words, "--mailbox", "A*") == 0
        assert "left out" not in capsys.readouterr().err
        assert {name: len(texts) for name, texts in house.mail().items()} == {"INBOX": 1, "All": 1}
        assert house.reader().find("All").special_use == ""


def test_an_interrupt(house, maildir, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mailsrv.cli.import_pass.Pass._follow", interrupt)
    assert house.run("import", "maildir", "alice", maildir) == 130
    said = capsys.readouterr()
    assert "goes on with the rest" in said.err
    assert "INBOX    2      2 " in said.out
