"""An account's mailboxes as an operator's command finds them: the configuration, the account, and its reader.

Root becomes the service user for good before anything is touched: what root made there the server could not use. The
server may run meanwhile; its sessions are told of what a command changes.

Diagnostics: `open_account` raises Refused for an account that is not there and for a data_dir of another format,
ConfigError, NotPermitted.
"""

import os
from dataclasses import dataclass

from mailsrv.errors import Refused
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from mailsrv.directory.accounts import Directory
from mailsrv.spool.layout import Layout as SpoolLayout
from mailsrv.spool.layout import check_format
from mailsrv.store.account import ACCOUNTS, Store
from mailsrv.store.layout import Layout
from mailsrv.store.notify import WATCH, Announcer
from mailsrv.store.quota import Quota
from mailsrv.store.reader import Reader
from mailsrv.store.readers import Readers
from mailsrv.store.values import Usage
from mailsrv.config.schema import Config
from mailsrv.cli.program import NotPermitted
from mailsrv.cli.queue_place import become_service_user


@dataclass(frozen=True, slots=True)
class AccountPlace:
    """One account, and the doors of its data_dir."""

    config: Config
    disk: Disk
    layout: Layout
    reader: Reader
    readers: Readers

    @property
    def account(self) -> str:
        return self.reader.account


def find_account(config: Config, directory: Directory, login: str) -> tuple[str, Usage]:
    """The name of the account that has this name or address, and what it may store. One that is not in the
    configuration any more may be named too, while its mail is there. Raises Refused."""
    found = directory.account(login)
    if found is not None:
        return found.name, Usage(found.quota_bytes, found.quota_messages)
    try:
        layout = Layout.of(config.data_dir, login.lower())
    except ValueError:
        raise Refused(f"there is no account {login}") from None
    if not os.path.lexists(layout.root):
        raise Refused(f"there is no account {login} in {config.source}, and no mail of it in {ACCOUNTS}/")
    return login.lower(), Usage()


def open_account(config: Config, login: str) -> AccountPlace:
    """That account, as the service user."""
    try:
        become_service_user(config)
    except NotPermitted:
        raise NotPermitted("only root and the service user may look into the accounts") from None
    disk, clock = Disk(), SystemClock()
    directory = Directory.from_config(config)
    name, limits = find_account(config, directory, login)
    layout = Layout.of(config.data_dir, name)
    if not os.path.isdir(config.data_dir) and not os.access(os.path.dirname(config.data_dir), os.W_OK):
        raise Refused(f"{config.data_dir}: there is no such directory; `mailsrv serve` makes it")
    if os.path.isdir(config.data_dir) and not os.access(config.data_dir, os.R_OK | os.X_OK):
        raise Refused(f"{config.data_dir}: only root and the service user may look into it")
    spool = SpoolLayout(config.data_dir)
    if disk.exists(spool.format):
        check_format(disk, spool)
    quota = Quota(disk, Store(disk, config.data_dir), clock, directory.most_messages)
    announcer = Announcer(f"{config.data_dir}/{WATCH}", disk, clock)
    if limits != Usage() and disk.exists(layout.root):
        quota.usage(name, limits.octets)  # what is not known is not counted on
    readers = Readers(disk, config.data_dir, clock, config.hostname, announcer, quota)
    return AccountPlace(config, disk, layout, readers.reader(name, limits), readers)
