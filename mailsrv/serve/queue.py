"""The composition root of the queue: builds the runner with everything it needs, for the process and for one pass in
the foreground.

Diagnostics: `build_runner` raises StorageError when data_dir cannot be used, GrammarError when a DKIM key cannot be
read; either ends a process that starts, and the supervisor tries again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from mailsrv.config.schema import Config
from mailsrv.deliver.bounce import Bouncer
from mailsrv.deliver.carrier import Carrier, Roads
from mailsrv.deliver.dispatch import Destination, Dispatcher
from mailsrv.deliver.due import read_settings
from mailsrv.deliver.home import Home
from mailsrv.deliver.hosts import Ourselves
from mailsrv.deliver.job import Job
from mailsrv.deliver.local import LocalDelivery
from mailsrv.deliver.reroute import find_reroute
from mailsrv.deliver.route import Router
from mailsrv.deliver.runner import Runner, Works
from mailsrv.deliver.settle import Settler
from mailsrv.deliver.sign import make_signer
from mailsrv.directory.accounts import Directory
from mailsrv.mail.outcome import Outcome
from mailsrv.spool.claim import Claims
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout
from mailsrv.spool.paused import Paused
from mailsrv.spool.queueid import QueueIds, child
from mailsrv.store.account import Store
from mailsrv.store.notify import WATCH, Announcer
from mailsrv.store.quota import Quota
from mailsrv.serve.rounds import Rounds
from mailsrv.system import entropy, events, net
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.dns import DnsResolver
from mailsrv.system.log import Log
from mailsrv.system.wake import Doorbell, Waker


@dataclass(frozen=True, slots=True)
class Place:
    """Where the queue is run: the configuration, the log, and the slot that makes IDs unique among processes."""

    config: Config
    log: Log
    clock: Clock
    slot: int


def build_runner(place: Place, doorbell: Doorbell, go_round: Callable[[Runner], None] | None = None) -> Runner:
    """A runner with its dispatcher attached; `go_round` as in Works."""
    config, clock, log = place.config, place.clock, place.log
    disk, layout, waker = Disk(), Layout(config.data_dir), Waker()
    spool = Spool(disk, config.data_dir, waker)
    directory = Directory.from_config(config, clock)
    signer = make_signer(config, disk, clock)
    if signer is not None:
        signer.check()
    settings = read_settings(config)
    bouncer = Bouncer(disk, spool, settings, clock, signer.sign if signer else None)
    for complaint in bouncer.complaints:
        events.config(log, complaint=complaint)
    ids = QueueIds(clock, place.slot)
    claims = Claims(disk, layout, clock, log)
    settler = Settler(config.queue, settings, bouncer, lambda: child(ids.new(), 0), entropy.below, clock, log)
    paused = Paused(disk, layout)
    works = Works(
        claims, Router(config), settler, config.queue, signer.sign if signer else None,
        directory.srs.forward if directory.srs else None, lambda hop: paused.is_paused(str(hop)),
        lambda notes: find_reroute(notes, config), go_round,
    )  # fmt: skip
    runner = Runner(works, doorbell)
    roads = _roads(place, _home(place, (disk, directory, spool, waker)))
    carrier = Carrier(roads, runner.end_job)

    def carry(dispatcher: Dispatcher, destination: Destination) -> None:
        carrier.serve(dispatcher, destination)

    runner.dispatcher = Dispatcher(config.queue, clock, entropy.below, carry)
    return runner


def _home(place: Place, doors: tuple[Disk, Directory, Spool, Waker]) -> Callable[[Job], list[Outcome]]:
    """Delivery into accounts here."""
    config, clock = place.config, place.clock
    disk, directory, spool, waker = doors
    store = Store(disk, config.data_dir)
    quota = Quota(disk, store, clock, directory.most_messages)
    announcer = Announcer(f"{config.data_dir}/{WATCH}", disk, clock, waker)
    local = LocalDelivery(disk, store, spool, quota, announcer, place.log, clock, config.hostname)
    return Home(local, directory, spool, clock, place.log, quota.room).deliver


def _roads(place: Place, home: Callable[[Job], list[Outcome]]) -> Roads:
    """The ways to other hosts."""
    config, clock, queue = place.config, place.clock, place.config.queue
    dns = config.dns
    return Roads(
        resolver=DnsResolver(dns.nameservers, dns.timeout_seconds, clock, trust_ad=dns.trust_ad),
        ourselves=Ourselves.from_config(config, net.is_own_address),
        clock=clock,
        log=place.log,
        hello_name=queue.helo_name or config.hostname,
        connect_seconds=queue.connect_seconds,
        idle_seconds=queue.idle_seconds,
        messages_per_connection=queue.messages_per_connection,
        home=home,
    )


class QueueService:
    """The Service (serve/worker.py) of the runner's process. It has no listeners and no sessions."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None

    def start(self, listeners: object) -> None:
        """Begin to run the queue; the listeners are others' business."""
        rounds = Rounds(self._place.config, self._place.log, self._place.clock)
        self._runner = build_runner(self._place, rounds.hang_doorbell(), rounds.go)
        self._thread = threading.Thread(target=self._runner.run, name="runner", daemon=True)
        self._thread.start()

    def stop_accepting(self) -> None:
        """Begin nothing more."""
        if self._runner is not None and self._thread is not None:
            self._runner.halt()
            # First the thread that makes jobs: one that came after the dispatcher's end would never end itself.
            self._thread.join()
            self._runner.stop()

    def drain(self, idle_seconds: float, busy_seconds: float) -> None:
        """Deliveries that run end by themselves; the worker gives them its time."""

    def sessions_left(self) -> int:
        """How many deliveries run."""
        return self._runner.dispatcher.threads() if self._runner is not None else 0

    def kick(self, session_id: str) -> bool:
        """There is nobody to kick."""
        return False
