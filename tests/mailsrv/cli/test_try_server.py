import argparse
import shlex
from pathlib import Path

import pytest

from mailsrv.errors import Refused
from mailsrv.cli import try_server
from mailsrv.cli.try_place import Place
from mailsrv.cli.try_server import PORTS, account_for, add_arguments, commands, explain, find_ports, prove
from tests.fakes.clock import FakeClock

NUMBERS = {"smtp": 1001, "submission": 1002, "submissions": 1003, "lmtp": 1004, "imap": 1005, "imaps": 1006}
PASSWORDS = {"alice": "kfg6", "bob": "w9xz"}


@pytest.fixture
def place(tmp_path):
    directory = str(tmp_path / "a place")
    return Place(directory, PASSWORDS, f"{directory}/cert.pem", f"{directory}/key.pem", f"{directory}/lmtp")


def lay(place, path):
    """A message at this place of data/."""
    file = Path(place.data_dir, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")


def test_the_options():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert vars(parser.parse_args([])) == {"dir": "", "once": False, "any_port": False}
    given = parser.parse_args(["--dir", "/x", "--once", "--any-port"])
    assert vars(given) == {"dir": "/x", "once": True, "any_port": True}


def test_every_kind_gets_a_port_of_its_own():
    found = find_ports(any_port=True)
    assert list(found) == list(PORTS)
    assert len(set(found.values())) == len(PORTS)


def test_commands_can_be_read_by_a_shell_and_name_the_port(place):
    for kind, made in commands(place, NUMBERS).items():
        for command in made:
            words = shlex.split(command)
            assert any(str(NUMBERS[kind]) in word for word in words) or place.lmtp_socket in words
            assert not any(word.startswith("place/") for word in words)


def test_commands_log_in_where_that_is_needed_and_nowhere_else(place):
    made = commands(place, NUMBERS)
    for kind in NUMBERS:
        who = "alice" if kind.startswith("submission") else "bob" if kind.startswith("imap") else ""
        for command in made[kind]:
            if not command.startswith("openssl"):
                assert [name for name, password in PASSWORDS.items() if password in command] == ([who] if who else [])


def test_no_socket_no_command_for_it(place):
    assert len(commands(place, NUMBERS)["lmtp"]) == 2
    without = Place(place.directory, PASSWORDS, place.cert_file, place.key_file, "")
    assert len(commands(without, NUMBERS)["lmtp"]) == 1
    assert "also the socket" in explain(place, NUMBERS) and "also the socket" not in explain(without, NUMBERS)


def test_the_explanation_has_everything(place):
    text = explain(place, NUMBERS)
    for made in commands(place, NUMBERS).values():
        for command in made:
            assert f"\n    {command}\n" in text
    for name, password in PASSWORDS.items():
        assert f"  {name:<8}{password}" in text
    assert f"{place.data_dir}/spool/queue/  (held there; it is never sent anywhere)" in text
    assert text.endswith("Ctrl-C ends it.")


def test_what_is_left_is_counted(place):
    lay(place, "accounts/bob/new/1")
    lay(place, "spool/queue/1")
    lay(place, "spool/queue/2")
    text = account_for(place)
    assert "\n  0 messages of alice\n  1 message of bob\n  2 messages in the queue, never sent\n" in text
    assert text.endswith(f"rm -r '{place.directory}'")


def test_the_first_message_is_looked_for_by_its_id(place, monkeypatch, capsys):
    seen = []

    def take(port, cert_file, submission):
        seen.append((port, cert_file, submission))
        lay(place, "accounts/bob/new/1.other.host")
        lay(place, "accounts/bob/new/1.3kTxBqRmNp10.host")
        return "3kTxBqRmNp10"

    monkeypatch.setattr(try_server, "submit", take)
    prove(place, NUMBERS, FakeClock())
    ((port, cert_file, submission),) = seen
    assert (port, cert_file) == (1002, place.cert_file)
    assert (submission.account, submission.password) == ("alice", "kfg6")
    assert (submission.reverse_path, submission.forward_path) == ("alice@example.test", "bob@example.test")
    assert submission.message.endswith(b"\r\n\r\nIt went through mailsrv.\r\n")
    said = capsys.readouterr()
    assert said.out.endswith(f"lies in\n  {place.data_dir}/accounts/bob/new/1.3kTxBqRmNp10.host\n")
    assert said.err == ""


def test_a_message_that_does_not_arrive_is_told(place, monkeypatch):
    clock = FakeClock()

    class Looked:
        """Lets the time of one look pass."""

        @staticmethod
        def select(*_):
            clock.advance(1)

    monkeypatch.setattr(try_server, "select", Looked)
    monkeypatch.setattr(try_server, "submit", lambda *_: "3kTxBqRmNp10")
    with pytest.raises(Refused, match="3kTxBqRmNp10 was accepted, but does not lie in the Maildir of bob"):
        prove(place, NUMBERS, clock)


def test_the_program_is_named_as_the_shell_finds_it(tmp_path, monkeypatch):
    own = tmp_path / "mailsrv"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(try_server.sys, "argv", [str(own)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert try_server._program() == "mailsrv"
    monkeypatch.setenv("PATH", "/nowhere")
    assert try_server._program() == str(own)
