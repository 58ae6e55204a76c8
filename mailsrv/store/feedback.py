"""Feedback as reception leaves it: rows for the next DMARC reports, and reports that others have sent us.

All processes append rows to the day's file, one line per message, each with one write; a message that looks like a
report is copied for the runner, which reads it later. Both are by the way: mail never waits or fails for them, and
nothing is synced here. A row outlives its process at once, and a power cut as soon as the runner has synced the day's
file, which it does every minute (deliver/feedback). A copy that a power cut takes is a report that is not counted; it
was delivered all the same. Rows beyond a day's bound are left out, and the file says how many.

Diagnostics: raises nothing, whatever the disk does.
"""

import re
import threading

from mailsrv.authn.dmarc_row import DmarcRow, wants_reports
from mailsrv.errors import AlreadyThere, StorageError
from mailsrv.mail.header import Header
from mailsrv.store.feedback_layout import (
    MAX_DAY_OCTETS,
    MAX_REPORT_OCTETS,
    MAX_WAITING,
    MAX_WAITING_OCTETS,
    FeedbackLayout,
    day_of,
)
from mailsrv.store.feedback_lines import write_left_out, write_row
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.log import Log
from mailsrv.system.scratch import Octets

_LOOK_SECONDS = 1.0  # between two looks at the size of the day's file
_SHARE = 8  # one policy domain may fill this part of a day, for each process
_DOMAINS = 10_000  # that a process tells apart; the rest have one share together
_NOTE_SECONDS = 60.0  # between two notes of what was left out, and two complaints in the log
# Octets of a header that are looked at, more than any report's has: looking costs hundreds of steps for each octet of
# one that is made for it.
_MOST_LOOKED_AT = 32768

# "Report Domain: d Submitter: s Report-ID: i" (RFC 9990 section 3.5.2), folded or not.
_SPACE = rb"(?:[ \t\r]|\n[ \t])*"
_SUBJECT = re.compile(rb"\nsubject[ \t]*:(?:[^\n]|\n[ \t]){0,200}?report" + _SPACE + b"domain" + _SPACE + b":")
# receiver!policy-domain!begin!end[!unique-id].xml.gz, or what others make of it
_FILE_NAME = re.compile(rb"![0-9]{6,12}![0-9]{6,12}[^\r\n]{0,200}?\.(?:xml|zip|gz)")


def is_candidate(header: Header) -> bool:
    """Whether a message may be an aggregate report or a failure report, by its header alone; it need not be one."""
    folded = header.folded[:_MOST_LOOKED_AT]
    if b"feedback-report" in folded:  # multipart/report; report-type=feedback-report (RFC 5965 section 2)
        return True
    if b"domain" in folded and _SUBJECT.search(folded) is not None:
        return True
    return b"!" in folded and _FILE_NAME.search(folded) is not None


class Collector:
    """Takes feedback from the sessions of one process, for all its threads. `enabled`: rows are wanted."""

    def __init__(self, disk: Disk, data_dir: str, clock: Clock, log: Log, enabled: bool) -> None:
        self._disk = disk
        self._layout = FeedbackLayout(data_dir)
        self._clock = clock
        self._log = log
        self._enabled = enabled
        self._lock = threading.Lock()
        self._day = ""
        self._full = False
        self._torn = True  # the file's last line may not have ended: nobody knows who wrote before
        self._left_out = 0
        self._shares: dict[str, int] = {}  # octets of the day by policy domain, as far as this process wrote them
        self._look_at = self._note_at = self._complain_at = 0.0  # monotonic

    def collect(self, row: DmarcRow | None) -> None:
        """Keep a row, unless nobody wants it."""
        if row is None or not self._enabled or not wants_reports(row.record):
            return
        line = write_row(row)
        with self._lock:
            try:
                self._keep(line, row.record_domain)
            except StorageError as error:
                self._torn = True
                self._left_out += 1
                self._complain(self._layout.rows, error)

    def hand_over(self, identifier: str, octets: Octets) -> None:
        """Leave a copy of a delivered message for whoever reads reports."""
        directory = self._layout.waiting
        try:
            if octets.size <= MAX_REPORT_OCTETS and self._has_room(directory, octets.size):
                with self._disk.open_unnamed(directory) as file:
                    octets.write_to(file)
                    file.link(directory, identifier)
        except AlreadyThere:
            return  # an attempt before this one has left it
        except StorageError as error:
            with self._lock:
                self._complain(directory, error)

    def _keep(self, line: bytes, domain: str) -> None:
        now = self._clock.monotonic()
        day = day_of(self._clock.now())
        if day != self._day:
            if self._left_out and self._day:
                self._note(self._day, now)
            self._day, self._look_at, self._torn = day, 0.0, True
            self._shares.clear()
        path = self._layout.rows_of(day)
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._full = self._size(path) >= MAX_DAY_OCTETS
        is_kept = not self._full and self._takes_share(domain, len(line))
        if not is_kept:
            self._left_out += 1
        if self._left_out and now >= self._note_at:
            self._note(day, now)
        if is_kept:
            self._append(path, line)

    def _takes_share(self, domain: str, octets: int) -> bool:
        """Whether a policy domain may have more of the day: a flood to one leaves the others room."""
        key = domain if domain in self._shares or len(self._shares) < _DOMAINS else ""
        used = self._shares.get(key, 0)
        if used + octets > MAX_DAY_OCTETS // _SHARE:
            return False
        self._shares[key] = used + octets
        return True

    def _note(self, day: str, now: float) -> None:
        """Say how many rows were left out."""
        self._note_at = now + _NOTE_SECONDS
        count, self._left_out = self._left_out, 0
        try:
            self._append(self._layout.rows_of(day), write_left_out(count))
        except StorageError:
            self._left_out += count
            raise

    def _append(self, path: str, line: bytes) -> None:
        octets = b"\n" + line + b"\n" if self._torn else line + b"\n"
        try:
            self._disk.append(path, octets)
        except Missing:
            self._disk.make_directories(self._layout.rows)
            self._disk.append(path, octets)
        self._torn = False

    def _size(self, path: str) -> int:
        try:
            return self._disk.size(path)
        except Missing:
            return 0

    def _has_room(self, directory: str, size: int) -> bool:
        """Whether another message may wait there; makes the directory when it is missing."""
        try:
            names = self._disk.names(directory)
        except Missing:
            for missing in (directory, self._layout.tmp):
                self._disk.make_directories(missing)
            return True
        if len(names) >= MAX_WAITING:
            raise StorageError(f"{directory}: {MAX_WAITING} reports wait to be read; another one is not counted")
        for name in names:
            size += self._size(f"{directory}/{name}")
        if size > MAX_WAITING_OCTETS:
            raise StorageError(f"{directory}: the reports that wait to be read take too much room; one is not counted")
        return True

    def _complain(self, path: str, error: StorageError) -> None:
        now = self._clock.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + _NOTE_SECONDS
            events.storage(self._log, path=path, reason=str(error))
