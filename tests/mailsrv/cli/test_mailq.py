"""mailq: the table, JSON lines, counts, selectors, and what an unprivileged user sees."""

import json
import re
from pathlib import Path

import pytest

from mailsrv.cli import mailq, queue_place
from mailsrv.cli.mailq import main
from mailsrv.cli.program import NotPermitted
from mailsrv.receive.drops import Counts
from mailsrv.text.record import Records, write_json
from tests.mailsrv.cli.queue_house import House, build

Output = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def run(house: House, *arguments: str) -> int:
    return main(["--config", str(house.config), *arguments])


def test_an_empty_queue(house: House, capsys: Output) -> None:
    assert run(house) == 0
    assert capsys.readouterr().out == "Mail queue is empty\n"


def test_the_table_of_postfix(house: House, capsys: Output) -> None:
    first = house.put("bob@example.net", "eve@example.org", age=100)
    second = house.put("bob@example.net", sender="")
    house.defer(first, "451 4.7.1 grey\x1b[2Jlisted")
    assert run(house) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    assert re.fullmatch(rf"{first} +\d+ \w{{3}} Jan 1\d \d\d:\d\d:\d\d  ada@example.com", lines[1]), lines[1]
    assert lines[2] == "(host mx.example.net [192.0.2.1] said: 451 4.7.1 grey?[2Jlisted)"
    assert [line.strip() for line in lines[3:6]] == ["bob@example.net", "eve@example.org", ""]
    assert lines[6].startswith(second)
    assert lines[6].endswith("MAILER-DAEMON")
    assert lines[-1] == "-- 1 Kbytes in 2 Requests."


def test_active_and_held_are_marked(house: House, capsys: Output) -> None:
    active, held = house.put(), house.put()
    run_hold(house, held)
    with house.claims.try_claim(active) or pytest.fail("no claim"):
        assert run(house) == 0
    out = capsys.readouterr().out
    assert f"{active}*" in out
    assert f"{held}!" in out


def run_hold(house: House, identifier: str) -> None:
    from mailsrv.spool.hold import hold

    hold(house.disk, house.layout, identifier, house.log, "test")  # type: ignore[arg-type]


def test_json_lines(house: House, capsys: Output) -> None:
    identifier = house.put("bob@example.net", account="ada")
    house.defer(identifier, "451 4.7.1 later")
    assert run(house, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    value = json.loads(line)
    assert (value["id"], value["status"], value["sender"], value["account"]) == (
        identifier, "deferred", "ada@example.com", "ada",
    )  # fmt: skip
    assert value["attempts"] == 1
    assert value["next_attempt"] - value["last_attempt"] == 600
    assert value["recipients"] == [{
        "address": "bob@example.net", "waiting": True, "status": "delayed", "dsn": "4.7.1",
        "reply": "451 4.7.1 later", "host": "mx.example.net [192.0.2.1]", "at": house.clock.now(),
    }]  # fmt: skip


def test_count_and_selectors(house: House, capsys: Output) -> None:
    house.put("a@one.example", age=7200)
    house.put("b@two.example", "c@sub.two.example")
    for arguments, count in (
        ((), 2), (("--older", "1h"), 1), (("--newer", "1h"), 1), (("--to-domain", "two.example"), 1),
        (("--to-domain", ".two.example"), 1), (("--to", "nobody"), 0), (("--from", "*ada*"), 2),
        (("--older", "1h", "--to-domain", "two.example"), 0), (("--status", "held"), 0), (("--status", "new"), 2),
    ):  # fmt: skip
        assert run(house, "--count", *arguments) == 0
        assert capsys.readouterr().out == f"{count}\n", arguments


def test_by_domain_and_age(house: House, capsys: Output) -> None:
    house.put("a@one.example", "b@ONE.example", age=60 * 15)
    house.put("c@two.example")
    assert run(house, "--by", "domain,age") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"]
    assert rows[1] == ["TOTAL", "3", "1", "0", "2", *["0"] * 7]
    assert rows[2] == ["one.example", "2", "0", "0", "2", *["0"] * 7]
    assert run(house, "--by", "status") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["T"], ["TOTAL", "3"], ["new", "3"]]


@pytest.mark.parametrize("arguments", [["--by", "color"], ["--id", "vowel"], ["--older", "soon"], ["--error", "("]])
def test_wrong_usage(house: House, arguments: list[str]) -> None:
    assert run(house, *arguments) == 2


def test_a_damaged_file_is_told_and_the_others_are_shown(house: House, capsys: Output) -> None:
    good, bad = house.put(), house.put()
    path = Path(house.layout.queue, bad)
    path.chmod(0o600)
    path.write_bytes(b"{}\n")
    assert run(house, "--count", "--newer", "1h") == 1
    output = capsys.readouterr()
    assert output.out == "1\n"
    assert f"mailq: {bad}: cannot be read" in output.err
    assert good in house.names("queue")


def test_who_may_not_look_gets_counts_only(house: House, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    def refuse(_path: str) -> None:
        raise NotPermitted("only root and the service user may look into the queue")

    monkeypatch.setattr(mailq, "open_place", refuse)
    assert run(house) == 77
    assert capsys.readouterr().err == "mailq: only root and the service user may look into the queue\n"
    drop = house.directory / "drop"
    drop.mkdir()
    (drop / "status").write_bytes(write_json(Records().dump(Counts(5, 2, 1.0))))
    monkeypatch.setenv(queue_place.DROP_VARIABLE, str(drop))
    assert run(house) == 0
    assert capsys.readouterr().out == "-- 7 Requests, 2 of them held.\n"
    assert run(house, "--count") == 0
    assert capsys.readouterr().out == "7\n"
    assert run(house, "--json") == 77
    assert run(house, "--from", "ada@example.com", "--count") == 77


def test_no_queue_and_no_configuration(house: House, capsys: Output) -> None:
    assert main(["--config", "/nonexistent/mailsrv.toml"]) == 78
    house.configure("")
    text = house.config.read_text().replace("/data", "/elsewhere")
    house.config.write_text(text)
    assert run(house) == 69
    assert "mailsrv serve" in capsys.readouterr().err
