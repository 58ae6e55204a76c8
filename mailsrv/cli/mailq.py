"""mailq(1): shows what waits in the queue, for people, for programs, and counted.

Nothing is changed and no lock is taken: it may run at any time, on a live server.

Diagnostics: `main` gives the exit code; see mailsrv.cli.program.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mailsrv.cli import queue_table
# All imports stand here: the service user, which root becomes, may not be able to reach the program's files.
from mailsrv.cli.control import print_table
from mailsrv.cli.program import NotPermitted, make_parser, run_program
from mailsrv.cli.queue_place import Place, find_drop_dir, open_place
from mailsrv.cli.queue_why import explain
from mailsrv.cli.queue_selectors import Selection, add_selectors, read_selection, select
from mailsrv.errors import Exit
from mailsrv.mail.address import domain_key
from mailsrv.receive.drops import read_counts
from mailsrv.spool.scan import list_ids
from mailsrv.spool.summary import Summary
from mailsrv.system.disk import Disk
from mailsrv.text.record import write_json


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (those of the process by default)."""
    return run_program("mailq", lambda: run(_make_parser().parse_args(argv)))


def _make_parser() -> argparse.ArgumentParser:
    parser = make_parser("mailq", "Show the messages that wait in the queue.")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object on each line")
    form.add_argument("--count", action="store_true", help="only how many messages")
    form.add_argument(
        "--by", metavar="KEY[,age]", type=_read_by,
        help=f"count waiting recipients by one of {', '.join(queue_table.KEYS)}, and their age in minutes",
    )  # fmt: skip
    form.add_argument("--why", metavar="DOMAIN", help="when mail for DOMAIN is tried next, and why not now")
    add_selectors(parser)
    return parser


def _read_by(text: str) -> tuple[str, bool]:
    key, comma, age = text.partition(",")
    if key not in queue_table.KEYS or (comma and age != "age"):
        known = ", ".join(queue_table.KEYS)
        raise argparse.ArgumentTypeError(f"{text!r} must be one of {known}, with or without ,age behind it")
    return key, bool(comma)


def run(arguments: argparse.Namespace) -> int:
    """Show it: 0, or 1 when a file could not be read."""
    selection = read_selection(arguments)
    try:
        place = open_place(arguments.config)
    except NotPermitted:
        return _show_counts(arguments, selection)
    if arguments.count and selection.is_everything:
        # No file needs to be read for that.
        print(len(list_ids(place.disk, place.layout)))
        return Exit.OK
    faults: list[str] = []
    if arguments.why:
        selection = replace(selection, domains=(domain_key(arguments.why),))
    summaries = select(place.disk, place.layout, selection, place.clock.now(), faults.append)
    _show(place, arguments, summaries)
    corrupt = len({name.partition(".")[0] for name in place.disk.names(place.layout.corrupt)} - {""})
    if corrupt and sys.stderr.isatty():
        print(f"mailq: {place.layout.corrupt} has {corrupt} damaged messages", file=sys.stderr)
    for fault in faults:
        print(f"mailq: {fault}", file=sys.stderr)
    return Exit.FAILED if faults else Exit.OK


def _show(place: Place, arguments: argparse.Namespace, summaries: Iterator[Summary]) -> None:
    if arguments.json:
        for summary in summaries:
            sys.stdout.write(write_json(queue_table.to_json(summary)).decode("ascii") + "\n")
    elif arguments.count:
        print(sum(1 for _ in summaries))
    elif arguments.by:
        key, by_age = arguments.by
        heads, *rows = queue_table.shape(summaries, key, place.clock.now(), by_age)
        print_table(heads, rows)
    elif arguments.why:
        for line in explain(place, arguments.why, list(summaries)):
            print(line)
    else:
        for line in queue_table.table(summaries):
            print(line)


def _show_counts(arguments: argparse.Namespace, selection: Selection) -> int:
    """All that a user may see who may not read the queue: the numbers that the runner leaves in the drop directory."""
    directory = find_drop_dir(arguments.config)
    counts = read_counts(Disk(), directory) if directory else None
    if counts is None:
        raise NotPermitted("only root and the service user may look into the queue")
    if arguments.json or arguments.by or arguments.why or not selection.is_everything:
        raise NotPermitted("only root and the service user may see more than how many messages wait")
    if arguments.count:
        print(counts.queued + counts.held)
    else:
        print(f"-- {counts.queued + counts.held} Requests, {counts.held} of them held.")
    return Exit.OK


