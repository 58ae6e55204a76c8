"""What a rehearsal shows: the same facts in columns for people and as JSON for programs.

Whatever a message, the DNS or a list says is shown without anything that could steer a terminal.

Diagnostics: raises nothing.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from mailsrv.mail.envelope import Envelope
from mailsrv.mail.header import Header, scan
from mailsrv.cli.queue_table import clean
from mailsrv.cli.rehearsal_house import Traces
from mailsrv.cli.rehearsal_lookups import Lookup, Transcript
from mailsrv.cli.rehearsal_session import Attempt, Course, Exchange

_STAGES = ("mail", "rcpt", "data")
_NOTHING = ("", (), 0, False, None)
_WIDEST = 44  # characters of a column; a longer cell pushes the next ones away

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a recipient's copy would go: `account` with `mailbox`, or the queue when there is no account. `original`
    is the address that was named when an alias stands for others."""

    recipient: str
    original: str
    account: str
    mailbox: str

    def __str__(self) -> str:
        return f"{self.mailbox} of {self.account}" if self.account else f"queue for {self.recipient}"


def show_message(attempt: Attempt, course: Course, traces: Traces) -> Iterator[str]:
    """A whole rehearsal, line by line."""
    yield from _section("SESSION", [(one.command, _essence(one)) for one in course.exchanges])
    yield from _section("CHECKS", _rules(traces.records))
    yield from show_lookups(traces.transcript)
    added, removed = _compare(attempt.message, traces)
    if added:
        yield "FIELDS ON TOP"
        for octets in added:
            for line in octets.decode("utf-8", "replace").removesuffix("\r\n").split("\r\n"):
                yield "  " + clean(line.replace("\t", "    "))
        yield ""
    if removed:
        yield "FIELDS REMOVED"
        for octets in removed:
            yield "  " + clean(" ".join(octets.decode("utf-8", "replace").split()))
        yield ""
    reached = [(one.original or one.recipient, str(one)) for one in destinations(traces)]
    refused = [(path, f"nowhere: {reply}") for path, reply in _refused(course)]
    if not reached and not refused:
        refused = [(str(path), "nowhere") for path in attempt.recipients]
    yield from _section("MAILBOX", [*reached, *refused])
    yield from _section("NOTES", [(note,) for note in traces.notes])
    yield f"{course.verdict.upper()}: {clean(course.outcome)}"


def message_to_json(attempt: Attempt, course: Course, traces: Traces) -> str:
    """A whole rehearsal as one JSON object."""
    added, removed = _compare(attempt.message, traces)
    return to_json(
        {
            "version": 1,
            "verdict": course.verdict,
            "reply": course.outcome,
            "session": [{"command": one.command, "replies": list(one.replies)} for one in course.exchanges],
            "decision": traces.records[-1] if traces.records else None,
            "dns": lookups_to_json(traces.transcript),
            "added": [octets.decode("utf-8", "replace") for octets in added],
            "removed": [octets.decode("utf-8", "replace") for octets in removed],
            "mailboxes": [asdict(one) for one in destinations(traces)],
            "notes": traces.notes,
        }
    )


def show_check(
    name: str, inputs: Rows, transcript: Transcript, results: Sequence[tuple[str, Rows]]
) -> Iterator[str]:
    """One check: what it was given, what it asked, and each (method, finding)."""
    yield from _section(name.upper(), inputs)
    yield from show_lookups(transcript)
    for method, rows in results:
        yield from _section(f"FOUND BY {method.upper()}", rows)


def show_lookups(transcript: Transcript) -> Iterator[str]:
    """Each question with its answer, under the check that asked it."""
    checks = transcript.by_check()
    if not checks:
        return
    yield "DNS"
    width = min(_WIDEST, max(len(_question(one)) for lookups in checks.values() for one in lookups))
    for check, lookups in checks.items():
        yield f"  {clean(check)}"
        for lookup in lookups:
            first, *others = lookup.lines()
            yield f"    {clean(_question(lookup)):<{width}}  {clean(first)}"
            yield from (f"    {'':<{width}}  {clean(other)}" for other in others)
    yield ""


def lookups_to_json(transcript: Transcript) -> list[dict[str, Any]]:
    """Every lookup, in the order asked."""
    return [lookup.to_json() for lookup in transcript.lookups]


def to_json(value: object) -> str:
    """A value as ASCII; words of an Enum as they are."""
    return json.dumps(value, indent=2, default=_plain)


def facts(value: Any) -> list[tuple[str, str]]:
    """A finding as rows: each field that says something."""
    return [(name.replace("_", " "), _text(one)) for name, one in asdict(value).items() if one not in _NOTHING]


def destinations(traces: Traces) -> list[Destination]:
    """Where the message would lie."""
    return [one for envelope, _octets, _path in traces.kept for one in _destinations(envelope)]


def _destinations(envelope: Envelope) -> Iterator[Destination]:
    for one in envelope.recipients:
        original = str(one.original) if one.original is not None else ""
        mailbox = (envelope.mailbox or "INBOX") if one.account else ""
        yield Destination(str(one.address), original, one.account, mailbox)


def _essence(exchange: Exchange) -> str:
    """The line of a reply that people want to see: of what follows EHLO, the name and not the last extension."""
    return exchange.replies[0] if exchange.command.startswith("EHLO ") and exchange.replies else exchange.reply


def _question(lookup: Lookup) -> str:
    return f"{lookup.name} {lookup.kind}"


def _refused(course: Course) -> Iterator[tuple[str, str]]:
    """The recipients that were refused at RCPT."""
    for one in course.exchanges:
        if one.command.startswith("RCPT ") and one.code >= 400:
            yield one.command.partition("<")[2].removesuffix(">"), one.reply


def _rules(records: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Every rule of the decision record in the order of the stages, recipients among them."""
    rows: list[tuple[str, ...]] = []
    for record in records:
        by_stage = {stage: [one for one in record["rules"] if one["stage"] == stage] for stage in _STAGES}
        for stage, rules in by_stage.items():
            rows += [(stage, rule["rule"], _text(rule["input"]), rule["result"]) for rule in rules]
            if stage == "rcpt":
                rows += [(stage, "recipient", one["forward_path"], _answer(one)) for one in record["recipients"]]
    return rows


def _answer(recipient: dict[str, Any]) -> str:
    """What a recipient came to: the rule, and the accounts or the refusal."""
    what = recipient.get("reply") or ", ".join(recipient["accounts"]) or "no account"
    return f"{recipient['result']} by {recipient['rule']}: {what}"


def _compare(message: bytes, traces: Traces) -> tuple[list[bytes], list[bytes]]:
    """The fields that were put on top, and those that were taken away; both empty when nothing is kept."""
    if not traces.kept:
        return [], []
    _envelope, stored, return_path = traces.kept[-1]
    own, other = _fields(stored), Counter(_fields(message))
    top = 1 + next(number for number, octets in enumerate(own) if octets.lower().startswith(b"received:"))
    gone = other - Counter(own[top:])
    return [return_path, *own[:top]], [*gone.elements()]


def _fields(message: bytes) -> list[bytes]:
    header = scan(message, True)
    assert isinstance(header, Header)  # the whole message was given
    return [octets for _name, octets in header.raw_fields()]


def _section(title: str, rows: Rows) -> Iterator[str]:
    """A heading and aligned columns, the last one as long as it is; nothing without rows."""
    if not rows:
        return
    yield title
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [min(_WIDEST, max(len(row[column]) for row in cells)) for column in range(len(cells[0]))]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""


def _text(value: Any) -> str:
    """A value of a finding or a rule in words."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple | list):
        return ", ".join(" ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
    return "yes" if value is True else str(value)


def _plain(value: object) -> object:
    """What json does not know."""
    return value.value if isinstance(value, Enum) else str(value)



def print_lines(lines: Iterable[str]) -> None:
    """On standard output, with a question mark for what its encoding does not have."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        print(line.encode(encoding, "replace").decode(encoding))
