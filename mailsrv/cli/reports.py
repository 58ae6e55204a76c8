"""`mailsrv reports`: DMARC reports that this server sends, and what those of others say of our domains.

Reads the files of mailsrv-store(5), section FEEDBACK, and changes nothing. What others reported is shown as they wrote
it, but for what a terminal cannot bear.

Diagnostics: ConfigError; NotPermitted for a user who may not read the files; StorageError from the disk. `run` gives
the exit code.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mailsrv.authn.aggregate import tally
from mailsrv.authn.dmarc_row import DmarcRow
from mailsrv.cli.control import print_table
from mailsrv.cli.program import NotPermitted
from mailsrv.cli.queue_place import become_service_user
from mailsrv.config.load import load
from mailsrv.errors import Exit
from mailsrv.store.feedback_layout import DAY_SECONDS, MAX_DAY_OCTETS, FeedbackLayout, beginning_of, day_of, is_day
from mailsrv.store.feedback_ledger import MAX_LEDGER, DayReports, read_reports
from mailsrv.store.feedback_lines import LeftOut, read_rows
from mailsrv.store.feedback_received import AggregateSeen, Entry, FailureSeen, Received, Unreadable, dump
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk, Missing

_DAYS = 7
_MOST_DAYS = 10_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A day's report about one Policy Domain. `state`: collected (its time has not come), named (it is being made),
    queued, skipped; `reason` why it was skipped, `id` the report's own."""

    day: str
    domain: str
    state: str
    to: tuple[str, ...] = ()
    records: int = 0
    messages: int = 0
    id: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """An object of `--json`."""
        return {
            "kind": "sent", "day": self.day, "domain": self.domain, "state": self.state, "to": list(self.to),
            "records": self.records, "messages": self.messages, "id": self.id, "reason": self.reason,
        }  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--days and --json."""
    parser.add_argument(
        "--days",
        metavar="N",
        type=_number,
        default=_DAYS,
        help=f"of the last N days, today included (default: {_DAYS})",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each line")


def run(arguments: argparse.Namespace) -> int:
    """Print both tables."""
    config = load(arguments.config, os.environ)
    try:
        become_service_user(config)
    except NotPermitted:
        raise NotPermitted("only root and the service user may read what is reported") from None
    disk, layout = Disk(), FeedbackLayout(config.data_dir)
    first = day_of(SystemClock.now() - (arguments.days - 1) * DAY_SECONDS)
    sent = [row for day in _days(disk, layout) if day >= first for row in _sent(disk, layout, day)]
    received = list(_choose(Received(disk, layout), beginning_of(first)))
    if arguments.json:
        for value in (*(row.to_json() for row in sent), *(dump(entry) for entry in received)):
            print(json.dumps(value))
        return Exit.OK
    _print_sent(sent)
    print()
    _print_received(received)
    return Exit.OK


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _MOST_DAYS):
        raise argparse.ArgumentTypeError(f"{text} is no number of days from 1")
    return int(text)


def _days(disk: Disk, layout: FeedbackLayout) -> list[str]:
    """The days of which there is anything."""
    found: set[str] = set()
    for directory in (layout.rows, layout.sent):
        with suppress(Missing):
            found.update(filter(None, map(is_day, disk.names(directory))))
    return sorted(found)


def _sent(disk: Disk, layout: FeedbackLayout, day: str) -> Iterator[Sent]:
    """What became of a day's rows, or will."""
    known = DayReports()
    with suppress(Missing):
        known = read_reports(disk.read(layout.sent_of(day), MAX_LEDGER))
    for one in known.named.values():
        if one.domain not in known.skipped:
            state = "queued" if one.id in known.queued else "named"
            yield Sent(day, one.domain, state, one.to, one.rows, one.messages, one.id)
    for skipped in known.skipped.values():
        yield Sent(day, skipped.domain, "skipped", (), skipped.rows, skipped.messages, "", skipped.reason)
    left_out = known.done.left_out if known.done is not None else 0
    if known.done is None:
        rows: list[DmarcRow] = []
        with suppress(Missing):
            for row in read_rows(disk.read(layout.rows_of(day), 2 * MAX_DAY_OCTETS).split(b"\n")):
                if isinstance(row, LeftOut):
                    left_out += row.left_out
                else:
                    rows.append(row)
        for domain, counted in sorted(tally(rows).items()):
            if not known.knows(domain):
                yield Sent(day, domain, "collected", (), len(counted.records()), counted.messages)
    if left_out:
        yield Sent(day, "", "skipped", (), 0, left_out, "", "no room, or lines that cannot be read")


def _choose(received: Received, since: float) -> Iterator[Entry]:
    """What was received since a moment; reports that came twice once."""
    entries = [entry for entry in received.read() if entry.at >= since]
    readable = {entry.id for entry in entries if not isinstance(entry, Unreadable)}
    seen = set()
    for entry in entries:
        if isinstance(entry, AggregateSeen):
            key: tuple[object, ...] = (entry.reporter, entry.report_id, entry.domain, entry.begin)
        elif isinstance(entry, Unreadable) and entry.id in readable:
            continue
        else:
            key = (entry.id,)
        if key not in seen:
            seen.add(key)
            yield entry


def _print_sent(rows: list[Sent]) -> None:
    if not rows:
        print("No messages are collected for DMARC reports, and none were sent; see dmarc.report in mailsrv.toml(5).")
        return
    heads = ("DAY", "DOMAIN", "STATE", "RECORDS", "MESSAGES", "ID", "TO")
    print_table(
        heads,
        [
            (row.day, row.domain or "-", row.state, row.records, row.messages, row.id or "-", _show_to(row))
            for row in rows
        ],
    )


def _show_to(row: Sent) -> str:
    return f"({row.reason})" if row.reason else ", ".join(row.to) or "-"


def _print_received(entries: list[Entry]) -> None:
    """A table for each kind."""
    if not entries:
        print("No reports of others were received.")
        return
    reports = [entry for entry in entries if isinstance(entry, AggregateSeen)]
    failures = [entry for entry in entries if isinstance(entry, FailureSeen)]
    rest = [entry for entry in entries if isinstance(entry, Unreadable)]
    tables: list[tuple[tuple[str, ...], list[tuple[object, ...]]]] = [
        (("DAY", "REPORTER", "DOMAIN", "SOURCE", "MESSAGES", "PASS", "FAIL"), [*_cells(reports)]),
        (
            ("DAY", "FAILURE REPORTED BY", "DOMAIN", "SOURCE", "FAILED", "DELIVERY", "MESSAGES"),
            [
                (
                    day_of(one.at), one.reporter, one.domain or "-", one.source or "-", one.failure or one.feedback,
                    one.delivery or "-", one.incidents,
                )
                for one in failures
            ],
        ),
        (("DAY", "NOT READ", "WHY"), [(day_of(one.at), one.id, one.reason) for one in rest]),
    ]  # fmt: skip
    is_first = True
    for heads, cells in tables:
        if cells:
            if not is_first:
                print()
            print_table(heads, cells)
            is_first = False


def _cells(reports: list[AggregateSeen]) -> Iterator[tuple[object, ...]]:
    """One line for each source of a report, those first that sent most."""
    for one in reports:
        day = day_of(one.begin) if 0 <= one.begin < 1 << 37 else "-"
        head = (day, one.reporter or one.email or "-", one.domain or "-")
        messages, passed = one.messages, one.passed
        for source in one.sources:
            yield (*head, source.address or "-", source.messages, source.passed, source.messages - source.passed)
            messages, passed = messages - source.messages, passed - source.passed
        if one.more or not one.sources:
            yield (*head, f"{one.more} others", messages, passed, messages - passed)
