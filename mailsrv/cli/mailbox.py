"""`mailsrv mailbox list|create|rename|delete|subscribe`: the mailboxes of one account, while the server runs or not.

Diagnostics: the refusals of the store as sentences (exit status 1), Refused for an account that is not there;
ConfigError, StorageError. `run` gives the exit code.
"""

import argparse
import os

from mailsrv.errors import Exit
from mailsrv.config.load import load
from mailsrv.store.reader import Reader
from mailsrv.store.values import SPECIAL_USES
from mailsrv.cli.account_place import open_account
from mailsrv.cli.control import print_json, print_table
from mailsrv.cli.queue_table import clean

ACTIONS = {
    "list": "show the mailboxes of an account with their counters",
    "create": "make a mailbox, and those above it that are missing",
    "rename": "give a mailbox, and those below it, another name",
    "delete": "delete a mailbox with its messages, not those below it",
    "subscribe": "subscribe to a mailbox",
}
_UNITS = ("", "K", "M", "G", "T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions with their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for action, meaning in ACTIONS.items():
        one = actions.add_parser(action, help=meaning, description=f"{meaning.capitalize()}.", allow_abbrev=False)
        # No default here: it would undo what stands before the action.
        one.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
        one.add_argument("account", metavar="ACCOUNT", help="its name, or one of its addresses")
        if action != "list":
            one.add_argument("mailbox", metavar="MAILBOX", help="its name, levels parted by /")
        one.set_defaults(action=action)
        if action == "list":
            one.add_argument("--json", action="store_true", help="print JSON")
        elif action == "create":
            one.add_argument("--special-use", metavar="USE", type=read_use,
                             help=f"what it is for: {', '.join(use[1:] for use in SPECIAL_USES)}")  # fmt: skip
            one.add_argument("--no-subscribe", action="store_true", help="do not subscribe to it")
        elif action == "rename":
            one.add_argument("name", metavar="NAME", help="its new name")
        elif action == "subscribe":
            one.add_argument("--off", action="store_true", help="end the subscription instead")


def run(arguments: argparse.Namespace) -> int:
    """Do one action."""
    reader = open_account(load(arguments.config, os.environ), arguments.account).reader
    if arguments.action == "list":
        return _list(reader, arguments.json)
    if arguments.action == "create":
        reader.create(arguments.mailbox, arguments.special_use or "")
        if not arguments.no_subscribe:
            reader.subscribe(arguments.mailbox)
    elif arguments.action == "rename":
        reader.rename(arguments.mailbox, arguments.name)
    elif arguments.action == "delete":
        reader.delete(arguments.mailbox)
    else:
        reader.subscribe(arguments.mailbox, not arguments.off)
    return Exit.OK


def read_use(text: str) -> str:
    """A special use, with its backslash or without, in any letters."""
    for use in SPECIAL_USES:
        if text.lower().lstrip("\\") == use[1:].lower():
            return use
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(use[1:] for use in SPECIAL_USES)}")


def octets_for_people(octets: int) -> str:
    """A size with three digits at most: 999, 1.5K, 20M."""
    number = float(octets)
    for unit in _UNITS:
        if number < 999.5 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.1f}{unit}" if unit and number < 9.95 else f"{number:.0f}{unit}"


def _list(reader: Reader, as_json: bool) -> int:
    rows: list[dict[str, object]] = []
    for info in reader.mailboxes():
        row: dict[str, object] = {
            "name": info.name,
            "exists": info.exists,
            "subscribed": info.subscribed,
            "special_use": info.special_use,
        }
        if info.exists:
            status = reader.status(info.name)
            row |= {
                "messages": status.messages, "unseen": status.unseen, "deleted": status.deleted,
                "octets": status.octets, "uidnext": status.uidnext, "uidvalidity": status.uidvalidity,
                "highestmodseq": status.highestmodseq, "mailboxid": status.mailboxid, "directory": info.directory,
            }  # fmt: skip
        rows.append(row)
    if as_json:
        return print_json(rows)
    print_table(
        ("MAILBOX", "MESSAGES", "UNSEEN", "SIZE", "USE", "SUBSCRIBED"),
        [
            (
                clean(str(row["name"])),
                row.get("messages", "-"),
                row.get("unseen", "-"),
                octets_for_people(int(str(row["octets"]))) if "octets" in row else "-",
                str(row["special_use"])[1:] or "-",
                "yes" if row["subscribed"] else "-",
            )
            for row in rows
        ],
    )
    return Exit.OK
