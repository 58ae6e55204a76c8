"""`mailsrv stop`, `reload`, `status`, `who` and `kick`: what the running server is asked through its control socket.

Diagnostics: Refused when no server runs, or it says no; ConfigError when the configuration that names data_dir, or
the new one that `reload` brings, is wrong. Each `run_...` gives the exit code.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence

from mailsrv.config.load import load
from mailsrv.errors import ConfigError, Exit
from mailsrv.serve.control import Answer, Declined, Request, ask
from mailsrv.system.process import wait_for_end

ANSWER_SECONDS = 30.0


def ask_server(arguments: argparse.Namespace, request: Request, seconds: float | None = ANSWER_SECONDS) -> Answer:
    """Ask the server of the data_dir that the arguments name. Raises Refused, ConfigError."""
    return ask(arguments.data_dir or load(arguments.config, os.environ).data_dir, request, seconds)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """--data-dir, for a server whose configuration file is just being changed."""
    parser.add_argument(
        "--data-dir", metavar="DIRECTORY", default="", help="the server's data_dir, instead of reading it from FILE"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_arguments_stop(parser: argparse.ArgumentParser) -> None:
    """--now, --timeout."""
    add_data_dir(parser)
    parser.add_argument("--now", action="store_true", help="end the sessions at once, transactions in progress too")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="wait no longer (default: to the end)")


def run_stop(arguments: argparse.Namespace) -> int:
    """Returns when the server is gone: 0, or 75 when it still drains after --timeout."""
    pid = ask_server(arguments, {"verb": "stop", "now": arguments.now})["pid"]
    if wait_for_end(pid, arguments.timeout):
        return Exit.OK
    print(f"mailsrv: the server (process {pid}) still drains; `mailsrv stop --now` ends it", file=sys.stderr)
    return Exit.TEMPFAIL


def add_arguments_reload(parser: argparse.ArgumentParser) -> None:
    """None but --data-dir."""
    add_data_dir(parser)


def run_reload(arguments: argparse.Namespace) -> int:
    """Returns when the new configuration serves: 0, or 78 with the complaints on standard error when it was refused."""
    try:
        answer = ask_server(arguments, {"verb": "reload"}, None)
    except Declined as error:
        raise ConfigError(str(error).splitlines()) from error
    print(f"mailsrv: generation {answer['generation']} serves", file=sys.stderr)
    return Exit.OK


def add_arguments_status(parser: argparse.ArgumentParser) -> None:
    """--json."""
    add_data_dir(parser)
    _add_json(parser)


def run_status(arguments: argparse.Namespace) -> int:
    """0 and the state of the server on standard output, 69 when none runs."""
    answer = ask_server(arguments, {"verb": "status"})
    if arguments.json:
        return print_json(answer)
    for name, value in (
        ("state", f"{answer['state']}, generation {answer['generation']}"),
        ("process", answer["pid"]),
        ("up", span(answer["seconds"])),
        ("version", answer["version"]),
        ("config", answer["config"]),
        ("listeners", ", ".join(answer["listeners"]) or "none"),
        ("connections", answer["connections"]),
        ("bans", answer["bans"]),
    ):
        print(f"{name:<12} {value}")
    print()
    rows = [
        (*(worker[name] for name in ("kind", "number", "generation", "pid", "state")), span(worker["seconds"]))
        for worker in answer["workers"]
    ]
    print_table(("KIND", "NUMBER", "GENERATION", "PID", "STATE", "FOR"), rows)
    print()
    for name, total in answer["totals"].items():
        print(f"{name:<20} {total:>12}")
    return Exit.OK


def add_arguments_who(parser: argparse.ArgumentParser) -> None:
    """--json."""
    add_data_dir(parser)
    _add_json(parser)


def run_who(arguments: argparse.Namespace) -> int:
    """One session a line, the oldest first."""
    answer = ask_server(arguments, {"verb": "who"})
    if arguments.json:
        return print_json(answer["sessions"])
    rows = [
        (session["id"], session["kind"], session["client"], session["account"] or "-", span(session["seconds"]))
        for session in answer["sessions"]
    ]
    print_table(("ID", "KIND", "CLIENT", "ACCOUNT", "FOR"), rows)
    return Exit.OK


def add_arguments_kick(parser: argparse.ArgumentParser) -> None:
    """The session's ID."""
    add_data_dir(parser)
    parser.add_argument("id", metavar="ID", help="the session, as `mailsrv who` and the log show it")


def run_kick(arguments: argparse.Namespace) -> int:
    """0 when the session was told to end; the client gets 421."""
    ask_server(arguments, {"verb": "kick", "id": arguments.id})
    return Exit.OK


def print_json(value: object) -> int:
    """A value on standard output, for programs."""
    print(json.dumps(value, indent=2))
    return Exit.OK


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest text."""
    lines = [heads, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def span(seconds: float) -> str:
    """A time for people: 12s, 3m05s, 2h10m, 5d03h."""
    whole = int(seconds)
    for unit, smaller, size in (("d", "h", 86400), ("h", "m", 3600), ("m", "s", 60)):
        if whole >= size:
            rest = whole % size * {"h": 24, "m": 60, "s": 60}[smaller] // size
            return f"{whole // size}{unit}{rest:02d}{smaller}"
    return f"{whole}s"
