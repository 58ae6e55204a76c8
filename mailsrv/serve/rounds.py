"""What the runner's process does about once a second beside running the queue: takes what local programs have left in
the drop directory, says what it knows of next hops (run/hops) and how many messages wait, and sees to it that the
doorbell at its place is its own. Once an hour it removes what no longer counts of the senders that are known. The
thread for DMARC reports (serve/feedback) is begun from here.

Diagnostics: `go` raises StorageError when the disk refuses; the next round tries again.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mailsrv.config.schema import Config
from mailsrv.deliver.dispatch import Destination, Dispatcher
from mailsrv.deliver.runner import Runner
from mailsrv.directory.accounts import Directory
from mailsrv.errors import StorageError
from mailsrv.receive.drops import Drops, Services
from mailsrv.serve.feedback import FeedbackThread
from mailsrv.spool.drop import find_inode
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.hops import HopState, write_hops
from mailsrv.spool.layout import Layout
from mailsrv.store.senders import Senders
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log
from mailsrv.system.scratch import MemoryBudget, Scratch
from mailsrv.system.wake import Doorbell, Waker

_AGAIN_SECONDS = 60.0  # between two looks at a drop directory that is not as it must be
_COUNT_SECONDS = 10.0  # between two counts of what waits: each reads the names in the queue
_EXPIRE_SECONDS = 3600.0  # between two looks at what senders no longer count


class Rounds:
    """Used by the runner's thread. The doorbell is hung before the first round."""

    def __init__(self, config: Config, log: Log, clock: Clock) -> None:
        self._disk = Disk()
        self._layout = Layout(config.data_dir)
        self._clock = clock
        self._has_drops = bool(config.drop_dir)
        spool = Spool(self._disk, config.data_dir, Waker())
        directory = Directory.from_config(config, clock)
        self._drops = Drops(config, Services(self._disk, spool, directory, self._scratch, log, clock))
        self._senders = Senders.from_config(config, self._disk, clock, log)
        self._feedback = FeedbackThread(config, log, clock)
        self._bell = 0  # the inode of our doorbell
        self._shown: list[HopState] = []
        self._count_at = self._drops_at = self._expire_at = 0.0  # monotonic

    def hang_doorbell(self) -> Doorbell:
        """Our doorbell, in the place of whatever is there. It is never closed: closing takes away the name, which may
        be the next process's by then."""
        doorbell = Doorbell(self._layout.wake)
        self._bell = find_inode(self._layout.wake)
        return doorbell

    def go(self, runner: Runner) -> None:
        """One round."""
        if find_inode(self._layout.wake) != self._bell:
            # Of a process that was to follow us, or of one that we follow: whoever of both lives on has it soon.
            runner.doorbell = self.hang_doorbell()
        self._feedback.go()
        now = self._clock.monotonic()
        if self._senders and now >= self._expire_at:
            self._expire_at = now + _EXPIRE_SECONDS
            with suppress(StorageError):  # which the log has
                if self._senders.expire():
                    self._expire_at = now  # the rest in the next round
        with self._shown_afterwards(runner.dispatcher):
            if now >= self._drops_at:
                # Not every second, if something is wrong with it: the log has a line for each time.
                self._drops_at = now + _AGAIN_SECONDS
                self._drops.look()
                self._drops_at = now
        if self._has_drops and self._drops_at <= now and now >= self._count_at:
            self._count_at = now + _COUNT_SECONDS
            held = len(self._disk.names(self._layout.hold))
            self._drops.tell(len(self._disk.names(self._layout.queue)), held)

    @contextmanager
    def _shown_afterwards(self, dispatcher: Dispatcher) -> Iterator[None]:
        """Whatever is wrong with the drop directory, mailq learns of next hops."""
        try:
            yield
        finally:
            states = [_describe(one) for one in dispatcher.destinations()]
            if states != self._shown:
                write_hops(self._disk, self._layout, states)
                self._shown = states

    def _scratch(self) -> Scratch:
        # Into a file at once: a local user's message may be as large as any, and this process has few of them.
        return Scratch(self._disk, self._layout.tmp, 0, MemoryBudget(0))


def _describe(destination: Destination) -> HopState:
    backoff = destination.backoff
    return HopState(
        str(destination.hop), backoff.failures, backoff.not_before, backoff.reason,
        len(destination.jobs), destination.threads,
    )  # fmt: skip
