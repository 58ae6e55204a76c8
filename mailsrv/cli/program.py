"""What the commands that are programs of their own share: common options, and errors as sentences with exit codes.

An error is one line on standard error, `NAME: what is wrong`; complaints about the configuration stand for themselves.

Diagnostics: `run_program` gives the exit code (mailsrv.errors.Exit, 130 after an interrupt, 141 when nobody reads the
output) and raises only what is a bug.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping

from mailsrv import __version__
from mailsrv.errors import Busy, ConfigError, Exit, MailsrvError, Refused, StorageFull

DEFAULT_CONFIG = "/etc/mailsrv/mailsrv.toml"
INTERRUPTED = 130  # 128 + SIGINT, as shells count it
UNREAD = 141  # 128 + SIGPIPE

# Which exit code an error has; the first row that fits. Errors without a row are Exit.FAILED.
EXITS: Mapping[type[Exception], int] = {
    ConfigError: Exit.CONFIG,
    Busy: Exit.TEMPFAIL,
    StorageFull: Exit.TEMPFAIL,
    Refused: Exit.UNAVAILABLE,
    PermissionError: Exit.NOPERM,
}


class NotPermitted(PermissionError):
    """This user may not do that; the text says who may."""


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with --version and --config."""
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{name} of mailsrv {__version__}")
    parser.add_argument(
        "--config", metavar="FILE", default=DEFAULT_CONFIG, help=f"the configuration (default: {DEFAULT_CONFIG})"
    )
    return parser


def run_program(
    name: str, run: Callable[[], int], exits: Mapping[type[Exception], int] = EXITS, failed: int = Exit.FAILED
) -> int:
    """Run it and give its exit code; `exits` says which code an error has, `failed` is that of all others."""
    try:
        try:
            code = run()
            sys.stdout.flush()
        except SystemExit as end:  # argparse has said what is wrong, or has shown the help or the version
            code = end.code if isinstance(end.code, int) else Exit.FAILED
        except BrokenPipeError:
            raise
        except (MailsrvError, OSError) as error:
            print(_describe(name, error), file=sys.stderr)
            code = next((code for kind, code in exits.items() if isinstance(error, kind)), failed)
    except BrokenPipeError:
        # The interpreter flushes once more when it ends, and must not meet the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _describe(name: str, error: Exception) -> str:
    if isinstance(error, ConfigError):
        return "\n".join(error.complaints)
    if isinstance(error, OSError) and error.strerror:
        # An error that no door has explained: name the file and what the system says, as cat and ls do.
        return f"{name}: {error.filename}: {error.strerror}" if error.filename else f"{name}: {error.strerror}"
    return f"{name}: {error}"
