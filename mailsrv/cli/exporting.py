"""`mailsrv export maildir|mbox`: an account's mail as files that other programs read, in a new directory.

The server may run meanwhile: each mailbox is as it was when its turn came. Nothing of the account is changed. Root
makes the directory, gives it to the service user, and becomes that user before anything is read. It is durable when
the command returns 0.

Diagnostics: Refused for an account that is not there, and for a directory that exists or lies in data_dir; ConfigError,
StorageError. `run` gives 0, or 1 when a message could not be read.
"""

import argparse
import fnmatch
import os
import sys
from collections.abc import Sequence

from mailsrv.errors import Exit, Refused
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.directory.accounts import Directory
from mailsrv.serve.privileges import choose
from mailsrv.store.refusals import MailboxGone, NoMailbox
from mailsrv.store.values import MailboxInfo
from mailsrv.cli.account_place import AccountPlace, find_account, open_account
from mailsrv.cli.control import print_json, print_table
from mailsrv.cli.export_form import Export, Exported, Tellers
from mailsrv.cli.export_maildir import MaildirExport
from mailsrv.cli.export_mbox import MboxExport
from mailsrv.cli.mailbox import octets_for_people
from mailsrv.cli.progress import Progress
from mailsrv.cli.queue_table import clean

KINDS = {
    "maildir": "as a Maildir with the other mailboxes in it",
    "mbox": "as mbox files, one for each mailbox",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The forms with their arguments."""
    kinds = parser.add_subparsers(metavar="FORM", required=True)
    for kind, meaning in KINDS.items():
        one = kinds.add_parser(kind, help=meaning, description=f"Export {meaning}.", allow_abbrev=False)
        # No default here: it would undo what stands before the form.
        one.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
        one.add_argument("account", metavar="ACCOUNT", help="whose mail: a name, or an address")
        one.add_argument("path", metavar="DIRECTORY", help="where to; it must not exist yet")
        one.add_argument("--mailbox", metavar="PATTERN", action="append", default=[],
                         help="only mailboxes with such a name (* and ? stand for anything)")  # fmt: skip
        one.add_argument("--json", action="store_true", help="print the report as JSON")
        one.set_defaults(kind=kind)


def run(arguments: argparse.Namespace) -> int:
    """Export, and print on standard output what there was."""
    config = load(arguments.config, os.environ)
    root = os.path.realpath(arguments.path)
    find_account(config, Directory.from_config(config), arguments.account)  # before there is a directory in vain
    make_directory(config, root)
    place = open_account(config, arguments.account)
    failed: list[str] = []
    exported = export(place, arguments.kind, root, arguments.mailbox, failed)
    if arguments.json:
        print_json([{"mailbox": one.name, "messages": one.messages, "octets": one.octets} for one in exported])
    else:
        rows = [(clean(one.name), one.messages, octets_for_people(one.octets)) for one in exported]
        print_table(("MAILBOX", "MESSAGES", "SIZE"), rows)
    for text in failed:
        print(f"mailsrv: {clean(text)}", file=sys.stderr)
    return Exit.FAILED if failed else Exit.OK


def make_directory(config: Config, path: str) -> None:
    """A new directory for the service user, outside of data_dir."""
    data_dir = os.path.realpath(config.data_dir)
    if f"{path}/".startswith(f"{data_dir}/"):
        raise Refused(f"{path} lies in {data_dir}, which is the server's; export to another place")
    identity = choose(config)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        raise Refused(f"{path} exists already; name a new directory") from None
    if identity.drops:
        os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
    # Now, as the service user may not be able to open the directory above.
    Disk().sync_directory(os.path.dirname(path))


def export(
    place: AccountPlace, kind: str, root: str, patterns: Sequence[str], failed: list[str]
) -> list[Exported]:
    """Write the mailboxes below `root`; gives what was written. `failed` gets a sentence for what cannot be read."""
    forms: dict[str, type[Export]] = {"maildir": MaildirExport, "mbox": MboxExport}
    progress = Progress(sys.stderr, SystemClock())
    tellers = Tellers(progress.step, lambda mailbox, uid, reason: failed.append(f"{mailbox}: UID {uid}: {reason}"))
    form = forms[kind](place.disk, root, tellers)
    done = []
    written: list[MailboxInfo] = []
    for info in place.reader.mailboxes():
        if not info.exists or patterns and not any(fnmatch.fnmatchcase(info.name, one) for one in patterns):
            continue
        try:
            box = place.reader.open(info.name)
            progress.begin(info.name, box.status().messages)
            done.append(form.write(info, box))
            written.append(info)
        except (NoMailbox, MailboxGone):
            continue  # deleted meanwhile
        finally:
            progress.end()
    if not done:
        raise Refused(f"{place.account} has no mailbox of such a name")
    form.finish(written)
    return done
