"""Lines for people, values for programs."""

from dataclasses import replace

from mailsrv.cli.queue_table import EMPTY, clean, shape, table, to_json
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.history import Note
from tests.mailsrv.cli.test_queue_selectors import NOW, SUMMARY


def test_nothing() -> None:
    assert list(table([])) == [EMPTY]
    assert list(shape([], "domain", NOW, False)) == [("", "T"), ("TOTAL", "0")]


def test_recipients_stand_below_what_keeps_them_waiting() -> None:
    lines = list(table([SUMMARY]))
    assert lines[2:-1] == [
        "(host mx.example [192.0.2.1] said: 450 4.7.1 greylisted)",
        f"{'':48}bob@sub.example.net", f"{'':48}eve@[192.0.2.7]", "",
    ]  # fmt: skip


def test_who_waits_for_the_same_reason_is_told_it_once() -> None:
    outcomes = {index: Outcome(index, Status.DELAYED, "4.4.1", "no route") for index in range(3)}
    lines = list(table([replace(SUMMARY, outcomes=outcomes, waiting=(0, 1, 2))]))
    assert lines.count("(4.4.1 no route)") == 1


def test_a_terminal_is_not_steered() -> None:
    assert clean("a\x1b[2J\x9bb\nc") == "a?[2J?b?c"
    assert clean("gr\xfcn") == "gr\xfcn"


def test_json() -> None:
    value = to_json(replace(SUMMARY, notes=(Note("reroute", "mx:a.example", 5.0),)))
    assert value["notes"] == [{"action": "reroute", "text": "mx:a.example", "at": 5.0}]
    recipients = value["recipients"]
    assert isinstance(recipients, list)
    assert [row["waiting"] for row in recipients] == [False, True, True]
    assert recipients[1]["original"] == "list@example.com"
    assert "status" not in recipients[2]


def test_counts_by_key() -> None:
    assert list(shape([SUMMARY, SUMMARY], "domain", NOW, False)) == [
        ("", "T"), ("TOTAL", "4"), ("[192.0.2.7]", "2"), ("sub.example.net", "2"),
    ]  # fmt: skip
    assert list(shape([SUMMARY], "error", NOW, False))[2:] == [("4.7.1", "1"), ("none", "1")]
    assert list(shape([SUMMARY], "sender", NOW, False))[2:] == [("Ada@example.com", "2")]
    rows = list(shape([SUMMARY], "status", NOW, True))
    assert rows[2] == ("deferred", "2", "0", "0", "0", "0", "2", "0", "0", "0", "0", "0")


def test_a_report_that_nobody_takes_shows_who_it_was_for() -> None:
    failed = Outcome(1, Status.FAILED, "5.1.1", "550 5.1.1 no such user here")
    summary = replace(SUMMARY, outcomes={0: SUMMARY.outcomes[0], 1: failed}, waiting=(), held=True)
    assert list(table([summary]))[2:4] == ["(550 5.1.1 no such user here)", f"{'':48}bob@sub.example.net"]
    assert list(shape([summary], "domain", NOW, False))[2:] == [("sub.example.net", "1")]
