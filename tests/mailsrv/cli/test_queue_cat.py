"""mailrun cat: every kind of line, and a terminal that is not steered."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mailsrv.cli.queue_cat import cat, describe
from mailsrv.cli.queue_place import open_place
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import DsnRequest, MailParameters
from tests.mailsrv.cli import queue_house
from tests.mailsrv.cli.queue_house import House, build
from tests.mailsrv.cli.test_queue_selectors import SUMMARY


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def test_the_envelope() -> None:
    recipients = list(SUMMARY.envelope.recipients)
    recipients[2] = replace(recipients[2], dsn=DsnRequest(("NEVER",)))
    parameters = MailParameters(smtputf8=True, ret="FULL", envid="x\x1b")
    envelope = replace(SUMMARY.envelope, recipients=tuple(recipients), parameters=parameters, client="192.0.2.9")
    lines = list(describe(replace(SUMMARY, envelope=envelope)))
    assert lines == [
        "status: deferred", "received: 2027-01-15T07:00:00Z", "client: 192.0.2.9", "size: 0",
        "next attempt: 2027-01-15T08:10:00Z", "sender: Ada@example.com", "ret: FULL", "envid: x?", "smtputf8: yes",
        "recipient 0: done@example.org (relayed)",
        "recipient 1: bob@sub.example.net (for list@example.com, delayed)",
        "recipient 2: eve@[192.0.2.7] (notify NEVER, not tried)",
    ]  # fmt: skip


def test_the_journal(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = house.put()
    house.defer(identifier, "451 later")
    with house.claims.try_claim(identifier) or pytest.fail("no claim") as claim:
        claim.journal_report(Kind.DELAYED, "dfrD70rmc1d9", [0])
        claim.reported("dfrD70rmc1d9")
        claim.note("reroute", "mx:a.example")
    assert cat(open_place(str(house.config)), identifier) == 0
    out = capsys.readouterr().out
    for text in (
        "waits until 2027-", "report dfrD70rmc1d9 (delayed) about recipients 0", "report dfrD70rmc1d9 is queued",
        "reroute mx:a.example",
    ):  # fmt: skip
        assert text in out


def test_a_terminal_is_not_steered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "Subject: gr\xfcn\r\n\r\na\tb\x1b[2J\r\n".encode()
    monkeypatch.setattr(queue_house, "MESSAGE", message)
    identifier = house.put()

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cat(open_place(str(house.config)), identifier) == 0
    assert "*** MESSAGE ***\nSubject: gr\xfcn\n\na    b?[2J\n*** END ***\n" in terminal.getvalue()
