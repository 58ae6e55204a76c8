"""`mailsrv config`: the effective configuration as TOML, secrets hidden.

Diagnostics: `run` raises ConfigError for a configuration that is not valid: what is not used cannot be effective.
"""

import argparse
import os
import sys

from mailsrv.errors import Exit
from mailsrv.config.load import load
from mailsrv.config.show import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """-n, as postconf(1) has it."""
    parser.add_argument("-n", dest="changed_only", action="store_true", help="only what differs from the defaults")


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration on standard output."""
    config = load(arguments.config, os.environ)
    sys.stdout.write(show(config, arguments.changed_only))
    return Exit.OK
