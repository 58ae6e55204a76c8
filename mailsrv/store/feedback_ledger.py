"""What became of a day's rows: the reports that were made of them, a file for each day (mailsrv-store(5)).

So that a report is made once, whatever crashes when: it is named here with its ID and whom it goes to, durably, before
it is queued under this ID, and noted as queued behind that. Whoever comes next makes those again that are named and not
queued, under the same ID; the spool knows those that lay in the queue already. One process writes at a time.

Diagnostics: everything here raises StorageError when the disk refuses; reading passes over what a power cut tore.
"""

from dataclasses import dataclass, field

from mailsrv.errors import GrammarError
from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_lines import VERSION
from mailsrv.system.disk import Disk, Missing
from mailsrv.text.record import Records, read_json, write_json

MAX_LEDGER = 64 << 20  # octets of a file; a day's rows cannot fill it
_RECORDS = Records()


@dataclass(frozen=True, slots=True)
class Named:
    """A report about a Policy Domain gets this ID and goes to these addresses; `rows` are its records. Times are
    seconds since the epoch."""

    domain: str
    id: str
    to: tuple[str, ...]
    rows: int
    messages: int
    at: float


@dataclass(frozen=True, slots=True)
class Queued:
    """The report of this ID lies in the queue, or did."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """There is no report about this Policy Domain, and why."""

    domain: str
    reason: str
    rows: int
    messages: int
    at: float


@dataclass(frozen=True, slots=True)
class Done:
    """Every Policy Domain of the day has its report or a reason for none; `left_out` messages had no row."""

    at: float
    left_out: int = 0


Entry = Named | Queued | Skipped | Done
_KINDS: dict[str, type[Entry]] = {"report": Named, "queued": Queued, "skipped": Skipped, "done": Done}
_WORDS = {kind: word for word, kind in _KINDS.items()}


@dataclass(slots=True)
class DayReports:
    """What the lines of a day add up to: reports and skipped domains by Policy Domain, IDs that are queued."""

    named: dict[str, Named] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    queued: set[str] = field(default_factory=set)
    done: Done | None = None

    def add(self, entry: Entry) -> None:
        """Take what one line says."""
        match entry:
            case Named():
                self.named.setdefault(entry.domain, entry)
            case Queued():
                self.queued.add(entry.id)
            case Skipped():
                self.skipped[entry.domain] = entry
            case Done():
                self.done = entry

    @property
    def pending(self) -> list[Named]:
        """Reports that are named and may not be queued."""
        return [one for one in self.named.values() if one.id not in self.queued and one.domain not in self.skipped]

    def knows(self, domain: str) -> bool:
        """Whether it is settled what becomes of a Policy Domain."""
        return domain in self.named or domain in self.skipped


class Ledger:
    """The file of one day, for the one who makes its reports."""

    def __init__(self, disk: Disk, layout: FeedbackLayout, day: str) -> None:
        self._disk = disk
        self._directory = layout.sent
        self._path = layout.sent_of(day)
        self._exists = False

    def load(self) -> DayReports:
        """Everything that is known, made durable before anybody acts on it: a killed process may not have synced it."""
        try:
            octets = self._disk.read(self._path, MAX_LEDGER)
        except Missing:
            return DayReports()
        self._disk.cut(self._path, octets.rfind(b"\n") + 1)
        self._disk.sync_directory(self._directory)
        self._exists = True
        return read_reports(octets)

    def write(self, entry: Entry) -> None:
        """Append one line; it is durable afterwards."""
        value = {"version": VERSION, _WORDS[type(entry)]: _RECORDS.dump(entry)}
        self._disk.append(self._path, write_json(value) + b"\n", sync=True)
        if not self._exists:
            self._disk.sync_directory(self._directory)
            self._exists = True


def read_reports(octets: bytes) -> DayReports:
    """What a file's lines add up to; the last one may be torn."""
    found = DayReports()
    for line in octets.split(b"\n"):
        try:
            value = read_json(line)
            if value.pop("version", None) == VERSION:
                for word, inner in value.items():
                    if word in _KINDS:
                        found.add(_RECORDS.load(_KINDS[word], inner))
        except GrammarError:
            continue
    return found
