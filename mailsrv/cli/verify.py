"""`mailsrv verify`: whether the accounts' files, indexes and counts agree; with --repair, what does not is made right.

The server may run meanwhile. Root becomes the service user first, as what root made the server could not use. See
mailsrv.store.verify for what is looked at.

Diagnostics: `run` raises ConfigError for a configuration that is not valid, NotPermitted, and StorageError when the
disk refuses.
"""

import argparse
import os
import sys

from mailsrv.errors import Exit
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.config.load import load
from mailsrv.store.account import ACCOUNTS
from mailsrv.store.readers import Readers
from mailsrv.cli.queue_place import become_service_user


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--repair, and accounts."""
    parser.add_argument("--repair", action="store_true", help="make right what is wrong")
    parser.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="these accounts only (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """One line for each thing that is wrong, or was; 1 when something is, or is still."""
    config = load(arguments.config, os.environ)
    become_service_user(config)
    disk = Disk()
    root = f"{config.data_dir}/{ACCOUNTS}"
    known = sorted(name for name in disk.names(root) if name[0] != ".") if disk.exists(root) else []
    unknown = [name for name in arguments.accounts if name not in known]
    if unknown:
        print(f"mailsrv: {', '.join(unknown)}: has no directory in {root}", file=sys.stderr)
        return Exit.FAILED
    readers = Readers(disk, config.data_dir, SystemClock(), config.hostname)
    wrong = False
    for account in arguments.accounts or known:
        reader = readers.reader(account)
        if arguments.repair:
            for line in reader.repair():
                print(f"{account}: {line}")
        for line in reader.check():
            wrong = True
            print(f"{account}: {line}")
    readers.close()
    return Exit.FAILED if wrong else Exit.OK
