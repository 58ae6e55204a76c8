"""The thread beside the queue's runner that takes messages from the drop directory, and leaves the numbers there.

The directory is looked at every two seconds, by its time; once before the runner starts, so that what was queued just
before a crash is known by its ID. Without drop_dir there is no thread.

Diagnostics: raises nothing; what the disk or the directory's owner and mode do not allow is an event, once until it
changes.
"""

import threading

from mailsrv.config.schema import Config
from mailsrv.directory.accounts import Directory
from mailsrv.errors import StorageError
from mailsrv.receive.drops import Drops, Services
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import Layout
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log
from mailsrv.system.scratch import MemoryBudget, Scratch
from mailsrv.system.wake import Waker

_LOOK_SECONDS = 2.0
_TELL_LOOKS = 5  # the numbers are counted at each of so many looks
_MEMORY_BOUND = 1 << 20  # octets of one message in memory


class DropService:
    """Start it before the runner; `stop` waits for a message that is just being taken."""

    def __init__(self, config: Config, log: Log, clock: Clock) -> None:
        self._config = config
        self._log = log
        disk = Disk()
        self._disk = disk
        self._layout = Layout(config.data_dir)
        budget = MemoryBudget(_MEMORY_BOUND)
        spool = Spool(disk, config.data_dir, Waker())
        services = Services(
            disk, spool, Directory.from_config(config),
            lambda: Scratch(disk, self._layout.tmp, _MEMORY_BOUND, budget), log, clock,
        )  # fmt: skip
        self._drops = Drops(config, services)
        self._complaint = ""
        self._looks = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look once, then from time to time in a thread."""
        if not self._config.drop_dir:
            return
        self.look()
        self._thread = threading.Thread(target=self._run, name="drops", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """One look, until there is nothing more to take."""
        try:
            while self._drops.look() and not self._stop.is_set():
                continue
            if self._looks % _TELL_LOOKS == 0:
                self._drops.tell(len(self._disk.names(self._layout.queue)), len(self._disk.names(self._layout.hold)))
            self._looks += 1
            self._complaint = ""
        except StorageError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                events.storage(self._log, path=self._config.drop_dir, reason=self._complaint)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()
