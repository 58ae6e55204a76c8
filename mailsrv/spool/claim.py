"""Working on one queued message, alone: the claim, what is known of the message, and every step of its states.

A claim is a lock on the queue file. After taking it the name must still be this file's and must not be in hold/, and
the journal is read again, so that nothing that anybody did before is forgotten. Outcomes go from `learn` into memory
and with the next step into the journal, in one write; `finish` needs no journal where one attempt settled everything.
Nothing here decides when to try again or what to report.

    claim.learn(outcomes)                         any number of times, by any thread
    while (report := due(claim)):                 journal_report, queue it under that ID, reported
    claim.defer(next) if claim.waiting else claim.finish()

Diagnostics: `try_claim` raises Busy when somebody else works on the message and StorageError when the disk refuses; a
file that cannot be read goes to corrupt/ with an event. The steps raise StorageError; what they were to write down is
kept in memory, and the next step writes it.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from mailsrv.errors import Busy, GrammarError
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope
from mailsrv.mail.outcome import Outcome
from mailsrv.spool.corrupt import set_aside
from mailsrv.spool.history import Attempt, Entry, Finished, History, Note, ReportNamed, ReportQueued, bounded
from mailsrv.spool.hold import hold_claimed
from mailsrv.spool.journal import Journal
from mailsrv.spool.layout import Layout
from mailsrv.spool.queuefile import read_first_line
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.log import Log
from mailsrv.system.openfile import OpenFile

# The client of an envelope whose message is a report of this server's to somebody else than a sender (a DMARC report):
# it has a reverse-path, and may be asked for again under its ID like one to a sender.
REPORT = "report"
BLOCK = 256 << 10
HEADER_LIMIT = 1 << 20


class Claims:
    """Makes claims: the doors and the place, for all threads of a process."""

    def __init__(self, disk: Disk, layout: Layout, clock: Clock, log: Log) -> None:
        self.disk = disk
        self.layout = layout
        self.clock = clock
        self.log = log

    def try_claim(self, identifier: str, held: bool = False) -> "Claim | None":
        """Claim a queued message, or with `held` one in hold/ (for the operator's commands).

        None when there is no such message (any more), when it is held, or when it had to go to corrupt/; Busy when
        somebody else works on it.
        """
        directory = self.layout.hold if held else self.layout.queue
        try:
            file = self.disk.open_locked(f"{directory}/{identifier}")
        except Missing:
            return None
        if file is None:
            raise Busy(f"{identifier} is being worked on by another process or thread")
        claim = None
        try:
            if held or not self.disk.exists(f"{self.layout.hold}/{identifier}"):
                claim = self._read(identifier, file)
        except GrammarError as error:
            set_aside(self.disk, self.layout, identifier, self.log, str(error))
        finally:
            if claim is None:
                file.close()
        return claim

    def _read(self, identifier: str, file: OpenFile) -> "Claim":
        queued, start = read_first_line(file, identifier)
        journal = Journal(self.disk, self.layout, identifier, queued.nonce)
        try:
            history = journal.load(len(queued.envelope.recipients))
        except GrammarError as error:
            raise GrammarError(f"journal: {error}") from None
        return Claim(self, queued.envelope, (file, start), journal, history)


def try_claim(disk: Disk, layout: Layout, identifier: str, clock: Clock, log: Log) -> "Claim | None":
    """See Claims.try_claim."""
    return Claims(disk, layout, clock, log).try_claim(identifier)


class Claim:
    """A message that nobody else works on. Close it (`with`); the steps may be called by several threads.

    `size` counts the octets of the message, without the envelope's line.
    """

    def __init__(
        self, claims: Claims, envelope: Envelope, message: tuple[OpenFile, int], journal: Journal, history: History
    ) -> None:
        self.envelope = envelope
        self.id = envelope.id
        self.size = envelope.size
        self._claims = claims
        self._file, self._start = message
        self._journal = journal
        self._history = history
        self._unwritten: list[Outcome] = []
        self._queued: list[Entry] = []
        self._mutex = threading.Lock()

    # What is known.

    @property
    def outcomes(self) -> Mapping[int, Outcome]:
        """The final or else last outcome of each recipient that was tried, by its index."""
        return self._history.outcomes

    @property
    def waiting(self) -> list[int]:
        """The recipients (indices) that have no final outcome."""
        return self._history.waiting(self.envelope)

    @property
    def attempts(self) -> int:
        """How often the message was deferred."""
        return self._history.attempts

    @property
    def first_attempt(self) -> float:
        """Seconds since the epoch; 0 before the first outcome."""
        return self._history.first_attempt

    @property
    def last_attempt(self) -> float:
        """Seconds since the epoch; 0 before the first outcome."""
        return self._history.last_attempt

    @property
    def due(self) -> float:
        """When the message is to be tried, in seconds since the epoch: its file's time, unless that did not survive."""
        return due(self._file.changed, self._history)

    @property
    def reports(self) -> list[ReportNamed]:
        """All reports that were named, whether they are queued yet or not: none of them is due again."""
        return self._history.reports

    @property
    def notes(self) -> list[Note]:
        """What operators did."""
        return self._history.notes

    # The message.

    def fileno(self) -> int:
        """The descriptor; the message begins at `offset`."""
        return self._file.fileno()

    @property
    def offset(self) -> int:
        """Where in the file the message begins."""
        return self._start

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` octets of the message from `offset` on."""
        return self._file.read_at(self._start + offset, min(count, max(self.size - offset, 0)))

    def head(self, count: int) -> bytes:
        """The first octets."""
        return self.read(0, count)

    def blocks(self, offset: int = 0, count: int = BLOCK) -> Iterator[bytes]:
        """The message from `offset` on, `count` octets at a time."""
        while block := self.read(offset, count):
            yield block
            offset += len(block)

    def header(self, limit: int = HEADER_LIMIT) -> bytes:
        """The header with the empty line behind it; at most the first `limit` octets."""
        count = min(8192, limit)
        while True:
            octets = self.head(count)
            end = octets.find(b"\r\n\r\n")
            if end >= 0:
                return octets[: end + 4]
            if len(octets) < count or count == limit:
                return octets
            count = min(count * 8, limit)

    # The steps.

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Keep outcomes in memory until the next step writes them down."""
        kept = bounded(outcomes)
        if not kept:
            return
        with self._mutex:
            self._history.add(Attempt(self._claims.clock.now(), kept))
            self._unwritten += kept

    def record(self, outcomes: Iterable[Outcome] = ()) -> None:
        """Journal outcomes, and all that were learned; they are durable afterwards."""
        self.learn(outcomes)
        with self._mutex:
            self._append()

    def defer(self, next_attempt: float, outcomes: Iterable[Outcome] = ()) -> None:
        """Let the message wait until then, in seconds since the epoch."""
        self.learn(outcomes)
        with self._mutex:
            entry = Attempt(self._claims.clock.now(), tuple(self._unwritten), next_attempt)
            self._journal.append(*self._queued, entry)
            self._unwritten.clear()
            self._queued.clear()
            self._history.add(entry)
            self._set_time(next_attempt)

    def put_back(self) -> None:
        """Set the file's time to `due` again: it was lost, and the message claimed too early."""
        self._set_time(self.due)

    def journal_report(self, kind: Kind, report_id: str, recipients: Iterable[int]) -> ReportNamed:
        """Journal that the report of this kind about these recipients is made under this ID. Queue it next."""
        report = ReportNamed(report_id, kind, tuple(recipients), self._claims.clock.now())
        with self._mutex:
            self._append(report)
        return report

    def pending_reports(self) -> list[ReportNamed]:
        """Reports that were named and may not have been queued before a crash: queue them now, under their IDs."""
        pending = self._history.pending
        if pending:
            # Whoever named them may have been killed before the sync; a second cut would make them anew.
            self._journal.settle()
        return pending

    def reported(self, report_id: str) -> None:
        """The report lies in the queue, durably. Written down with the next step: until then its queue file, or what
        that has left, says so."""
        report = {report.id: report for report in self._history.reports}[report_id]
        entry = ReportQueued(report_id, self._claims.clock.now())
        with self._mutex:
            self._queued.append(entry)
            self._history.add(entry)
        told = self._history.outcomes.get(report.recipients[0]) if report.recipients else None
        events.report(
            self._claims.log, id=self.id, to=str(self.envelope.reverse_path or "<>"), kind=report.kind.value,
            report=report_id, recipients=len(report.recipients), reason=f"{told.dsn} {told.reply}" if told else "",
        )  # fmt: skip

    def note(self, action: str, text: str = "") -> None:
        """Journal what an operator did."""
        with self._mutex:
            self._append(Note(action, text, self._claims.clock.now()))

    def finish(self, outcomes: Iterable[Outcome] = ()) -> None:
        """Take the message out of the queue: state E, or none where there is no journal.

        Durable in the sense that nothing of it is ever done again: a name that comes back after a power cut, with a
        journal that settles everything, is only taken away once more.
        """
        self.learn(outcomes)
        disk, layout, clock = self._claims.disk, self._claims.layout, self._claims.clock
        held = f"{layout.hold}/{self.id}"
        with self._mutex:
            if self.envelope.reverse_path is None or self.envelope.client == REPORT:
                # A report may be asked for again under its ID, after a crash of who asks: its journal says no.
                if self._history.finished:
                    self._journal.settle()
                else:
                    self._append(Finished(clock.now()))
            elif self._unwritten and disk.exists(held):
                # Two names go, and a cut between them leaves it held: nobody may deliver it again then.
                self._append()
            disk.unlink(f"{layout.queue}/{self.id}", missing_ok=True)
            if self._unwritten or self.waiting or not self._journal.settled:
                disk.sync_directory(layout.queue)
            if disk.exists(held):
                disk.unlink(held, missing_ok=True)
                disk.sync_directory(layout.hold)
        events.finished(
            self._claims.log, id=self.id, recipients=len(self.envelope.recipients), attempts=self.attempts,
            seconds=round(max(clock.now() - self.envelope.received, 0.0), 3),
        )  # fmt: skip

    def hold(self, reason: str) -> None:
        """Set the message aside, with all that was learned."""
        with self._mutex:
            self._append()
            self._journal.settle()
            hold_claimed(self._claims.disk, self._claims.layout, self.id, self._claims.log, reason)

    def close(self) -> None:
        """Let go of the message. Raises nothing; what was learned and not written is lost."""
        self._file.close()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, *further: Entry) -> None:
        """Write down what was learned and these entries, with one write and sync."""
        entries = list(self._queued)
        if self._unwritten:
            entries.append(Attempt(self._claims.clock.now(), tuple(self._unwritten)))
        entries += further
        if not entries:
            return
        self._journal.append(*entries)
        self._unwritten.clear()
        self._queued.clear()
        for entry in further:
            self._history.add(entry)

    def _set_time(self, moment: float) -> None:
        """By the name that there is: the message may have been put into hold/ meanwhile, and back."""
        try:
            self._claims.disk.set_time(self._file.path, moment)
        except Missing:
            return


def due(changed: float, history: History) -> float:
    """When a message is to be tried, from its file's time and its journal (seconds since the epoch).

    The file's time counts: an operator may have set it. It is older than the last attempt only when the time that was
    set after that attempt did not survive a crash, or a copy.
    """
    return changed if changed >= history.last_attempt else history.next_attempt
