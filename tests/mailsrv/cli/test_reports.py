"""`mailsrv reports`: what it shows of both directions."""

import json

import pytest

from mailsrv.cli import reports
from mailsrv.cli.mailsrv import main
from mailsrv.cli.program import NotPermitted
from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_ledger import Done, Ledger, Named, Queued, Skipped
from mailsrv.store.feedback_lines import write_left_out, write_row
from mailsrv.store.feedback_received import AggregateSeen, FailureSeen, Received, Source, Unreadable
from mailsrv.system.disk import Disk
from tests.mailsrv.store.test_feedback_lines import ROW

NOW = 1_700_000_000.0  # 2023-11-14
CONFIG = 'hostname = "mx.example.test"\ndata_dir = "{}"\ndomains = []\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(reports.SystemClock, "now", staticmethod(lambda: NOW))
    file = tmp_path / "mailsrv.toml"
    file.write_text(CONFIG.format(tmp_path / "data"))
    file.chmod(0o600)
    layout = FeedbackLayout(str(tmp_path / "data"))
    for directory in layout.directories:
        Disk().make_directories(directory)
    monkeypatch.setattr(reports, "become_service_user", lambda config: None)
    return layout


def run(place, *words):
    return main(["reports", "--config", f"{place.data_dir}/../mailsrv.toml", *words])


def fill(layout):
    disk = Disk()
    ledger = Ledger(disk, layout, "2023-11-13")
    for entry in (
        Named("example.org", "ID1", ("a@example.org", "b@example.net"), 2, 5, 1.0),
        Queued("ID1", 1.0),
        Named("half.example", "ID2", ("h@half.example",), 1, 1, 1.0),
        Skipped("other.example", "too old", 1, 2, 1.0),
        Done(1.0, 3),
    ):
        ledger.write(entry)
    Ledger(disk, layout, "2023-11-01").write(Named("old.example", "ID0", (), 1, 1, 1.0))
    disk.append(layout.rows_of("2023-11-14"), write_row(ROW) + b"\n" + write_row(ROW) + b"\n" + write_left_out(1))
    received = Received(disk, layout)
    sources = (Source("192.0.2.1", 7, 7), Source("192.0.2.2", 2, 0))
    seen = AggregateSeen(
        *(NOW, "ID5", "Google", "g@g.example", "77", "example.test", "none", 1_699_833_600, 1_699_919_999, 12, 8),
        *(sources, 3),
    )
    for got in (
        Unreadable(NOW - 30 * 86_400, "ID4", "old"),
        seen,
        Unreadable(NOW, "ID5", "the process ended while it was read"),
        seen,
        FailureSeen(NOW, "ID6", "mx.there.example", "auth-failure", "example.test", "192.0.2.7", "dmarc", "reject"),
        Unreadable(NOW, "ID7", "no XML"),
    ):
        received.append(got)


def test_both_directions_for_people(place, capsys):
    fill(place)
    assert run(place) == 0
    assert capsys.readouterr().out.splitlines() == [
        "DAY         DOMAIN         STATE      RECORDS  MESSAGES  ID   TO",
        "2023-11-13  example.org    queued     2        5         ID1  a@example.org, b@example.net",
        "2023-11-13  half.example   named      1        1         ID2  h@half.example",
        "2023-11-13  other.example  skipped    1        2         -    (too old)",
        "2023-11-13  -              skipped    0        3         -    (no room, or lines that cannot be read)",
        "2023-11-14  example.org    collected  1        2         -    -",
        "2023-11-14  -              skipped    0        1         -    (no room, or lines that cannot be read)",
        "",
        "DAY         REPORTER  DOMAIN        SOURCE     MESSAGES  PASS  FAIL",
        "2023-11-13  Google    example.test  192.0.2.1  7         7     0",
        "2023-11-13  Google    example.test  192.0.2.2  2         0     2",
        "2023-11-13  Google    example.test  3 others   3         1     2",
        "",
        "DAY         FAILURE REPORTED BY  DOMAIN        SOURCE     FAILED  DELIVERY  MESSAGES",
        "2023-11-14  mx.there.example     example.test  192.0.2.7  dmarc   reject    1",
        "",
        "DAY         NOT READ  WHY",
        "2023-11-14  ID7       no XML",
    ]


def test_days(place, capsys):
    fill(place)
    assert run(place, "--days", "1") == 0
    shown = capsys.readouterr().out
    assert "2023-11-14  example.org" in shown
    assert "half.example" not in shown
    assert run(place, "--days", "40") == 0
    shown = capsys.readouterr().out
    assert "old.example" in shown
    assert "ID4" in shown


def test_an_object_a_line_for_programs(place, capsys):
    fill(place)
    assert run(place, "--json") == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [value["kind"] for value in values] == ["sent"] * 6 + ["aggregate", "failure", "unreadable"]
    assert values[0] == {
        "kind": "sent", "day": "2023-11-13", "domain": "example.org", "state": "queued",
        "to": ["a@example.org", "b@example.net"], "records": 2, "messages": 5, "id": "ID1", "reason": "",
    }  # fmt: skip
    assert values[6]["sources"][0] == {"address": "192.0.2.1", "messages": 7, "passed": 7}


def test_nothing_yet(place, capsys):
    assert run(place) == 0
    assert capsys.readouterr().out.splitlines() == [
        "No messages are collected for DMARC reports, and none were sent; see dmarc.report in mailsrv.toml(5).",
        "",
        "No reports of others were received.",
    ]
    assert run(place, "--json") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("days", ["0", "-1", "week", "99999", "9" * 5000])
def test_what_is_no_number_of_days(place, days, capsys):
    assert run(place, "--days", days) == 2
    assert "is no number of days" in capsys.readouterr().err


def test_who_may_look(place, monkeypatch, capsys):
    def refuse(config):
        raise NotPermitted("no")

    monkeypatch.setattr(reports, "become_service_user", refuse)
    assert run(place) == 77
    assert capsys.readouterr().err == "mailsrv: only root and the service user may read what is reported\n"
