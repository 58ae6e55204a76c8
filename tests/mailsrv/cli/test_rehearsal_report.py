"""What a rehearsal shows: columns, the fields that came and went, and nothing that steers a terminal."""

import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.findings import DkimFinding, DmarcFinding, Policy, Result
from mailsrv.cli.rehearsal_house import Traces
from mailsrv.cli.rehearsal_lookups import Lookup
from mailsrv.cli.rehearsal_report import (
    Destination,
    destinations,
    facts,
    message_to_json,
    print_lines,
    show_check,
    show_lookups,
    show_message,
    to_json,
)
from mailsrv.cli.rehearsal_session import Attempt, Course, Exchange
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient

ALICE, REMOTE, TEAM = Address("alice", "example.org"), Address("b", "far.example"), Address("team", "example.org")
MESSAGE = b"A: 1\r\nReceived: old\r\nX: 2\r\nX: 2\r\n\r\nbody\r\n"
ATTEMPT = Attempt("192.0.2.7", "h", None, (ALICE,), MESSAGE)
RECORD = {
    "rules": [
        {"stage": "data", "rule": "hops", "input": 3, "result": "accept"},
        {"stage": "mail", "rule": "size", "input": ["a", "b"], "result": "accept"},
    ],
    "recipients": [
        {"forward_path": "alice@example.org", "rule": "account", "accounts": ("alice",), "result": "accept"},
        {"forward_path": "gone@example.org", "rule": "alias", "accounts": (), "result": "accept"},
        {"forward_path": "x@example.org", "rule": "unknown", "result": "reject", "reply": "550 5.1.1 no"},
    ],
}


def accepted(stored: bytes, *recipients: Recipient, mailbox: str = "") -> Traces:
    traces = Traces(records=[RECORD])
    envelope = Envelope("TEST", 0, None, recipients or (Recipient(ALICE, account="alice"),), mailbox=mailbox)
    traces.kept.append((envelope, stored, b"Return-Path: <>\r\n"))
    return traces


def course(*exchanges: tuple[str, str], verdict: str = "accept") -> Course:
    made = tuple(Exchange(command, (reply,)) for command, reply in exchanges or [("connect", "220 hello")])
    return Course(made, made[-1].reply, verdict)


def section(lines: Iterator[str], title: str) -> list[str]:
    """The lines of a section."""
    text = "\n".join(lines) + "\n"
    return text.partition(f"{title}\n")[2].partition("\n\n")[0].splitlines() if f"{title}\n" in text else []


def test_rules_stand_in_the_order_of_the_stages() -> None:
    assert section(show_message(ATTEMPT, course(), Traces(records=[RECORD])), "CHECKS") == [
        "  mail  size       a, b               accept",
        "  rcpt  recipient  alice@example.org  accept by account: alice",
        "  rcpt  recipient  gone@example.org   accept by alias: no account",
        "  rcpt  recipient  x@example.org      reject by unknown: 550 5.1.1 no",
        "  data  hops       3                  accept",
    ]


@pytest.mark.parametrize(
    ("stored", "added", "removed"),
    [
        (b"B: 3\r\n y\r\nReceived: us\r\n" + MESSAGE, ["Return-Path: <>", "B: 3", " y", "Received: us"], []),
        (b"Received: us\r\nA: 1\r\nReceived: old\r\n\r\n", ["Return-Path: <>", "Received: us"], ["X: 2", "X: 2"]),
        (b"Received: us\r\nA: 1\r\nX: 2\r\nX: 2\r\n\r\n", ["Return-Path: <>", "Received: us"], ["Received: old"]),
        (b"Received: us\r\n\r\n", ["Return-Path: <>", "Received: us"], ["A: 1", "Received: old", "X: 2", "X: 2"]),
    ],
)  # fmt: skip
def test_fields_that_came_and_went(stored: bytes, added: list[str], removed: list[str]) -> None:
    traces = accepted(stored)
    assert section(show_message(ATTEMPT, course(), traces), "FIELDS ON TOP") == [f"  {line}" for line in added]
    assert section(show_message(ATTEMPT, course(), traces), "FIELDS REMOVED") == [f"  {line}" for line in removed]
    found = json.loads(message_to_json(ATTEMPT, course(), traces))
    assert "".join(found["added"]) == "".join(f"{line}\r\n" for line in added)
    assert found["removed"] == [f"{line}\r\n" for line in removed]


def test_where_each_copy_goes() -> None:
    recipients = (Recipient(ALICE, account="alice", original=TEAM), Recipient(REMOTE, original=TEAM), Recipient(REMOTE))
    traces = accepted(b"Received: us\r\n\r\n", *recipients, mailbox="Junk")
    assert destinations(traces) == [
        Destination("alice@example.org", "team@example.org", "alice", "Junk"),
        Destination("b@far.example", "team@example.org", "", ""),
        Destination("b@far.example", "", "", ""),
    ]
    exchanges = (("RCPT TO:<x@example.org>", "550 no"), ("RCPT TO:<alice@example.org>", "250 ok"), ("DATA", "250 ok"))
    assert section(show_message(ATTEMPT, course(*exchanges), traces), "MAILBOX") == [
        "  team@example.org  Junk of alice",
        "  team@example.org  queue for b@far.example",
        "  b@far.example     queue for b@far.example",
        "  x@example.org     nowhere: 550 no",
    ]


def test_a_message_that_goes_nowhere() -> None:
    lines = list(show_message(ATTEMPT, course(("connect", "554 no"), verdict="reject"), Traces()))
    assert lines == [
        "SESSION", "  connect  554 no", "", "MAILBOX", "  alice@example.org  nowhere", "", "REJECT: 554 no",
    ]  # fmt: skip
    assert json.loads(message_to_json(ATTEMPT, course(), Traces()))["decision"] is None


def test_questions_stand_under_their_checks() -> None:
    traces = Traces()
    traces.transcript.lookups += [
        Lookup("spf", "far.example", "TXT", "found", ('"a"', '"b"')),
        Lookup("iprev", "x", "PTR", "failed", failure="x PTR: silence"),
        Lookup("spf", "x", "A", "no such name"),
    ]
    assert list(show_lookups(traces.transcript)) == [
        "DNS",
        "  spf",
        '    far.example TXT  "a"',
        '                     "b"',
        "    x A              no such name",
        "  iprev",
        "    x PTR            failed: silence",
        "",
    ]
    assert list(show_lookups(Traces().transcript)) == []


def test_facts_are_what_says_something() -> None:
    assert facts(DkimFinding(Result.POLICY, "far.example", "s", bits=512, testing=True)) == [
        ("result", "policy"), ("domain", "far.example"), ("selector", "s"), ("bits", "512"), ("testing", "yes"),
    ]  # fmt: skip
    found = dict(facts(DmarcFinding(Result.PASS, aligned=(("spf", "a.example"), ("dkim", "b.example")))))
    assert found == {"result": "pass", "policy": "none", "asked": "none", "aligned": "spf a.example, dkim b.example"}


def test_enums_are_words_in_json() -> None:
    assert json.loads(to_json({"a": Policy.NONE, "b": (Result.PASS,), "c": Address("a", "b")})) == {
        "a": "none", "b": ["pass"], "c": "a@b",
    }  # fmt: skip


def test_what_the_terminal_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(octets, "latin-1", write_through=True))
    print_lines(["ü", "\u0436", "\ud800"])
    assert octets.getvalue() == b"\xfc\n?\n?\n"


@given(st.text(max_size=40), st.binary(max_size=80))
def test_nothing_steers_a_terminal(text: str, octets: bytes) -> None:
    traces = accepted(b"A: " + octets.replace(b"\n", b"") + b"\r\nReceived: us\r\n\r\n")
    rule = {"stage": "data", "rule": "filter", "input": text, "result": text}
    traces.records = [{"rules": [rule], "recipients": []}]
    traces.notes.append(text)
    traces.transcript.lookups.append(Lookup(text, text, text, "found", (text,), text))
    attempt = Attempt("192.0.2.7", text, None, (ALICE,), b"X: " + octets + b"\r\n\r\n")
    lines = [*show_message(attempt, course((text, text)), traces)]
    lines += show_check("spf", [(text, text)], traces.transcript, [("spf", [(text, text)])])
    assert all(line.isprintable() for line in lines)
    assert all(" " <= character <= "~" or character == "\n" for character in message_to_json(attempt, course(), traces))
