"""`mailrun -1`: one pass over the queue in the foreground, told as it goes, with or without a running server.

It is the server's own runner, in this process: what another one works on is left alone. Everything waiting is tried,
or only the messages that are named; what comes into the queue meanwhile (reports) is tried too. What is done is
written on standard output as the log's lines, and into the log as always.

Diagnostics: StorageError when data_dir cannot be used, GrammarError when a DKIM key cannot be read.
"""

import os
import sys
import threading
from collections.abc import Mapping, Sequence

from mailsrv.cli.queue_place import SLOT, Place
from mailsrv.deliver.runner import Runner
from mailsrv.errors import Exit
from mailsrv.serve import queue
from mailsrv.spool.scan import list_ids
from mailsrv.system.disk import Missing
from mailsrv.system.log import Log
from mailsrv.system.wake import Doorbell

_LOOK_SECONDS = 0.02


class StandardOutput:
    """Where the lines of a pass go."""

    stamps = True

    def write(self, priority: int, line: bytes) -> None:
        """One line at once."""
        sys.stdout.write(line.decode("utf-8", "replace") + "\n")
        sys.stdout.flush()

    def reopen(self) -> None:
        """Nothing."""

    def own(self, uid: int, gid: int) -> None:
        """Nothing."""


class Told(Log):
    """A log whose events are shown as well."""

    def __init__(self, place: Place) -> None:
        super().__init__(StandardOutput(), "logfmt", "info", place.clock)
        self._also = place.log

    def write(self, event: str, level: str, fields: Mapping[str, object]) -> None:
        """See Log.write."""
        super().write(event, level, fields)
        self._also.write(event, level, fields)


def run_once(place: Place, ids: Sequence[str]) -> int:
    """Try these messages, or all: 0."""
    log = Told(place)
    # A doorbell of its own: a server's runner keeps its one.
    path = f"{place.layout.data_dir}/run/pass.{os.getpid()}"
    with Doorbell(path) as bell:
        runner = queue.build_runner(queue.Place(place.config, log, place.clock, SLOT), bell)
        now = place.clock.now()
        for identifier in ids or list_ids(place.disk, place.layout):
            try:
                place.disk.set_time(f"{place.layout.queue}/{identifier}", now)
            except Missing:
                if ids:
                    print(f"mailrun: {identifier}: is not in the queue, or is held", file=sys.stderr)
        _exhaust(runner)
        # Once more, for the reports that were made meanwhile.
        place.waker.wake(path, b"-")
        _exhaust(runner)
        runner.stop()
    left = len(list_ids(place.disk, place.layout))
    print(f"{left} messages are left" if left != 1 else "1 message is left")
    return Exit.OK


def _exhaust(runner: Runner) -> None:
    """Until nothing is under way and nothing due."""
    never = threading.Event()
    while runner.step() <= 0 or runner.active():
        never.wait(_LOOK_SECONDS)
