"""mailsrv(8): finds the command that was asked for, reads its arguments and gives its exit code.

One row of COMMANDS is one command; only the module of the command that runs is imported, so that small commands start
fast. Output is for programs on standard output and for people on standard error. A command's errors are a sentence,
never a traceback; a traceback is a bug.

Diagnostics: `main` gives the exit code and raises only what is a bug; see mailsrv.cli.program.
"""

import argparse
import difflib
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailsrv import __version__
from mailsrv.cli.program import DEFAULT_CONFIG, run_program
from mailsrv.errors import Exit

_CONFIG_HELP = f"the configuration (default: {DEFAULT_CONFIG})"


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its line in the list of commands, and the module that has it.

    The module has `add_arguments(parser)` and `run(arguments) -> int`, both with `_SUFFIX` when it has several
    commands. Where `reads_config`, arguments.config is the path of the configuration.
    """

    help: str
    module: str
    suffix: str = ""
    reads_config: bool = True


COMMANDS = {
    "serve": Command("run the server", "mailsrv.cli.serve"),
    "stop": Command("end the running server, sessions first", "mailsrv.cli.control", "stop"),
    "reload": Command("make the running server read its configuration again", "mailsrv.cli.control", "reload"),
    "status": Command("show the running server's processes and numbers", "mailsrv.cli.control", "status"),
    "who": Command("list the sessions of the running server", "mailsrv.cli.control", "who"),
    "kick": Command("end a session of the running server", "mailsrv.cli.control", "kick"),
    "ban": Command("list, add or remove banned addresses", "mailsrv.cli.ban"),
    "config": Command("show the configuration as the server uses it", "mailsrv.cli.config_show"),
    "config-check": Command("check the configuration and report every fault", "mailsrv.cli.config_check"),
    "dkim-keygen": Command("make DKIM keys and print their DNS records", "mailsrv.cli.dkim", "keygen"),
    "dkim": Command("show the DKIM keys and rotate them", "mailsrv.cli.dkim"),
    "reports": Command("show DMARC reports, sent and received", "mailsrv.cli.reports"),
    "passwd": Command("make the hashes of a password for the configuration", "mailsrv.cli.passwd", reads_config=False),
    "test": Command("show what the server would do with a message, without delivering it", "mailsrv.cli.rehearsal"),
    "try": Command("run a complete server on loopback, to try it out", "mailsrv.cli.try_server", reads_config=False),
    "mailbox": Command("list, make, rename, delete and subscribe the mailboxes of an account", "mailsrv.cli.mailbox"),
    "quota": Command("show and set what accounts may store", "mailsrv.cli.quota"),
    "import": Command("take mail from a Maildir, an mbox or another server into an account", "mailsrv.cli.importing"),
    "export": Command("write the mail of an account to a Maildir or mbox files", "mailsrv.cli.exporting"),
    "verify": Command("check the accounts' files, indexes and counts, and repair them", "mailsrv.cli.verify"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command with its arguments (those of the process by default) and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    return run_program("mailsrv", lambda: _run(given))


def _run(given: list[str]) -> int:
    name = _find_command(given)
    if name and name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
        print(f"mailsrv: there is no command {name!r}; {hint}", file=sys.stderr)
        return Exit.USAGE
    run: Callable[[argparse.Namespace], int] | None = None
    parser = _make_parser()
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command, row in COMMANDS.items():
        subparser = subparsers.add_parser(command, help=row.help, description=_sentence(row.help), allow_abbrev=False)
        if row.reads_config:
            # No default here: it would undo what stands before the command.
            subparser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=_CONFIG_HELP)
        if command == name:
            module = importlib.import_module(row.module)
            suffix = f"_{row.suffix}" if row.suffix else ""
            getattr(module, f"add_arguments{suffix}")(subparser)
            run = getattr(module, f"run{suffix}")
    try:
        arguments = parser.parse_args(given)
    except SystemExit as end:  # argparse has said what is wrong, or has shown the help or the version
        return end.code if isinstance(end.code, int) else Exit.USAGE
    if run is None:
        parser.print_usage(sys.stderr)
        print(f"mailsrv: no command is given; the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return Exit.USAGE
    return run(arguments)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailsrv",
        description="A self-hosted mail server. See mailsrv(7) for the picture, mailsrv(8) for the commands.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mailsrv {__version__}")
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help=_CONFIG_HELP)
    return parser


def _find_command(given: list[str]) -> str:
    """The first argument that is no option, as it decides which module is imported; "" when there is none."""
    skip = False
    for argument in given:
        if skip:
            skip = False
        elif argument == "--config":
            skip = True
        elif not argument.startswith("-"):
            return argument
    return ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
