"""Cases of reports: tests/cases/dsn/NN-name/ with what is in the queue, what happened, and the report, octet for octet.

envelope.json    the envelope, as the first line of a queue file has it (without version and nonce; size is counted)
outcomes.json    {"now", "outcomes": [...], "reported": [[kind, [indices]]], "passed_on": [...], "settings": {...}}
message.eml      the original
expected.eml     the report; the file is missing where none is due

Where words or fields have been changed on purpose, `python -m tests.cases.dsn.case` writes each expected.eml anew; read
the difference before it is committed.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from mailsrv.deliver import bounce
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.due import Report, ReportSettings, find_due
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.format import RECORDS
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FakeDisk
from tests.fakes.entropy import FakeEntropy

HERE = Path(__file__).parent
REPORT_ID = "3RkXbN5Wq1b"


@dataclass(frozen=True)
class Case:
    envelope: Envelope
    outcomes: dict
    reported: tuple
    passed_on: tuple
    settings: ReportSettings
    now: float
    message: bytes

    def due(self) -> Report | None:
        return find_due(self.envelope, self.outcomes, self.reported, self.now, self.settings, self.passed_on)

    def make(self, report: Report) -> tuple[Envelope, bytes]:
        disk = FakeDisk()
        with mock.patch.object(bounce, "entropy", FakeEntropy()):
            bouncer = Bouncer(disk, Spool(disk, "/data"), self.settings, FakeClock(self.now))
            return bouncer.make(REPORT_ID, report, self.envelope, lambda limit: self.message[:limit])


def names() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob("*/envelope.json"))


def load(name: str) -> Case:
    directory = HERE / name
    message = (directory / "message.eml").read_bytes()
    envelope = RECORDS.load(Envelope, json.loads((directory / "envelope.json").read_text("utf-8")))
    given = json.loads((directory / "outcomes.json").read_text("utf-8"))
    outcomes = [Outcome(**{**one, "status": Status(one["status"])}) for one in given["outcomes"]]
    settings = given.get("settings", {})
    settings["languages"] = tuple(settings.get("languages", ["en"]))
    return Case(
        replace(envelope, size=len(message)),
        {one.recipient: one for one in outcomes},
        tuple(
            SimpleNamespace(kind=Kind(kind), recipients=tuple(indices)) for kind, indices in given.get("reported", [])
        ),
        tuple(given.get("passed_on", [])),
        ReportSettings("mx.sender.example", **settings),
        given["now"],
        message,
    )


def expected(name: str) -> bytes | None:
    path = HERE / name / "expected.eml"
    return path.read_bytes() if path.exists() else None


def rewrite() -> None:
    for name in names():
        case = load(name)
        report = case.due()
        path = HERE / name / "expected.eml"
        if report is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(case.make(report)[1])


if __name__ == "__main__":
    rewrite()
