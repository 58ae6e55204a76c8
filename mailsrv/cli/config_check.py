"""`mailsrv config-check`: every fault of the configuration on standard error, or one line that it is valid.

Nothing is started, written or connected to. Only configuration, certificates, keys and the user database are read.

Diagnostics: `run` gives 0 or 1; it catches ConfigError because complaints are this command's result.
"""

import argparse
import os
import sys

from mailsrv.errors import ConfigError, Exit
from mailsrv.config.load import load_with_warnings


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None but --config, which every command has that reads it."""


def run(arguments: argparse.Namespace) -> int:
    """Print `configuration is valid`, or one line per fault on standard error; warnings do not change the exit code."""
    try:
        _, warnings = load_with_warnings(arguments.config, os.environ)
    except ConfigError as error:
        for complaint in error.complaints:
            print(complaint, file=sys.stderr)
        return Exit.FAILED
    for warning in warnings:
        print(warning, file=sys.stderr)
    print("configuration is valid")
    return Exit.OK
