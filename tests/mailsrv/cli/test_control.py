import argparse
import json
import os
import subprocess

import pytest

from mailsrv.cli import control
from mailsrv.cli.mailsrv import COMMANDS, main
from mailsrv.errors import ConfigError, Refused
from mailsrv.serve.control import Declined

STATUS = {
    "ok": True,
    "version": "9.9",
    "pid": 4711,
    "state": "serving",
    "seconds": 7384.2,
    "config": "/etc/m.toml",
    "generation": 2,
    "listeners": ["smtp 127.0.0.1:25", "lmtp /run/l"],
    "workers": [{"kind": "smtpd", "number": 1, "generation": 2, "pid": 4712, "state": "ready", "seconds": 61.0}],
    "connections": 3,
    "totals": {"connections": 10, "messages": 4},
    "bans": 1,
}
SESSION = {"id": "abc", "kind": "smtp", "client": "192.0.2.1", "account": "", "seconds": 5.0}


@pytest.fixture
def server(monkeypatch):
    """Answers by verb, and what was asked."""
    answers, asked = {}, []

    def ask(data_dir, request, seconds=None):
        asked.append((data_dir, request))
        answer = answers[request["verb"]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(control, "ask", ask)
    answers["asked"] = asked
    return answers


def run(*words):
    return main([words[0], "--data-dir", "/data", *words[1:]])


def test_status(server, capsys):
    server["status"] = STATUS
    assert run("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "state        serving, generation 2"
    assert "up           2h03m" in lines and "listeners    smtp 127.0.0.1:25, lmtp /run/l" in lines
    assert "smtpd  1       2           4712  ready  1m01s" in lines
    assert "messages                        4" in lines
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATUS
    assert server["asked"][0] == ("/data", {"verb": "status"})


def test_who(server, capsys):
    server["who"] = {"ok": True, "sessions": [SESSION, {**SESSION, "account": "alice", "client": "2001:db8::1"}]}
    assert run("who") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ID   KIND  CLIENT       ACCOUNT  FOR",
        "abc  smtp  192.0.2.1    -        5s",
        "abc  smtp  2001:db8::1  alice    5s",
    ]
    run("who", "--json")
    assert json.loads(capsys.readouterr().out)[0] == SESSION


def test_kick(server, capsys):
    server["kick"] = {"ok": True}
    assert run("kick", "abc") == 0
    assert server["asked"] == [("/data", {"verb": "kick", "id": "abc"})]
    server["kick"] = Declined("there is no session abc")
    assert run("kick", "abc") == 69
    assert capsys.readouterr().err == "mailsrv: there is no session abc\n"


def test_stop_returns_when_the_server_is_gone(server, capsys):
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    server["stop"] = {"ok": True, "pid": child.pid}
    assert run("stop", "--timeout", "0") == 75
    assert f"(process {child.pid}) still drains" in capsys.readouterr().err
    child.stdin.close()
    assert run("stop", "--now") == 0
    child.wait()
    assert [request["now"] for _, request in server["asked"]] == [False, True]


def test_reload(server, capsys):
    server["reload"] = {"ok": True, "generation": 3}
    assert run("reload") == 0
    assert capsys.readouterr() == ("", "mailsrv: generation 3 serves\n")
    server["reload"] = Declined("m.toml:1: a: is wrong\nm.toml:2: b: is wrong")
    assert run("reload") == 78
    assert capsys.readouterr().err == "m.toml:1: a: is wrong\nm.toml:2: b: is wrong\n"
    server["reload"] = Refused("no server runs for /data; `mailsrv serve` starts one")
    assert run("reload") == 69


def test_the_data_dir_is_read_from_the_configuration(server, tmp_path):
    server["status"] = STATUS
    file = tmp_path / "m.toml"
    file.write_text(f'hostname = "mx.example.test"\ndata_dir = "{tmp_path}/d"\n')
    file.chmod(0o600)
    arguments = argparse.Namespace(config=str(file), data_dir="")
    control.ask_server(arguments, {"verb": "status"})
    assert server["asked"][0][0] == f"{tmp_path}/d"
    file.write_text("nonsense")
    with pytest.raises(ConfigError):
        control.ask_server(arguments, {"verb": "status"})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (185, "3m05s"), (7800, "2h10m"), (86400 * 5 + 3600 * 3, "5d03h")],
)
def test_spans(seconds, text):
    assert control.span(seconds) == text


def test_every_command_of_this_module_is_known():
    rows = {name for name, row in COMMANDS.items() if row.module == "mailsrv.cli.control"}
    assert rows == {name.removeprefix("run_") for name in vars(control) if name.startswith("run_")}


def test_without_a_server(tmp_path, capsys):
    assert main(["status", "--data-dir", str(tmp_path)]) == 69
    assert "no server runs" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
