"""sendmail(8): the classic interface by which local programs send mail.

A message comes on standard input with LF or CRLF line ends; 0 means that it is durable, in the queue or in the drop
directory. Nothing is delivered here.

Diagnostics: `main` gives an exit code of sysexits.h (SendmailExit) and says on standard error what is wrong.
"""

import os
import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import BinaryIO

from mailsrv.cli.program import DEFAULT_CONFIG, run_program
from mailsrv.cli.sendmail_arguments import Options, UsageError, read_options
from mailsrv.cli.sendmail_ways import open_way
from mailsrv.errors import Busy, ConfigError, GrammarError, Refused, StorageError
from mailsrv.mail.header import Header, scan
from mailsrv.receive.drops import find_user
from mailsrv.receive.handover import NoSuchUser
from mailsrv.receive.recipient_fields import find_recipients, split_addresses
from mailsrv.spool.drop import Request

_LINE_LIMIT = 1 << 20  # octets that are read at once of a line without end


class SendmailExit(IntEnum):
    """The codes that programs know from sysexits.h."""

    OK = 0
    USAGE = 64
    DATAERR = 65
    NOUSER = 67
    UNAVAILABLE = 69
    TEMPFAIL = 75
    NOPERM = 77
    CONFIG = 78


# The first row that fits.
EXITS: dict[type[Exception], int] = {
    UsageError: SendmailExit.USAGE,
    NoSuchUser: SendmailExit.NOUSER,
    GrammarError: SendmailExit.DATAERR,
    ConfigError: SendmailExit.CONFIG,
    Busy: SendmailExit.TEMPFAIL,
    StorageError: SendmailExit.TEMPFAIL,
    Refused: SendmailExit.UNAVAILABLE,
    PermissionError: SendmailExit.NOPERM,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (those of the process by default)."""
    given = list(sys.argv[1:] if argv is None else argv)
    return run_program("sendmail", lambda: run(given), EXITS, SendmailExit.UNAVAILABLE)


def run(given: Sequence[str]) -> int:
    """One message, one session, or what mailq and mailrun do."""
    options = read_options(given)
    config = options.config or DEFAULT_CONFIG
    if options.mode == "i":
        return SendmailExit.OK  # aliases stand in the configuration and need no other form
    if options.mode in ("p", "q"):
        # Imported here: most programs only send.
        from mailsrv.cli import mailq, mailrun

        return (mailq.main if options.mode == "p" else mailrun.main)(["--config", config])
    # Before root becomes somebody else.
    user = find_user(os.getuid())
    if options.mode == "s":
        from mailsrv.cli.sendmail_session import LocalSession

        return LocalSession(open_way(config, user), lambda: os.read(0, 1 << 16), _write_all).run()
    if not options.recipients and not options.from_header:
        raise UsageError("no recipients: name some, or let -t read them from the header")
    way = open_way(config, user)
    message = read_message(sys.stdin.buffer, options.ignore_dots, way.limit)
    identifier = way.send(make_request(options, message), message)
    if options.verbose:
        print(f"sendmail: accepted as {identifier}", file=sys.stderr)
    return SendmailExit.OK


def make_request(options: Options, message: bytes) -> Request:
    """What is asked for; with -t the header's recipients come after those of the command line."""
    recipients = [address for text in options.recipients for address in split_addresses(text)]
    if options.from_header:
        recipients += find_recipients(_scan(message))
    return Request(
        tuple(dict.fromkeys(recipients)), options.sender, options.full_name, options.notify, options.ret, options.envid
    )


def read_message(file: BinaryIO, ignore_dots: bool, limit: int) -> bytes:
    """The message to its end, or to a line with a dot alone, with CRLF as its line ends.

    Every CR, LF and CRLF ends a line; NULs, which no message can have, go. A `From ` line of mbox files, which stands
    before a header, goes too. Raises GrammarError when there are more than `limit` octets.
    """
    lines: list[bytes] = []
    size = 0
    is_start = True
    while line := file.readline(_LINE_LIMIT):
        ends = line.endswith(b"\n")
        text = line.rstrip(b"\r\n") if ends else line
        if is_start and ends and text == b"." and not ignore_dots:
            break
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n").replace(b"\0", b"")
        lines.append(text + b"\r\n" if ends else text)
        is_start = ends
        size += len(lines[-1])
        if size > limit:
            raise GrammarError(f"the message has more than {limit} octets")
    if lines and not is_start and not lines[-1].endswith(b"\r\n"):
        lines.append(b"\r\n")
    if lines and lines[0].startswith(b"From "):
        del lines[0]
    return b"".join(lines)


def _scan(message: bytes) -> Header:
    """The header, as far as it is one."""
    scanned = scan(message, True)
    assert scanned is not None
    if fault := scanned.first_fault():
        lines = scanned.octets.split(b"\r\n")[: fault - 1]
        scanned = scan(b"".join(line + b"\r\n" for line in lines) + b"\r\n", True)
        assert scanned is not None
    return scanned


def _write_all(octets: bytes) -> None:
    while octets:
        octets = octets[os.write(1, octets) :]
