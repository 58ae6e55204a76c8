"""`mailsrv test message|spf|dkim|dmarc|arc`: what the server would do with a message, and why, without delivering it.

`message` needs the configuration; the checks by themselves do without one, and without anything of data_dir. Root
becomes the service user before it reads the message: whoever wrote that is a stranger, and what the server itself
cannot read or reach shows.

Diagnostics: ConfigError for the configuration; Refused when root cannot become the service user; GrammarError for a
nameserver that is none. `run` gives the exit code: 0 accepted or passed, 69 refused, 75 deferred or no answer from the
DNS, 1 a check that did not pass, 2 wrong usage.
"""

import argparse
import os
import sys
from collections.abc import Callable

from mailsrv.errors import Exit
from mailsrv.system.process import drop_privileges
from mailsrv.authn.findings import Result
from mailsrv.mail.address import Address, parse_address
from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.receive.house import House
from mailsrv.serve.privileges import choose
from mailsrv.cli.queue_table import clean
from mailsrv.cli.rehearsal_checks import (
    Bench,
    Finding,
    Sender,
    look_up_policy,
    rehearse_arc,
    rehearse_dkim,
    rehearse_dmarc,
    rehearse_spf,
)
from mailsrv.cli.rehearsal_house import Traces, build_house
from mailsrv.cli.rehearsal_input import (
    RehearsalClock,
    open_resolver,
    read_address,
    read_config,
    read_domain,
    read_helo,
    read_ip,
    read_message,
    read_path,
    read_time,
)
from mailsrv.cli.rehearsal_lookups import Transcript
from mailsrv.cli.rehearsal_report import (
    lookups_to_json,
    message_to_json,
    print_lines,
    show_check,
    show_message,
    to_json,
)
from mailsrv.cli.rehearsal_session import Attempt, rehearse

ACTIONS = {
    "message": "send a message on standard input through everything but delivery",
    "spf": "may this client send for this domain?",
    "dkim": "verify the signatures of a message on standard input",
    "dmarc": "judge a message on standard input, or show the policy of a domain",
    "arc": "validate the chain of seals of a message on standard input",
}
_VERDICTS = {"accept": Exit.OK, "defer": Exit.TEMPFAIL, "reject": Exit.UNAVAILABLE}
_RESULTS = {Result.PASS: Exit.OK, Result.TEMPERROR: Exit.TEMPFAIL}

_NO_SENDER = "test dmarc needs --ip and --from, or --domain alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions with their arguments."""
    actions = parser.add_subparsers(metavar="WHAT", required=True)
    for action, meaning in ACTIONS.items():
        one = actions.add_parser(action, help=meaning, description=f"{meaning.capitalize()}.", allow_abbrev=False)
        # No default here: it would undo what stands before the action.
        one.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
        if action in ("message", "spf", "dmarc"):
            _add_sender(one, required=action != "dmarc")
        if action == "message":
            one.add_argument("--rcpt", metavar="R", action="append", type=read_address, default=[],
                             help="a recipient, may be repeated (default: the first account)")  # fmt: skip
            one.add_argument("--no-filter", action="store_true", help="do not ask the content filter")
        if action == "dmarc":
            one.add_argument("--domain", metavar="D", type=read_domain, help="only the policy of this domain")
        one.add_argument("--nameserver", metavar="ADDRESS", action="append", default=[],
                         help="ask this resolver, may be repeated (default: those of the configuration)")  # fmt: skip
        one.add_argument("--time", metavar="T", type=read_time, help="as if it were then: seconds, or ISO 8601 in UTC")
        one.add_argument("--json", action="store_true", help="print JSON")
        one.set_defaults(action=action)


def run(arguments: argparse.Namespace) -> int:
    """Do one action."""
    if arguments.action == "message":
        return _run_message(arguments)
    if arguments.action == "dmarc" and not _is_complete(arguments):
        print(f"mailsrv: {_NO_SENDER}", file=sys.stderr)
        return Exit.USAGE
    return _run_check(arguments)


def _is_complete(arguments: argparse.Namespace) -> bool:
    """Whether there is a sender to judge, or only a domain."""
    given = (arguments.ip is not None, "sender" in arguments)
    return not any(given) if arguments.domain else all(given)


def _add_sender(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument("--ip", metavar="A", required=required, type=read_ip, help="the client's IP address")
    parser.add_argument("--helo", metavar="H", type=read_helo, help="its EHLO (default: its address)")
    # No default: the null reverse-path is None.
    parser.add_argument("--from", metavar="F", dest="sender", required=required, type=read_path,
                        default=argparse.SUPPRESS, help="the reverse-path, <> for the null one")  # fmt: skip


def _run_message(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ)
    clock = RehearsalClock(arguments.time)
    traces = Traces()
    resolver = open_resolver(config, arguments.nameserver, clock)
    house = build_house(config, traces, resolver, clock, not arguments.no_filter)
    recipients: tuple[Address, ...] = tuple(arguments.rcpt)
    if not recipients:
        if not config.accounts:
            print(f"mailsrv: {config.source} has no accounts; name a recipient with --rcpt", file=sys.stderr)
            return Exit.USAGE
        chosen = config.accounts[0].addresses[0]
        traces.note(f"no --rcpt: the recipient is {chosen}, of the first account")
        recipients = (parse_address(chosen),)
    _leave_root(config)
    message = read_message(sys.stdin.buffer)
    attempt = Attempt(arguments.ip, _helo(arguments), arguments.sender, recipients, message)
    _note_circumstances(house, attempt, traces)
    if arguments.no_filter and (config.filter.rspamd or config.filter.milter):
        traces.note("the content filter was not asked")
    course = rehearse(house, traces.transcript, attempt)
    if arguments.json:
        print(message_to_json(attempt, course, traces))
    else:
        print_lines(show_message(attempt, course, traces))
    return _VERDICTS[course.verdict]


def _leave_root(config: Config) -> None:
    """From here on this process is what a worker would be."""
    if os.geteuid() == 0 and (identity := choose(config)).drops:
        drop_privileges(identity.uid, identity.gid)


def _note_circumstances(house: House, attempt: Attempt, traces: Traces) -> None:
    """What decides about this client before any check does."""
    client = attempt.client
    if house.exempts(client):
        traces.note(f"{client} is in checks.exempt: its mail is not checked")
    if house.allows(client):
        traces.note(f"{client} is in bans.allow: it is never banned, and neither lists nor greylisting apply")
    elif ban := house.bans.banned(client):
        traces.note(f"{client} is banned, as {ban.network} in the file bans: it would not be served")
    if house.config.greylist.enabled:
        traces.note("a rehearsal leaves nothing in the greylist: it may be repeated without getting further")


def _run_check(arguments: argparse.Namespace) -> int:
    config = read_config(arguments.config)
    clock = RehearsalClock(arguments.time)
    transcript = Transcript()
    bench = Bench(config, open_resolver(config, arguments.nameserver, clock), clock, transcript)
    _leave_root(config)
    inputs, found = _CHECKS[arguments.action](arguments, bench)
    if arguments.json:
        value = {
            "version": 1,
            "check": arguments.action,
            "input": dict(inputs),
            "dns": lookups_to_json(transcript),
            "result": found.result,
            "findings": found.to_json(),
        }
        print(to_json(value))
    else:
        print_lines(show_check(arguments.action, inputs, transcript, found.rows()))
        print_lines([clean(f"{arguments.action.upper()}: {found.summary}")])
    return _RESULTS.get(found.result, Exit.FAILED)


_Inputs = list[tuple[str, str]]


def _check_spf(arguments: argparse.Namespace, bench: Bench) -> tuple[_Inputs, Finding]:
    sender = _sender(arguments)
    return _describe(sender), rehearse_spf(bench, sender)


def _check_dkim(_arguments: argparse.Namespace, bench: Bench) -> tuple[_Inputs, Finding]:
    message = read_message(sys.stdin.buffer)
    return [("message", f"{len(message)} octets")], rehearse_dkim(bench, message)


def _check_arc(_arguments: argparse.Namespace, bench: Bench) -> tuple[_Inputs, Finding]:
    message = read_message(sys.stdin.buffer)
    return [("message", f"{len(message)} octets")], rehearse_arc(bench, message)


def _check_dmarc(arguments: argparse.Namespace, bench: Bench) -> tuple[_Inputs, Finding]:
    if arguments.domain:
        return [("domain", arguments.domain)], look_up_policy(bench, arguments.domain)
    sender, message = _sender(arguments), read_message(sys.stdin.buffer)
    return [*_describe(sender), ("message", f"{len(message)} octets")], rehearse_dmarc(bench, sender, message)


_CHECKS: dict[str, Callable[[argparse.Namespace, Bench], tuple[_Inputs, Finding]]] = {
    "spf": _check_spf,
    "dkim": _check_dkim,
    "dmarc": _check_dmarc,
    "arc": _check_arc,
}


def _sender(arguments: argparse.Namespace) -> Sender:
    return Sender(arguments.ip, _helo(arguments), arguments.sender)


def _describe(sender: Sender) -> _Inputs:
    return [("client", sender.client), ("helo", sender.helo), ("from", str(sender.reverse_path or "<>"))]


def _helo(arguments: argparse.Namespace) -> str:
    """What the client says, by default its address (RFC 5321 section 4.1.3)."""
    client: str = arguments.ip
    return arguments.helo or (f"[IPv6:{client}]" if ":" in client else f"[{client}]")
