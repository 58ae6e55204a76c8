import json

import pytest

from mailsrv.cli import control
from mailsrv.cli.mailsrv import main

BAN = {"network": "192.0.2.1", "seconds": 3600, "reason": "10 failed logins"}


@pytest.fixture
def asked(monkeypatch):
    requests = []

    def ask(data_dir, request, seconds=None):
        requests.append(request)
        return {"ok": True, "bans": [BAN]}

    monkeypatch.setattr(control, "ask", ask)
    return requests


def run(*words):
    return main(["ban", "--data-dir", "/data", *words])


def test_list(asked, capsys):
    assert run("list") == 0
    assert capsys.readouterr().out == "NETWORK    FOR    REASON\n192.0.2.1  1h00m  10 failed logins\n"
    assert run("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [BAN]


def test_add_and_remove(asked):
    assert run("add", "192.0.2.0/24", "--seconds", "60", "--reason", "noise") == 0
    assert run("add", "2001:db8::1") == 0
    assert run("remove", "192.0.2.1") == 0
    assert asked == [
        {"verb": "ban-add", "address": "192.0.2.0/24", "reason": "noise", "seconds": 60},
        {"verb": "ban-add", "address": "2001:db8::1", "reason": "", "seconds": 0},
        {"verb": "ban-remove", "address": "192.0.2.1"},
    ]


@pytest.mark.parametrize("words", [(), ("add",), ("add", "mx.example.test"), ("drop", "192.0.2.1"), ("remove",)])
def test_usage(asked, words, capsys):
    assert run(*words) == 2
    assert asked == []
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-5", "1.5", "soon", "9" * 5000])
def test_what_is_no_time(asked, seconds, capsys):
    assert run("add", "192.0.2.1", "--seconds", seconds) == 2
    assert not asked
    assert "is no number of seconds" in capsys.readouterr().err
