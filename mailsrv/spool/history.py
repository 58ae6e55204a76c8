"""A journal's lines as values: what was done about one message, and what that adds up to.

The first line ties the journal to one queue file; each further line is an object of one key, which says what happened
(the table KINDS, and mailsrv-spool(5)). Nothing is forgotten that a later line does not settle: a final outcome stays,
whatever comes behind it. This module reads and writes octets, no files.

Diagnostics: `read_history` raises GrammarError for a line that it does not know completely. What a power cut tore is
no error: `complete` says how much of a file is whole lines.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mailsrv.errors import GrammarError
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.text.record import Codec, Records, read_json, write_json

VERSION = 1
MAX_REPLY = 2000  # characters of a reply that are kept: a report quotes no more


@dataclass(frozen=True, slots=True)
class Attempt:
    """Outcomes of one try, as they became known. `next`: the message waits until then, 0 while the try goes on."""

    at: float
    outcomes: tuple[Outcome, ...] = ()
    next: float = 0.0


@dataclass(frozen=True, slots=True)
class ReportNamed:
    """A report of this kind about these recipients (indices) is made under this ID, or lies in the queue already."""

    id: str
    kind: Kind
    recipients: tuple[int, ...]
    at: float


@dataclass(frozen=True, slots=True)
class ReportQueued:
    """The report of this ID lies in the queue: it must not be made any more."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Note:
    """What an operator did: `action` is one word (cancelled, reroute), `text` what it needs or why."""

    action: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more is to be done; kept for a while, since the message must never be queued again (a report)."""

    at: float


Entry = Attempt | ReportNamed | ReportQueued | Note | Finished

KINDS: dict[str, type[Entry]] = {
    "attempt": Attempt,
    "report": ReportNamed,
    "reported": ReportQueued,
    "note": Note,
    "finished": Finished,
}
_WORDS = {kind: word for word, kind in KINDS.items()}


def _read_status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        raise GrammarError(f"{text!r} is no status") from None


def _read_kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        raise GrammarError(f"{text!r} is no kind of report") from None


RECORDS = Records(
    {
        Status: Codec(lambda status: str(status.value), _read_status),
        Kind: Codec(lambda kind: str(kind.value), _read_kind),
    }
)


@dataclass(slots=True)
class History:
    """What the lines add up to.

    `outcomes`: the last one of each recipient that was tried (by its index), or its final one. `attempts`: how often
    the message was tried and had to wait again. Times are seconds since the epoch, 0 for never. `reports` in the order
    of their making; `queued` holds the IDs of those that lie in the queue.
    """

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    attempts: int = 0
    first_attempt: float = 0.0
    last_attempt: float = 0.0
    next_attempt: float = 0.0
    reports: list[ReportNamed] = field(default_factory=list)
    queued: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    finished: float = 0.0
    tried: bool = False  # since the message had to wait last

    @property
    def pending(self) -> list[ReportNamed]:
        """The reports that were named and may not have been made."""
        return [report for report in self.reports if report.id not in self.queued]

    def waiting(self, envelope: Envelope) -> list[int]:
        """The recipients (indices) without a final outcome."""
        done = {index for index, outcome in self.outcomes.items() if outcome.status.is_final}
        return [index for index in range(len(envelope.recipients)) if index not in done]

    def add(self, entry: Entry) -> None:
        """Take what one line says."""
        match entry:
            case Attempt():
                self._add_attempt(entry)
            case ReportNamed():
                self.reports.append(entry)
            case ReportQueued():
                self.queued.add(entry.id)
            case Note():
                self.notes.append(entry)
            case Finished():
                self.finished = entry.at

    def _add_attempt(self, attempt: Attempt) -> None:
        for outcome in attempt.outcomes:
            before = self.outcomes.get(outcome.recipient)
            if before is None or not before.status.is_final:
                self.outcomes[outcome.recipient] = outcome
        if attempt.outcomes:
            self.first_attempt = self.first_attempt or attempt.at
            self.last_attempt = attempt.at
            self.tried = True
        if attempt.next:
            self.attempts += self.tried
            self.next_attempt = attempt.next
            self.tried = False


def bounded(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """The outcomes as the journal keeps them: without the end of very long replies."""
    return tuple(
        outcome if len(outcome.reply) <= MAX_REPLY else replace(outcome, reply=f"{outcome.reply[:MAX_REPLY]}...")
        for outcome in outcomes
    )


def encode_first(nonce: int) -> bytes:
    """The first line of a journal."""
    return write_json({"version": VERSION, "nonce": f"{nonce:016x}"}) + b"\n"


def encode(entry: Entry) -> bytes:
    """A further line."""
    return write_json({_WORDS[type(entry)]: RECORDS.dump(entry)}) + b"\n"


def complete(octets: bytes) -> int:
    """How many octets of a journal are whole lines: the rest was torn by a power cut and means nothing.

    What some file systems leave in place of octets that were never written, NULs, is part of the rest.
    """
    return octets.rstrip(b"\0").rfind(b"\n") + 1


def read_history(octets: bytes, nonce: int, recipients: int) -> History:
    """What whole lines say about the message with this nonce and so many recipients; no line at all is no history."""
    history = History()
    if not octets:
        return history
    first, *lines = octets.removesuffix(b"\n").split(b"\n")
    if first + b"\n" != encode_first(nonce):
        _explain(first)
    for number, line in enumerate(lines, 2):
        try:
            entry = decode(line)
            _check(entry, recipients)
        except GrammarError as error:
            raise GrammarError(f"line {number}: {error}") from None
        history.add(entry)
    return history


def decode(line: bytes) -> Entry:
    """What a further line says."""
    value = read_json(line)
    word = next(iter(value), "")
    if len(value) != 1 or word not in KINDS:
        raise GrammarError("must have one key of " + ", ".join(KINDS))
    return RECORDS.load(KINDS[word], value[word], word)


def find_pending(octets: bytes) -> set[str]:
    """The IDs of reports that any journal names and does not say to be queued, without the rest of it."""
    named, queued = set(), set()
    for line in octets[: complete(octets)].split(b"\n"):
        if line.startswith(b'{"report'):
            match decode(line):
                case ReportNamed(id=identifier):
                    named.add(identifier)
                case ReportQueued(id=identifier):
                    queued.add(identifier)
    return named - queued


def find_finish(octets: bytes) -> float:
    """When the message of any journal was finished, by its last line; 0 when that says something else."""
    line = octets[: complete(octets)].rstrip(b"\n").rpartition(b"\n")[2]
    entry = decode(line) if line.startswith(b'{"finished"') else None
    return entry.at if isinstance(entry, Finished) else 0.0


def _explain(first: bytes) -> None:
    """Raise GrammarError for a first line that is not the one that should be there."""
    value = read_json(first)
    if next(iter(value), "") != "version":
        raise GrammarError("line 1: the first key must be version")
    if value["version"] != VERSION or isinstance(value["version"], bool):
        raise GrammarError(f"line 1: version {value['version']!r} is not known, only {VERSION}")
    raise GrammarError("line 1: the nonce is not the queue file's: it is the journal of another message")


def _check(entry: Entry, recipients: int) -> None:
    """What types alone do not say."""
    indices: Iterable[int] = ()
    if isinstance(entry, Attempt):
        indices = [outcome.recipient for outcome in entry.outcomes]
    elif isinstance(entry, ReportNamed):
        indices = entry.recipients
    for index in indices:
        if not 0 <= index < recipients:
            raise GrammarError(f"there is no recipient {index}")
