"""The composition root of reception: builds the services that sessions are handed, once per worker process.

Diagnostics: `build_house` raises StorageError when data_dir cannot be used.
"""

import os
from collections.abc import Callable
from functools import partial

from mailsrv.authn.findings import Ask
from mailsrv.config.schema import Config
from mailsrv.deliver.local import LocalDelivery
from mailsrv.directory.accounts import Directory
from mailsrv.directory.passwords import Passwords
from mailsrv.errors import AlreadyThere
from mailsrv.receive.filter_kinds import make_filter
from mailsrv.receive.house import House
from mailsrv.receive.space import FreeSpace
from mailsrv.serve.worker import WorkerContext
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout
from mailsrv.spool.queueid import child
from mailsrv.store.account import Store
from mailsrv.store.feedback import Collector
from mailsrv.store.notify import Announcer
from mailsrv.store.quota import Quota
from mailsrv.store.senders import Senders
from mailsrv.system import entropy
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.dns import DnsResolver
from mailsrv.system.dns_values import Budget, Resolver
from mailsrv.system.lock import Slots
from mailsrv.system.rotation import Decisions
from mailsrv.system.scratch import MemoryBudget, Scratch
from mailsrv.system.wake import Waker

_MEMORY_BOUND = 1 << 20  # octets of one message in memory; a longer one goes to an unnamed file while it arrives
PASSWORD_WAIT = 10.0  # seconds that a login waits for its turn to be checked
_SECRET_OCTETS = 32


def read_secret(disk: Disk, data_dir: str) -> bytes:
    """The secret of this data_dir, made durable by whichever worker comes first; every worker must have the same."""
    path = f"{data_dir}/secret"
    if not disk.exists(path):
        with disk.open_unnamed(data_dir, 0o600) as file:
            file.write([entropy.octets(_SECRET_OCTETS)])
            file.sync()
            try:
                file.link(data_dir, "secret")
            except AlreadyThere:
                pass  # another worker was faster
        disk.sync_directory(data_dir)
    return disk.read(path, _SECRET_OCTETS)


def build_house(context: WorkerContext, wait: Callable[[float], None]) -> House:
    """Everything that a session of this process may use; `wait` lets a session's thread sleep."""
    config, clock, log = context.config, context.clock, context.log
    limits = config.limits
    disk = Disk()
    layout = Layout(config.data_dir)
    directory = Directory.from_config(config)
    store = Store(disk, config.data_dir)
    store.prepare(*(account.name for account in config.accounts))
    quota = Quota(disk, store, clock, directory.most_messages)
    waker = Waker()
    spool = Spool(disk, config.data_dir, waker)
    announcer = Announcer(f"{config.data_dir}/run/watch", disk, clock, waker)
    checks = Slots(f"{config.data_dir}/run/argon2", os.cpu_count() or 1, PASSWORD_WAIT, clock)
    budget = MemoryBudget(limits.memory_bytes)
    resolver = DnsResolver(config.dns.nameservers, config.dns.timeout_seconds, clock, trust_ad=config.dns.trust_ad)
    return House(
        config=config,
        directory=directory,
        passwords=Passwords(checks, [account.password_hash for account in config.accounts]),
        delivery=LocalDelivery(disk, store, spool, quota, announcer, log, clock, config.hostname),
        quota=quota,
        space=FreeSpace(disk, config.data_dir, (limits.free_bytes, limits.free_inodes), clock),
        throttle=context.counts,
        bans=context.bans,
        log=log,
        clock=clock,
        message_id=child,
        scratch=lambda: Scratch(disk, layout.tmp, _MEMORY_BOUND, budget),
        wait=wait,
        secret=read_secret(disk, config.data_dir),
        tls=context.tls is not None,
        decisions=Decisions(
            disk, f"{config.data_dir}/decisions", config.log.decisions_bytes, config.log.decisions_files, clock
        ),
        lookups=make_lookups(resolver, config, clock),
        senders=Senders.from_config(config, disk, clock, log),
        filter=make_filter(config.filter, clock, resolver),
        collector=Collector(disk, config.data_dir, clock, log, config.dmarc.report),
    )


def make_lookups(resolver: Resolver, config: Config, clock: Clock) -> Callable[[], Ask]:
    """Gives each message its way to the DNS, within the bounds of [checks]."""
    lookups, seconds = config.checks.lookups, config.checks.seconds
    return lambda: partial(resolver.query, budget=Budget(lookups, seconds, clock))
