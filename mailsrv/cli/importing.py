"""`mailsrv import maildir|mbox|imap`: mail from elsewhere into an account, as often as wanted: what is new is taken.

The server may run meanwhile. Root becomes the service user first: who owns what is read may lay links there, and what
root made the server could not use. Passwords are read before, so that only root need have them.

Diagnostics: Refused for an account or a source that is not there; Busy while another import reads the same source;
ConfigError, StorageError, WrongName for --into. `run` gives 0, 1 when something could not be taken, or what the error
that ended it stands for (mailsrv.cli.program); what was taken is told in any case.
"""

import argparse
import fnmatch
import getpass
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

from mailsrv.errors import Exit, MailsrvError, Refused
from mailsrv.system.clock import SystemClock
from mailsrv.system.imap_client import PORTS, Security
from mailsrv.config.load import load
from mailsrv.store.layout import check_own_name, normalize
from mailsrv.store.reader import Reader
from mailsrv.store.refusals import NoMailbox, UseTaken, WrongName
from mailsrv.store.values import INBOX
from mailsrv.cli.account_place import AccountPlace, open_account
from mailsrv.cli.control import print_json, print_table
from mailsrv.cli.import_imap import ImapPlace, ImapSource
from mailsrv.cli.import_journal import Journals
from mailsrv.cli.import_maildir import MaildirSource
from mailsrv.cli.import_mbox import STANDARD_INPUT, MboxSource
from mailsrv.cli.import_pass import Pass, Tally, Tellers
from mailsrv.cli.import_source import Origin, Source
from mailsrv.cli.mailbox import octets_for_people
from mailsrv.cli.program import EXITS, INTERRUPTED
from mailsrv.cli.progress import Progress
from mailsrv.cli.queue_table import clean

KINDS = {
    "maildir": "from a Maildir and the mailboxes in it",
    "mbox": "from an mbox file, or a directory of them",
    "imap": "from an account of another server",
}
PASSWORD_VARIABLE = "MAILSRV_IMPORT_PASSWORD"

_COLUMNS = ("there", "taken", "known", "updated", "failed", "gone", "missing", "conflicts")
_MAX_TOLD = 100  # messages that are named when they fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The kinds of sources with their arguments."""
    kinds = parser.add_subparsers(metavar="FROM", required=True)
    for kind, meaning in KINDS.items():
        one = kinds.add_parser(kind, help=meaning, description=f"Import {meaning}.", allow_abbrev=False)
        # No default here: it would undo what stands before the kind.
        one.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
        one.add_argument("account", metavar="ACCOUNT", help="whose it becomes: a name, or an address")
        if kind == "imap":
            _add_server(one)
        else:
            one.add_argument("path", metavar="PATH", help="where it lies; - is standard input, for mbox")
        one.add_argument("--into", metavar="MAILBOX", default="", help="put everything there, and below it")
        one.add_argument("--mailbox", metavar="PATTERN", action="append", default=[],
                         help="only mailboxes with such a name (* and ? stand for anything)")  # fmt: skip
        one.add_argument("--json", action="store_true", help="print the report as JSON")
        one.set_defaults(kind=kind)


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="H", required=True, help="the server")
    parser.add_argument("--port", metavar="P", type=_read_port, default=0,
                        help="its port (default: 993, without TLS 143)")  # fmt: skip
    parser.add_argument("--user", metavar="U", required=True, help="the login there")
    parser.add_argument("--password-file", metavar="FILE", default="",
                        help=f"its first line is the password (else ${PASSWORD_VARIABLE}, or a prompt)")  # fmt: skip
    parser.add_argument("--security", choices=[one.value for one in Security], default=Security.TLS.value,
                        help="how the connection is kept secret (default: tls)")  # fmt: skip
    parser.add_argument("--no-verify", action="store_true", help="take any certificate: anybody may listen then")


def run(arguments: argparse.Namespace) -> int:
    """Import, and print the report on standard output."""
    config = load(arguments.config, os.environ)
    password = _read_password(arguments) if arguments.kind == "imap" else ""
    place = open_account(config, arguments.account)
    into = normalize(arguments.into)
    if arguments.kind == "mbox" and arguments.path == STANDARD_INPUT and not into:
        print("mailsrv: an mbox on standard input has no name; say with --into where it goes", file=sys.stderr)
        return Exit.USAGE
    if into:
        check_own_name(into)
    source = _open_source(arguments, password)
    work = Work(place, source, into)
    code: int = Exit.OK
    try:
        work.run(arguments.mailbox)
    except (MailsrvError, OSError) as error:
        where = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        print(f"mailsrv: {clean(where)}", file=sys.stderr)
        code = next((code for kind, code in EXITS.items() if isinstance(error, kind)), Exit.FAILED)
    except KeyboardInterrupt:
        print("mailsrv: interrupted; what was taken stays, and the same command goes on with the rest", file=sys.stderr)
        code = INTERRUPTED
    finally:
        source.close()
    work.report(arguments.json)
    return code or (Exit.FAILED if any(tally.failed for tally in work.tallies) else Exit.OK)


class Work:
    """One import: every mailbox of a source, and what became of each."""

    def __init__(self, place: AccountPlace, source: Source, into: str) -> None:
        self._place = place
        self._source = source
        self._into = into
        self._told = 0
        self._progress = Progress(sys.stderr, SystemClock())
        self.tallies: list[Tally] = []

    def run(self, patterns: Sequence[str]) -> None:
        """Take everything. Raises what ends it early; `tallies` tell what was done by then."""
        identity = f"{self._source.identity}\n{self._into}"
        with Journals(self._place.disk, self._place.layout, self._source.kind, identity) as journals:
            origins = [origin for origin in self._source.mailboxes() if _is_wanted(origin, patterns)]
            if not origins:
                raise Refused("there is no mailbox of such a name at the source")
            single = len(origins) == 1 and self._source.kind == "mbox"
            reader = self._place.reader
            for origin in origins:
                try:
                    box = reader.open(prepare(reader, origin, self._into, single))
                except WrongName as error:
                    # With what --into puts before it, the name is too long or too deep.
                    self.tallies.append(Tally(origin.name, "-", there=origin.count, failed=max(origin.count, 1)))
                    self._fail(origin.name, "the mailbox", str(error))
                    continue
                tally = Tally(origin.name, box.name)
                self.tallies.append(tally)
                self._progress.begin(origin.name, origin.count)
                tellers = Tellers(self._progress.step, self._fail)
                journal = journals.open(origin.name, f"{box.mailboxid} {box.uidvalidity}")
                try:
                    Pass(reader, box, journal, tellers, tally).run(self._source, origin)
                finally:
                    self._progress.end()

    def report(self, as_json: bool) -> None:
        """What became of each mailbox."""
        if as_json:
            rows = [
                {"mailbox": tally.name, "into": tally.target, "octets": tally.octets}
                | {column: getattr(tally, column) for column in _COLUMNS}
                for tally in self.tallies
            ]
            print_json(rows)
            return
        rows_ = [
            (_title(tally), *(getattr(tally, column) for column in _COLUMNS), octets_for_people(tally.octets))
            for tally in self.tallies
        ]
        if len(rows_) > 1:
            sums = (sum(getattr(tally, column) for tally in self.tallies) for column in _COLUMNS)
            rows_.append(("total", *sums, octets_for_people(sum(tally.octets for tally in self.tallies))))
        print_table(("MAILBOX", *(column.upper() for column in _COLUMNS), "SIZE"), rows_)

    def _fail(self, mailbox: str, label: str, reason: str) -> None:
        self._told += 1
        self._progress.end()
        if self._told <= _MAX_TOLD:
            print(f"mailsrv: {clean(f'{mailbox}: {label}: {reason}')}", file=sys.stderr)
        elif self._told == _MAX_TOLD + 1:
            print("mailsrv: more messages fail; they are counted only", file=sys.stderr)


def prepare(reader: Reader, origin: Origin, into: str, single: bool) -> str:
    """The name of the mailbox here that a mailbox of a source goes to; it is made if it is missing.

    Without `into`, what has a special use goes to the mailbox here that has it. `single`: a source of one mailbox,
    which goes to `into` itself.
    """
    if into:
        name = into if single or origin.name == INBOX else f"{into}/{origin.name}"
        use = ""
    else:
        use = origin.special_use
        same = [line.name for line in reader.mailboxes() if line.exists and use and line.special_use == use]
        name = same[0] if same else origin.name
    try:
        line = reader.find(name)
        if use and not line.special_use and name != INBOX:
            with suppress(UseTaken):
                reader.set_special_use(name, use)
    except NoMailbox:
        try:
            reader.create(name, use)
        except UseTaken:
            reader.create(name)
        if origin.subscribed:
            reader.subscribe(name)
    return name


def _open_source(arguments: argparse.Namespace, password: str) -> Source:
    if arguments.kind == "maildir":
        return MaildirSource(arguments.path)
    if arguments.kind == "mbox":
        return MboxSource(arguments.path, sys.stdin.buffer)
    security = Security(arguments.security)
    if security is Security.PLAIN or arguments.no_verify:
        print("mailsrv: anybody on the way to that server can read the password and the mail", file=sys.stderr)
    port = arguments.port or PORTS[security.value]
    place = ImapPlace(arguments.host, port, security, not arguments.no_verify, arguments.user, password)
    return ImapSource(place)


def _read_port(text: str) -> int:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, must be from 1 to 65535")
    return port


def _read_password(arguments: argparse.Namespace) -> str:
    """From a file, the environment, or a person; never from an argument, which others can see."""
    if arguments.password_file:
        with open(arguments.password_file, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {clean(arguments.user)} at {clean(arguments.host)}: ")
    return sys.stdin.readline().rstrip("\r\n")


def _is_wanted(origin: Origin, patterns: Sequence[str]) -> bool:
    """Whether to take it; one that shows the messages of others only if it is asked for."""
    if not patterns and origin.is_view:
        text = f"{origin.name}: left out, as it shows messages of other mailboxes once more; --mailbox takes it"
        print(f"mailsrv: {clean(text)}", file=sys.stderr)
    return any(fnmatch.fnmatchcase(origin.name, pattern) for pattern in patterns) if patterns else not origin.is_view


def _title(tally: Tally) -> str:
    title = tally.name if tally.name == tally.target else f"{tally.name} -> {tally.target}"
    return clean(title)
