"""`mailsrv ban list|add|remove`: addresses that are shut out, through the running server.

Diagnostics: as mailsrv.cli.control; `run` gives the exit code.
"""

import argparse
import ipaddress

from mailsrv.cli.control import add_data_dir, ask_server, print_json, print_table, span
from mailsrv.errors import Exit


def _address(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no IP address or network") from None
    return text


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 18 and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 1")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three actions with their arguments."""
    add_data_dir(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show who is banned, for how long and why")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(action=_list)
    adding = actions.add_parser("add", help="ban an address or network")
    adding.add_argument("address", metavar="ADDRESS", type=_address, help="address or network; IPv6: its /64")
    adding.add_argument("--seconds", type=_seconds, default=0, help="for how long (default: bans.ban_seconds)")
    adding.add_argument("--reason", default="", help="why, for the list and the log")
    adding.set_defaults(action=_add)
    removing = actions.add_parser("remove", help="take a ban back and forget the failed logins")
    removing.add_argument("address", metavar="ADDRESS", type=_address, help="as `mailsrv ban list` shows it")
    removing.set_defaults(action=_remove)


def run(arguments: argparse.Namespace) -> int:
    """Do one action."""
    code: int = arguments.action(arguments)
    return code


def _list(arguments: argparse.Namespace) -> int:
    bans = ask_server(arguments, {"verb": "ban-list"})["bans"]
    if arguments.json:
        return print_json(bans)
    print_table(("NETWORK", "FOR", "REASON"), [(ban["network"], span(ban["seconds"]), ban["reason"]) for ban in bans])
    return Exit.OK


def _add(arguments: argparse.Namespace) -> int:
    request = {"verb": "ban-add", "address": arguments.address, "reason": arguments.reason}
    ask_server(arguments, {**request, "seconds": arguments.seconds})
    return Exit.OK


def _remove(arguments: argparse.Namespace) -> int:
    ask_server(arguments, {"verb": "ban-remove", "address": arguments.address})
    return Exit.OK
