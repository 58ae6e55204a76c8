"""mailsrv export: where to, and that import reads it back."""

import json

import pytest

from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk
from tests.mailsrv.cli.account_house import House


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)
    monkeypatch.setattr("mailsrv.cli.exporting.choose", lambda config: type("Identity", (), {"drops": False}))
    house = House(tmp_path)
    house.append("Subject: x\r\n\r\nFrom here\r\n>From there\r\n\r\n", flags=["\\Seen", "work"])
    house.append("Subject: y\r\n\r\n", "Sent", ["\\Draft", "\\Answered"], 1_700_000_000)
    house.append("Return-Path: <a@b.example>\r\nSubject: z\r\n\r\n", "a.b/ä", ["$One", "two"])
    return house


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_there_and_back(house, kind, tmp_path, capsys):
    assert house.run("export", kind, "alice", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["MAILBOX  MESSAGES  SIZE", "INBOX    1         40"]
    assert house.run("import", kind, "bob", tmp_path / "out") == 0
    assert house.mail("bob") == house.mail("alice")
    assert house.run("import", kind, "bob", tmp_path / "out") == 0
    assert house.mail("bob") == house.mail("alice")


def test_only_some(house, tmp_path, capsys):
    assert house.run("export", "mbox", "alice", tmp_path / "out", "--mailbox", "S*", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"mailbox": "Sent", "messages": 1, "octets": 14}]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["Sent.mbox"]
    assert house.run("export", "mbox", "alice", tmp_path / "more", "--mailbox", "none") == 69


def test_only_into_a_new_directory_elsewhere(house, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert house.run("export", "mbox", "alice", tmp_path / "out") == 69
    assert "exists already" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for path in ("data/x", "data", "link/accounts/x"):
        assert house.run("export", "mbox", "alice", tmp_path / path) == 69
        assert "is the server's" in capsys.readouterr().err
    assert house.run("export", "mbox", "alice", tmp_path / "none/x") == 1
    assert house.run("export", "mbox", "nobody", tmp_path / "new") == 69
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_a_message_that_cannot_be_read(house, kind, tmp_path, capsys, monkeypatch):
    plain = Disk.open_file

    def open_file(disk, path):
        if "/.Sent/cur/" in path:
            raise StorageError(f"{path}: Input/output error")
        return plain(disk, path)

    monkeypatch.setattr(Disk, "open_file", open_file)
    assert house.run("export", kind, "alice", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.err.startswith("mailsrv: Sent: UID 1: ") and said.err.endswith(": Input/output error\n")
    rows = [line.split()[:2] for line in said.out.splitlines()]
    assert ["INBOX", "1"] in rows and ["Sent", "0"] in rows and ["a.b/ä", "1"] in rows
