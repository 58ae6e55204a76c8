"""mailrun(8): runs the queue now, and acts on the messages that its selectors choose.

Every message that is acted on is one line on standard output; nothing is done to all messages without --all.

Diagnostics: `main` gives the exit code; see mailsrv.cli.program. 75: some messages are being delivered just now.
"""

import argparse
import sys
from collections.abc import Sequence

from mailsrv.cli.control import print_table
from mailsrv.cli.queue_actions import ACTIONS, Actions
from mailsrv.cli.queue_cat import cat
from mailsrv.deliver.route import Router
from mailsrv.cli.program import make_parser, run_program
from mailsrv.cli.queue_place import Place, open_place
from mailsrv.cli.queue_selectors import add_selectors, read_selection, select, status_of
from mailsrv.cli.queue_table import clean
from mailsrv.config.next_hop import parse_next_hop
from mailsrv.errors import Exit, GrammarError
from mailsrv.spool.paused import Paused
from mailsrv.spool.queueid import is_id
from mailsrv.spool.scan import list_ids
from mailsrv.spool.summary import Summary
from mailsrv.system.disk import Missing

MESSAGE_ACTIONS = {
    "retry": "try messages now, whatever the back-off",
    "hold": "set messages aside",
    "release": "put held messages back into the queue",
    "cancel": "give messages up; their senders get a report",
    "delete": "take messages out of the queue and tell nobody",
    "reroute": "send messages to another next hop",
}
OTHER_ACTIONS = {
    "cat": "show a message: envelope, journal, octets",
    "pause": "deliver nothing to a next hop",
    "resume": "deliver to a paused next hop again",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (those of the process by default)."""
    return run_program("mailrun", lambda: run(list(sys.argv[1:] if argv is None else argv)))


def run(given: list[str]) -> int:
    """One command."""
    arguments = read_arguments(given)
    code: int = arguments.run(arguments)
    return code


def read_arguments(given: list[str]) -> argparse.Namespace:
    """The arguments; `run` is what does it. Actions and queue IDs cannot be confused: IDs have no vowels."""
    words = [word for word in given if word in MESSAGE_ACTIONS or word in OTHER_ACTIONS]
    known = ", ".join((*MESSAGE_ACTIONS, *OTHER_ACTIONS))
    parser = make_parser("mailrun", f"Run the queue now, or act on messages. Actions: {known}; each has its --help.")
    if not words:
        parser.add_argument("ids", metavar="ID", nargs="*", type=_read_id, help="try only this message")
        parser.add_argument("-1", dest="once", action="store_true", help="one pass in the foreground, told as it goes")
        parser.set_defaults(run=_run_queue)
        return parser.parse_args(given)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for action, meaning in MESSAGE_ACTIONS.items():
        _add_message_arguments(_add_action(actions, action, meaning), action)
    for action, meaning in OTHER_ACTIONS.items():
        _add_other_arguments(_add_action(actions, action, meaning), action)
    return parser.parse_args(given)


def _add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", action: str, meaning: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(action, help=meaning, description=f"{meaning.capitalize()}.", allow_abbrev=False)
    # No default here: it would undo what stands before the action.
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
    return parser


def _add_message_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", type=_read_id, help="these messages")
    parser.add_argument("--all", action="store_true", help="every message in the queue")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    if action == "reroute":
        parser.add_argument(
            "--next-hop", metavar="HOP", required=True, type=_read_next_hop,
            help="smtp:host:port, mx:domain, lmtp:host:port, lmtp:/path; default: as configured",
        )  # fmt: skip
    else:
        parser.add_argument("--reason", metavar="TEXT", default="", help="why; senders of cancelled messages read it")
    add_selectors(parser)
    parser.set_defaults(run=_act, action=action)


def _add_other_arguments(parser: argparse.ArgumentParser, action: str) -> None:
    if action == "cat":
        parser.add_argument("id", metavar="ID", type=_read_id, help="the message")
        parser.set_defaults(run=_cat)
        return
    parser.add_argument(
        "domain", metavar="DOMAIN", nargs="?" if action == "pause" else None,
        help="a domain, or a next hop as mailq --why names it" + ("; none: list them" if action == "pause" else ""),
    )  # fmt: skip
    if action == "pause":
        parser.add_argument("--reason", metavar="TEXT", default="", help="why, for those who ask mailq --why")
    parser.set_defaults(run=_pause if action == "pause" else _resume)


def _read_id(text: str) -> str:
    if not is_id(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no queue ID, and no action")
    return text


def _read_next_hop(text: str) -> str:
    """"" for the configuration's own routes."""
    if text == "default":
        return ""
    try:
        address = parse_next_hop(text)
    except GrammarError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if address.word == "direct":
        raise argparse.ArgumentTypeError("direct means several next hops; use mx:domain, or default")
    return text


def _run_queue(arguments: argparse.Namespace) -> int:
    """mailrun without an action."""
    if arguments.once:
        # Only here, since it is the whole runner; before root becomes the service user, who may not reach it.
        from mailsrv.cli.queue_pass import run_once

        return run_once(open_place(arguments.config), arguments.ids)
    place = open_place(arguments.config)
    if arguments.ids:
        return _act_on(place, "retry", "", [*_find(place, arguments.ids)], False)
    now = place.clock.now()
    count = 0
    for identifier in list_ids(place.disk, place.layout):
        try:
            place.disk.set_time(f"{place.layout.queue}/{identifier}", now)
        except Missing:
            continue  # held, or delivered just now
        count += 1
    place.wake("*")
    print(f"{count} messages are tried now")
    return Exit.OK


def _find(place: Place, ids: Sequence[str]) -> list[Summary]:
    """These messages; says which are not there."""
    faults: list[str] = []
    arguments = argparse.Namespace(id=list(ids), older=None, newer=None, **{
        name: [] for name in ("senders", "recipients", "domains", "statuses", "errors")
    })  # fmt: skip
    found = list(select(place.disk, place.layout, read_selection(arguments), place.clock.now(), faults.append))
    missing = sorted(set(ids) - {summary.id for summary in found})
    for text in [*faults, *(f"{identifier}: is not in the queue" for identifier in missing)]:
        print(f"mailrun: {text}", file=sys.stderr)
    return found


def _act(arguments: argparse.Namespace) -> int:
    """An action on the messages that are chosen."""
    selection = read_selection(arguments, arguments.ids)
    if selection.is_everything and not arguments.all:
        print("mailrun: this would be every message: choose some, or say --all", file=sys.stderr)
        return Exit.USAGE
    place = open_place(arguments.config)
    faults: list[str] = []
    chosen = list(select(place.disk, place.layout, selection, place.clock.now(), faults.append))
    for fault in faults:
        print(f"mailrun: {fault}", file=sys.stderr)
    text = arguments.next_hop if arguments.action == "reroute" else " ".join(arguments.reason.split())
    return _act_on(place, arguments.action, text, chosen, arguments.dry_run)


def _act_on(place: Place, action: str, text: str, chosen: Sequence[Summary], dry_run: bool) -> int:
    """Do it to each; 75 when some are busy, 1 when there are none or none could be found any more."""
    if not chosen:
        print("mailrun: no message in the queue is meant", file=sys.stderr)
        return Exit.FAILED
    act, intention = ACTIONS[action]
    actions = Actions(place, text)
    codes = []
    for summary in chosen:
        if dry_run:
            sender = clean(str(summary.envelope.reverse_path or "<>"))
            print(f"{summary.id}: {intention} ({status_of(summary)}, from {sender}, {len(summary.waiting)} recipients)")
            continue
        done = act(actions, summary)
        print(f"{summary.id}: {clean(done.words)}")
        codes.append(done.code)
    if "busy" in codes:
        return Exit.TEMPFAIL
    return Exit.FAILED if codes and all(codes) else Exit.OK


def _cat(arguments: argparse.Namespace) -> int:
    return cat(open_place(arguments.config), arguments.id)


def _pause(arguments: argparse.Namespace) -> int:
    place = open_place(arguments.config)
    paused = Paused(place.disk, place.layout)
    if arguments.domain is None:
        print_table(
            ("NEXT HOP", "SINCE", "REASON"), [(one.hop, one.since, clean(one.reason)) for one in paused.all().values()]
        )
        return Exit.OK
    hop = _hop_of(place, arguments.domain)
    is_new = paused.add(hop, place.clock.now(), arguments.reason)
    place.wake("-")
    print(f"{hop}: {'is paused' if is_new else 'was paused already'}")
    return Exit.OK


def _resume(arguments: argparse.Namespace) -> int:
    place = open_place(arguments.config)
    paused = Paused(place.disk, place.layout)
    hop = arguments.domain if paused.is_paused(arguments.domain) else _hop_of(place, arguments.domain)
    was_paused = paused.remove(hop)
    place.wake("-")
    print(f"{hop}: {'is delivered to again' if was_paused else 'is not paused'}")
    return Exit.OK if was_paused else Exit.FAILED


def _hop_of(place: Place, text: str) -> str:
    """A next hop by its name; a domain stands for where its mail goes."""
    if ":" in text and not text.startswith("["):
        return text
    return str(Router(place.config).route_domain(text))
