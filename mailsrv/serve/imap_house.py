"""The composition root of IMAP: builds the services that sessions are handed, once per worker process.

Diagnostics: `build_imap_house` raises StorageError when data_dir cannot be used.
"""

import os
from collections.abc import Callable

from mailsrv.system.complaints import Complaints
from mailsrv.system.disk import Disk
from mailsrv.system.lock import Slots
from mailsrv.system.wake import Waker
from mailsrv.directory.accounts import Directory
from mailsrv.directory.passwords import Passwords
from mailsrv.directory.remembered import Remembered
from mailsrv.store.access import Access
from mailsrv.store.account import Store
from mailsrv.store.metadata import Metadata
from mailsrv.store.notify import WATCH, Announcer
from mailsrv.store.quota import Quota
from mailsrv.store.readers import Readers
from mailsrv.imapd.house import House
from mailsrv.serve.house import PASSWORD_WAIT, read_secret
from mailsrv.serve.watch import Watch
from mailsrv.serve.worker import WorkerContext


def build_imap_house(
    context: WorkerContext, watch: Watch, wait: Callable[[float], None], socket: str = ""
) -> House:
    """Everything that a session of this process may use; `wait` lets a session's thread sleep, `socket` is where
    `watch` listens."""
    config, clock = context.config, context.clock
    disk = Disk()
    checks = Slots(f"{config.data_dir}/run/argon2", os.cpu_count() or 1, PASSWORD_WAIT, clock)
    passwords = Passwords(checks, [account.password_hash for account in config.accounts])
    announcer = Announcer(f"{config.data_dir}/{WATCH}", disk, clock, Waker())
    announcer.own = (socket, watch.tell)
    directory = Directory.from_config(config)
    quota = Quota(disk, Store(disk, config.data_dir), clock, directory.most_messages)
    readers = Readers(disk, config.data_dir, clock, config.hostname, announcer, quota)
    complaints = Complaints(context.log, clock)
    readers.complain = complaints.trouble
    return House(
        config=config,
        directory=directory,
        passwords=Remembered(passwords, clock),
        readers=readers,
        access=Access(disk, config.data_dir, clock),
        metadata=Metadata(disk, config.data_dir, clock),
        watch=watch,
        throttle=context.counts,
        bans=context.bans,
        log=context.log,
        complaints=complaints,
        clock=clock,
        wait=wait,
        secret=read_secret(disk, config.data_dir),
        tls=context.tls is not None,
    )
