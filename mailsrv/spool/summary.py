"""Looking at a queued message without working on it: no lock is taken, nothing is changed, nobody is kept waiting.

What is read may be a moment old, and the two files of different moments.

Diagnostics: `read_summary` raises GrammarError for files that the runner would move to corrupt/, StorageError when the
disk refuses.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.envelope import Envelope
from mailsrv.mail.outcome import Outcome
from mailsrv.spool.claim import due
from mailsrv.spool.history import Note, ReportNamed
from mailsrv.spool.journal import Journal
from mailsrv.spool.layout import Layout
from mailsrv.spool.queuefile import read_first_line
from mailsrv.system.disk import Disk, Missing
from mailsrv.system.openfile import OpenFile


@dataclass(frozen=True, slots=True)
class Summary:
    """A message as it waits. `outcomes`: the final or else last one of each recipient that was tried, by its index;
    `waiting`: the recipients (indices) without a final one. Times are seconds since the epoch, 0 for never. `start`:
    offset of the message in its file `path`."""

    envelope: Envelope
    outcomes: Mapping[int, Outcome]
    waiting: tuple[int, ...]
    attempts: int
    first_attempt: float
    last_attempt: float
    next_attempt: float
    reports: tuple[ReportNamed, ...]
    notes: tuple[Note, ...]
    held: bool
    claimed: bool
    path: str
    start: int

    @property
    def id(self) -> str:
        """The queue ID."""
        return self.envelope.id


def read_summary(disk: Disk, layout: Layout, identifier: str, locked: Collection[int] = ()) -> Summary | None:
    """The message of this ID in queue/ or hold/; None when there is none.

    `locked`: inode numbers that are locked (system/lock.locked_inodes, read once for a whole list); `claimed` follows
    from it.
    """
    held = disk.exists(f"{layout.hold}/{identifier}")
    for directory in (layout.hold, layout.queue) if held else (layout.queue, layout.hold):
        try:
            file = disk.open_file(f"{directory}/{identifier}")
        except Missing:
            continue
        with file:
            return _summarize(disk, layout, file, identifier, (directory == layout.hold, file.inode in locked))
    return None


def _summarize(disk: Disk, layout: Layout, file: OpenFile, identifier: str, state: tuple[bool, bool]) -> Summary:
    queued, start = read_first_line(file, identifier)
    envelope = queued.envelope
    try:
        history = Journal(disk, layout, identifier, queued.nonce).load(len(envelope.recipients))
    except GrammarError as error:
        raise GrammarError(f"journal: {error}") from None
    held, claimed = state
    return Summary(
        envelope,
        history.outcomes,
        tuple(history.waiting(envelope)),
        history.attempts,
        history.first_attempt,
        history.last_attempt,
        due(file.changed, history),
        tuple(history.reports),
        tuple(history.notes),
        held,
        claimed,
        file.path,
        start,
    )
