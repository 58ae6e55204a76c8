"""`mailsrv serve`: runs the server in the foreground, or with --daemon as a process of its own.

With --daemon the command ends when the server is ready, or has failed to start, and its exit code says which (what
LSB init scripts need).

Diagnostics: ConfigError with every complaint, Refused and StorageError for what keeps the server from starting; `run`
gives the exit code of the server.
"""

import argparse
import os
import sys

from mailsrv import __version__
from mailsrv.config.load import load_with_warnings
from mailsrv.config.schema import Config
from mailsrv.errors import ConfigError, Exit, MailsrvError, Refused, StorageFull
from mailsrv.serve.opening import Opening, Options
from mailsrv.serve.processes import build
from mailsrv.serve.supervisor import Supervisor
from mailsrv.serve.worker import Build
from mailsrv.system import events
from mailsrv.system.process import Teller, Told, detach, set_title

PROCESS_TITLE = "mailsrv: supervisor"

# The same codes as every command's; here they must also reach the process that waits for a daemon.
_EXITS: tuple[tuple[type[MailsrvError], Exit], ...] = (
    (ConfigError, Exit.CONFIG),
    (StorageFull, Exit.TEMPFAIL),
    (Refused, Exit.UNAVAILABLE),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--daemon, --pid-file."""
    parser.add_argument("--daemon", action="store_true", help="go to the background when ready")
    parser.add_argument("--pid-file", metavar="FILE", default="", help="write the process number there too")


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped. Raises what keeps the server from starting."""
    pid_file = arguments.pid_file and os.path.abspath(arguments.pid_file)
    options = Options(os.path.abspath(arguments.config), pid_file, has_runner=True)
    config, warnings = load_with_warnings(options.config_path, os.environ)
    for warning in warnings:
        print(warning, file=sys.stderr)
    if not arguments.daemon:
        return serve(options, config, build)
    end = detach()
    if isinstance(end, Teller):
        return serve(options, config, build, end)
    return _report(end)


def serve(options: Options, config: Config, build: Build, teller: Teller | None = None) -> int:
    """One server from its start to its end; in a daemon `teller` hears how the start went."""
    def tell(code: int, text: str) -> None:
        if teller is not None:
            teller.tell(code, text)
        elif text:
            print(text, file=sys.stderr)

    set_title(PROCESS_TITLE)
    try:
        opening = Opening(options, config, build, os.environ)
    except MailsrvError as error:
        code = next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)
        tell(code, str(error) if code == Exit.CONFIG else f"mailsrv: {error}")
        return code
    if teller is not None and config.log.destination != "stderr":
        teller.give_up_stderr()
    try:
        supervisor = Supervisor(opening, on_ready=lambda: tell(Exit.OK, ""))
        events.start(supervisor.log, version=__version__, config=options.config_path, pid=os.getpid())
        status = supervisor.run()
        if status != Exit.OK:
            tell(status, f"mailsrv: {supervisor.reason}")
    finally:
        opening.close()
    return status


def _report(end: Told) -> int:
    if end.text:
        print(end.text, file=sys.stderr)
    return end.code
