"""Feedback in the runner's process: makes rows durable, has the day's reports made, reads those of others, and throws
away what is old.

To be called again and again by one thread of one process (serve/feedback). Rows are synced once a minute: a power cut
takes those of the last minute at most. A report of others is read from its copy in feedback/in, which goes away behind
it; one that ends the process while it is read is not read again. Nothing here is needed for mail to flow.

Diagnostics: raises nothing. What the disk refuses is an event and is tried again; a bug in the reading of a stranger's
report costs that report alone, is an event, and the others are read.
"""

import traceback
from collections.abc import Callable
from functools import partial

from mailsrv.deliver.feedback_days import Days
from mailsrv.deliver.feedback_reading import read_feedback
from mailsrv.errors import GrammarError, MailsrvError, StorageError
from mailsrv.spool.queueid import is_id
from mailsrv.store.feedback_layout import DAY_SECONDS, MAX_REPORT_OCTETS, FeedbackLayout, beginning_of, is_day
from mailsrv.store.feedback_received import AggregateSeen, Entry, Received, Unreadable
from mailsrv.store.feedback_received import WORDS as KINDS
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing, Stamp
from mailsrv.system.log import Log

KEEP_DAYS = 30  # rows, and what became of them
SYNC_SECONDS = 60.0
_DAYS_SECONDS = 60.0  # between two looks at days that have ended
_AGAIN_SECONDS = 900.0  # until a day is looked at again that waits for the DNS or the disk
_EXPIRE_SECONDS = 3600.0
_WORK_SECONDS = 30.0  # of one round: then others have their turn
_AT_A_TIME = 50  # reports that are read in one round
_TRIED = ".tried"  # a second name of what is being read


class Feedback:
    """See above. `sends`: reports are made; else rows that are there stay until they are old."""

    def __init__(self, disk: Disk, data_dir: str, clock: Clock, log: Log, days: Days, sends: bool) -> None:
        self._disk = disk
        self._layout = FeedbackLayout(data_dir)
        self._clock = clock
        self._log = log
        self._days = days
        self._sends = sends
        self._received = Received(disk, self._layout)
        self._is_prepared = False
        self._synced: dict[str, Stamp] = {}
        self._done: set[str] = set()
        self._not_before: dict[str, float] = {}  # day -> monotonic
        self._sync_at = self._days_at = self._expire_at = 0.0  # monotonic

    def restore(self) -> None:
        """Once, before the queue is run: reports that a crash left half made."""
        self._guard(self._layout.sent, self._restore)

    def go(self) -> None:
        """One round."""
        now = self._clock.monotonic()
        if not self._is_prepared and not self._guard(self._layout.rows, self._prepare):
            return
        self._is_prepared = True
        if now >= self._sync_at:
            self._sync_at = now + SYNC_SECONDS
            self._guard(self._layout.rows, self._sync)
        self._guard(self._layout.waiting, self._read_waiting)
        if self._sends and now >= self._days_at:
            self._days_at = now + _DAYS_SECONDS
            self._guard(self._layout.rows, self._report)
        if now >= self._expire_at:
            self._expire_at = now + _EXPIRE_SECONDS
            self._guard(self._layout.rows, self._expire)

    def _prepare(self) -> None:
        for directory in self._layout.directories:
            self._disk.make_directories(directory)

    def _restore(self) -> None:
        self._prepare()
        for day in sorted(filter(None, map(is_day, self._disk.names(self._layout.sent)))):
            self._guard(self._layout.sent_of(day), partial(self._days.restore, day))

    def _sync(self) -> None:
        """Make durable what was written to the days' files since the last time."""
        found = {}
        for name in self._disk.names(self._layout.rows):
            path = f"{self._layout.rows}/{name}"
            stamp = self._disk.stamp(path)
            if is_day(name) and stamp is not None:
                found[name] = stamp
                if self._synced.get(name) != stamp:
                    self._disk.append(path, b"", sync=True, create=False)
        if found.keys() - self._synced.keys():
            self._disk.sync_directory(self._layout.rows)
        self._synced = found

    def _report(self) -> None:
        """Make the reports of all days that are due."""
        until = self._clock.monotonic() + _WORK_SECONDS
        for day in sorted(filter(None, map(is_day, self._disk.names(self._layout.rows)))):
            now = self._clock.monotonic()
            if day in self._done or now < self._not_before.get(day, 0.0):
                continue
            if self._clock.now() < self._days.due_at(day):
                continue
            self._not_before[day] = now + _AGAIN_SECONDS
            if self._days.report(day, until):
                self._done.add(day)
            elif self._clock.monotonic() >= until:
                del self._not_before[day]
                return

    def _read_waiting(self) -> None:
        """Read the reports of others that were handed over."""
        until = self._clock.monotonic() + _WORK_SECONDS
        names = set(self._disk.names(self._layout.waiting))
        for name in sorted(name for name in names if name.endswith(_TRIED)):
            self._give_up(name.removesuffix(_TRIED), names)
        for name in sorted(filter(is_id, names))[:_AT_A_TIME]:
            if name + _TRIED not in names:
                self._read(name)
            if self._clock.monotonic() >= until:
                return

    def _give_up(self, name: str, names: set[str]) -> None:
        """A report that was being read when the process ended."""
        if name in names:
            self._keep(Unreadable(self._clock.now(), name, "the process ended while it was read"))
            self._disk.unlink(f"{self._layout.waiting}/{name}", missing_ok=True)
        self._disk.unlink(f"{self._layout.waiting}/{name}{_TRIED}", missing_ok=True)

    def _read(self, name: str) -> None:
        path = f"{self._layout.waiting}/{name}"
        self._disk.link(path, path + _TRIED)
        try:
            self._keep(self._make_out(name, path))
        except StorageError:
            self._disk.unlink(path + _TRIED, missing_ok=True)
            raise
        self._disk.unlink(path)
        self._disk.unlink(path + _TRIED)

    def _make_out(self, name: str, path: str) -> Entry:
        now = self._clock.now()
        if self._disk.size(path) > MAX_REPORT_OCTETS:
            return Unreadable(now, name, f"it is larger than {MAX_REPORT_OCTETS} octets")
        octets = self._disk.read(path, MAX_REPORT_OCTETS)
        try:
            return read_feedback(name, octets, now)
        except GrammarError as error:
            return Unreadable(now, name, str(error)[:300])
        except Exception:
            events.bug(self._log, where="feedback", id=name, traceback=traceback.format_exc())
            return Unreadable(now, name, "a mistake of mailsrv's, which its log tells")

    def _keep(self, entry: Entry) -> None:
        self._received.append(entry)
        if isinstance(entry, Unreadable):
            domain, messages, reason = "", 0, entry.reason
        else:
            domain, reason = entry.domain, ""
            messages = entry.messages if isinstance(entry, AggregateSeen) else entry.incidents
        events.feedback(
            self._log, id=entry.id, kind=KINDS[type(entry)], domain=domain, state="received", to=[], messages=messages,
            reason=reason,
        )  # fmt: skip

    def _expire(self) -> None:
        """Throw away days that nobody asks for any more."""
        oldest = self._clock.now() - (KEEP_DAYS + 1) * DAY_SECONDS
        for directory in (self._layout.rows, self._layout.sent):
            for name in self._disk.names(directory):
                day = is_day(name)
                if day and beginning_of(day) < oldest:
                    self._disk.unlink(f"{directory}/{name}", missing_ok=True)
                    self._done.discard(day)

    def _guard(self, path: str, action: Callable[[], object]) -> bool:
        """Do something that the disk may refuse; whether it did not."""
        try:
            action()
        except Missing:
            self._is_prepared = False  # somebody has taken away a directory
        except MailsrvError as error:  # the disk, or a key that cannot be read
            events.storage(self._log, path=path, reason=str(error))
        else:
            return True
        return False
