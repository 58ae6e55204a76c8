"""mailsrv quota: what each action does, and what it says."""

import argparse
import json

import pytest

from mailsrv.cli.quota import read_number
from mailsrv.store.values import Usage
from tests.mailsrv.cli.account_house import House


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)
    return House(tmp_path)


def test_set_list_and_reset(house, capsys):
    house.append("Subject: x\r\n\r\n")
    assert house.run("quota", "set", "alice@example.org", "--octets", "5M", "--messages", "7") == 0
    assert house.run("quota", "set", "alice", "--messages", "8") == 0
    assert house.run("quota", "list", "alice") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ACCOUNT  SIZE  OF    MESSAGES  OF  SAID BY",
        "alice    14    5.0M  1         8   quotas",
    ]
    assert house.run("quota", "reset", "alice") == 0
    assert house.run("quota", "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    alice = next(row for row in rows if row["account"] == "alice")
    assert alice == {
        "account": "alice", "octets": 14, "most_octets": 0, "messages": 1, "most_messages": 0, "set": False,
    }  # fmt: skip


def test_it_counts_for_who_is_there_already(house):
    reader = house.reader()
    assert reader.limits == Usage()
    assert house.run("quota", "set", "alice", "--octets", "100") == 0
    assert reader.limits == Usage(100)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "nobody", "--octets", "1"), 69, "there is no account nobody"),
        (("set", "alice", "--octets", "much"), 2, "no number"),
        (("set", "alice"), 2, "say --octets, --messages or both"),
        (("reset",), 2, "ACCOUNT"),
    ],
)
def test_what_is_refused(house, capsys, words, code, said):
    assert house.run("quota", *words) == code
    assert said in capsys.readouterr().err
    assert house.run("quota", "list") == 0
    assert "quotas" not in capsys.readouterr().out


def test_numbers():
    assert [read_number(text) for text in ("0", "12", "1K", "2T")] == [0, 12, 1024, 2 << 40]
    for text in ("", "-1", "1.5G", "1k", "99999999T"):
        with pytest.raises(argparse.ArgumentTypeError):
            read_number(text)
