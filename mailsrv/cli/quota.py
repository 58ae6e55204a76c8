"""`mailsrv quota list|set|reset`: what accounts store and may store, while the server runs or not.

What is set here, or by SETQUOTA in IMAP, holds in place of what the configuration says, until it is reset.

Diagnostics: Refused for an account that is not there; ConfigError, NotPermitted, and StorageError when the disk refuses
or the file `quotas` is damaged. `run` gives the exit code.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence

from mailsrv.errors import Exit
from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.store.limits import MAX_NUMBER
from mailsrv.store.values import Usage
from mailsrv.cli.account_place import AccountPlace, open_account
from mailsrv.cli.control import print_json, print_table
from mailsrv.cli.mailbox import octets_for_people

_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions with their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    list_ = _add_action(actions, "list", "show what accounts store, and may store")
    list_.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="these only (default: all)")
    list_.add_argument("--json", action="store_true", help="print JSON")
    set_ = _add_action(actions, "set", "set what an account may store, in place of what the configuration says")
    set_.add_argument("account", metavar="ACCOUNT", help="its name, or one of its addresses")
    set_.add_argument("--octets", type=read_number, metavar="N", help="octets, also 500M or 5G; 0: any number")
    set_.add_argument("--messages", type=read_number, metavar="N", help="messages; 0: any number")
    reset = _add_action(actions, "reset", "let the configuration say again what an account may store")
    reset.add_argument("account", metavar="ACCOUNT", help="its name, or one of its addresses")


def _add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, meaning: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=meaning, description=f"{meaning.capitalize()}.", allow_abbrev=False)
    # No default here: it would undo what stands before the action.
    action.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
    action.set_defaults(action=name)
    return action


def read_number(text: str) -> int:
    """A number, with K, M, G or T behind it for powers of 1024."""
    match = re.fullmatch(r"([0-9]{1,19})([KMGT]?)", text, re.ASCII)
    number = int(match[1]) * _FACTORS[match[2]] if match else MAX_NUMBER + 1
    if number > MAX_NUMBER:
        raise argparse.ArgumentTypeError(f"{text!r} is no number like 1000000, 500M or 5G")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Do one action."""
    if arguments.action == "set" and arguments.octets is None and arguments.messages is None:
        # What the configuration says now would be written down, and hold when that says something else.
        print("mailsrv: nothing to set: say --octets, --messages or both", file=sys.stderr)
        return Exit.USAGE
    config = load(arguments.config, os.environ)
    if arguments.action == "list":
        return _list(config, arguments.accounts, arguments.json)
    place = open_account(config, arguments.account)
    limits = None
    if arguments.action == "set":
        now = place.reader.limits  # what is not named stays
        octets = now.octets if arguments.octets is None else arguments.octets
        limits = Usage(octets, now.messages if arguments.messages is None else arguments.messages)
    place.readers.set_limits(place.account, limits)
    return Exit.OK


def _list(config: Config, accounts: Sequence[str], as_json: bool) -> int:
    rows = [_describe(open_account(config, name)) for name in accounts or [one.name for one in config.accounts]]
    if as_json:
        return print_json(rows)
    print_table(
        ("ACCOUNT", "SIZE", "OF", "MESSAGES", "OF", "SAID BY"),
        [
            (
                row["account"],
                octets_for_people(int(str(row["octets"]))),
                octets_for_people(int(str(row["most_octets"]))) if row["most_octets"] else "-",
                row["messages"],
                row["most_messages"] or "-",
                "quotas" if row["set"] else "configuration",
            )
            for row in rows
        ],
    )
    return Exit.OK


def _describe(place: AccountPlace) -> dict[str, object]:
    usage = Usage()
    if place.disk.exists(place.layout.root):
        place.reader.adopt()
        usage = place.reader.usage()
        place.readers.close()
    limits = place.reader.limits
    return {
        "account": place.account,
        "octets": usage.octets,
        "most_octets": limits.octets,
        "messages": usage.messages,
        "most_messages": limits.messages,
        "set": place.account in place.readers.limits.known(),
    }
