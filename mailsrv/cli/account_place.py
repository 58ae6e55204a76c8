"""An account's mailboxes as an operator's command finds them: the configuration, the account, and its reader.

Root becomes the service user for good before anything is touched: what root made there the server could not use. The
server may run meanwhile; its sessions are told of what a command changes.

Diagnostics: `open_account` raises Refused for an account that is not there and for a
data_dir of another format, ConfigError, NotPermitted.
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
from mailsrv.cli.queue_place import become_service_user


@dataclass(frozen=True, slots=True)
class AccountPlace:
    """One account, and the doors of its data_dir."""

    config: Config
    disk: Disk
    layout: Layout
    reader: Reader

    @property
    def account(self) -> str:
        return self.reader.account


def open_account(config: Config, login: str) -> AccountPlace:
    """The account with this name or address, as the service user. One that is not in the configuration any more may be
    named too, while its mail is there."""
    become_service_user(config)
    disk, clock = Disk(), SystemClock()
    directory = Directory.from_config(config)
    found = directory.account(login)
    name = found.name if found is not None else login.lower()
    try:
        layout = Layout.of(config.data_dir, name)
    except ValueError:
        raise Refused(f"there is no account {login}") from None
    if found is None and not disk.exists(layout.root):
        raise Refused(f"there is no account {login} in {config.source}, and no mail of it in {ACCOUNTS}/")
    if not os.path.isdir(config.data_dir) and not os.access(os.path.dirname(config.data_dir), os.W_OK):
        raise Refused(f"{config.data_dir}: there is no such directory; `mailsrv serve` makes it")
    if os.path.isdir(config.data_dir) and not os.access(config.data_dir, os.R_OK | os.X_OK):
        raise Refused(f"{config.data_dir}: only root and the service user may look into it")
    spool = SpoolLayout(config.data_dir)
    if disk.exists(spool.format):
        check_format(disk, spool)
    quota = Quota(disk, Store(disk, config.data_dir), clock, directory.most_messages)
    announcer = Announcer(f"{config.data_dir}/{WATCH}", disk, clock)
    limits = Usage(found.quota_bytes, found.quota_messages) if found is not None else Usage()
    if limits != Usage() and disk.exists(layout.root):
        quota.usage(name, limits.octets)  # what is not known is not counted on
    readers = Readers(disk, config.data_dir, clock, config.hostname, announcer, quota)
    return AccountPlace(config, disk, layout, readers.reader(name, limits))
