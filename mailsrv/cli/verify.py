"""`mailsrv verify`: whether the accounts' files, indexes and counts agree; with --repair, what does not is made right.

The server may run meanwhile. All messages are read, unless it is to be --quick. Root becomes the service user first, as
what root made the server could not use. See mailsrv.store.verify for what is looked at.

Diagnostics: `run` raises Refused for an account that has no mail here, ConfigError for a configuration that is not
valid, NotPermitted, and StorageError when the disk refuses.
"""

import argparse
import os
import sys

from mailsrv.errors import Exit, Refused, StorageError
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.config.load import load
from mailsrv.store.account import ACCOUNTS
from mailsrv.store.layout import Layout
from mailsrv.store.reader import Reader
from mailsrv.store.readers import Readers
from mailsrv.cli.progress import Progress
from mailsrv.cli.queue_place import become_service_user


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--repair, and accounts."""
    parser.add_argument("--repair", action="store_true", help="make right what is wrong")
    parser.add_argument("--quick", action="store_true", help="look at the sizes of files and do not read them")
    parser.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="these accounts only (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """One line for each thing that was made right or is wrong; 1 when something is wrong."""
    config = load(arguments.config, os.environ)
    become_service_user(config)
    disk = Disk()
    root = f"{config.data_dir}/{ACCOUNTS}"
    known = sorted(name for name in disk.names(root) if _is_account(root, name)) if disk.exists(root) else []
    unknown = [name for name in arguments.accounts if name not in known]
    if unknown:
        raise Refused(f"{', '.join(unknown)}: has no directory in {root}")
    clock = SystemClock()
    readers = Readers(disk, config.data_dir, clock, config.hostname)
    progress = Progress(sys.stderr, clock)
    wrong = False
    for account in arguments.accounts or known:
        reader = readers.reader(account)
        left: list[str] = []
        done: list[str] = []
        if arguments.repair:
            progress.begin(f"{account}, repair", _count(reader))
            done, left = reader.repair(arguments.quick, progress.step)
        # What was read just now need not be read again.
        progress.begin(account, _count(reader))
        left += reader.check(arguments.quick or arguments.repair, progress.step)
        progress.end()
        for line in done + left:
            print(f"{account}: {line}")
        wrong = wrong or bool(left)
    readers.close()
    return Exit.FAILED if wrong else Exit.OK


def _is_account(root: str, name: str) -> bool:
    """Whether a name in accounts/ is an account's, and not lost+found or what somebody has put there."""
    try:
        Layout.of("", name)
    except ValueError:
        return False
    return os.path.isdir(f"{root}/{name}")


def _count(reader: Reader) -> int:
    """How many messages there are, as far as that can be told before."""
    try:
        return reader.usage().messages
    except StorageError:
        return 0
