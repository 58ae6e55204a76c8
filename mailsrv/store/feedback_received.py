"""What the reports of others said, as it is kept: one line each, in a file that is rotated by size (mailsrv-store(5)).

Anybody can send such a report and write anything into it: what stands here is what it claims. Nothing is synced: the
report itself lies in its recipient's mailbox.

Diagnostics: `Received.append` raises StorageError when the disk refuses; `Received.read` passes over lines that cannot
be read, and over what is not there.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.store.feedback_layout import FeedbackLayout
from mailsrv.store.feedback_lines import VERSION
from mailsrv.system.disk import Disk, Missing
from mailsrv.text.record import Records, read_json, write_json

MAX_OCTETS = 16 << 20  # of the file, beyond which it becomes the older one
_RECORDS = Records()


@dataclass(frozen=True, slots=True)
class Source:
    """Messages from one address: how many, and how many of them passed DMARC."""

    address: str
    messages: int
    passed: int


@dataclass(frozen=True, slots=True)
class AggregateSeen:
    """An aggregate report about `domain` from `reporter`. `sources` are those with most messages, `more` how many
    others there are; `messages` and `passed` count all. Times are seconds since the epoch; `id` is the message's."""

    at: float
    id: str
    reporter: str
    email: str
    report_id: str
    domain: str
    policy: str
    begin: int
    end: int
    messages: int
    passed: int
    sources: tuple[Source, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class FailureSeen:
    """A report about one message (RFC 5965, RFC 6591): `feedback` its type, `failure` what failed, `source` where the
    message came from, `delivery` what became of it, `domain` whom it is about."""

    at: float
    id: str
    reporter: str
    feedback: str
    domain: str = ""
    source: str = ""
    failure: str = ""
    delivery: str = ""
    arrival: str = ""
    incidents: int = 1


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that looked like a report and could not be read."""

    at: float
    id: str
    reason: str


Entry = AggregateSeen | FailureSeen | Unreadable
KINDS: dict[str, type[Entry]] = {"aggregate": AggregateSeen, "failure": FailureSeen, "unreadable": Unreadable}
WORDS = {kind: word for word, kind in KINDS.items()}


class Received:
    """The file and its elder. One process appends, anybody reads."""

    def __init__(self, disk: Disk, layout: FeedbackLayout) -> None:
        self._disk = disk
        self._path = layout.received
        self._torn = True  # nobody knows who wrote before

    def append(self, entry: Entry) -> None:
        """Add one line."""
        self._rotate()
        line = write_json({"version": VERSION, WORDS[type(entry)]: _RECORDS.dump(entry)}) + b"\n"
        octets = b"\n" + line if self._torn else line
        self._torn = True
        self._disk.append(self._path, octets)
        self._torn = False

    def read(self) -> Iterator[Entry]:
        """Every entry that is kept, oldest first."""
        for path in (f"{self._path}.1", self._path):
            with suppress(Missing):
                for line in self._disk.read(path, 2 * MAX_OCTETS).split(b"\n"):
                    entry = _read(line)
                    if entry is not None:
                        yield entry

    def _rotate(self) -> None:
        with suppress(Missing):
            if self._disk.size(self._path) >= MAX_OCTETS:
                older = f"{self._path}.1"
                self._disk.unlink(older, missing_ok=True)
                self._disk.link(self._path, older)
                self._disk.unlink(self._path)


def dump(entry: Entry) -> dict[str, object]:
    """An entry as a JSON object, its kind first."""
    return {"kind": WORDS[type(entry)], **_RECORDS.dump(entry)}


def _read(line: bytes) -> Entry | None:
    try:
        value = read_json(line)
        if value.pop("version", None) == VERSION:
            for word, inner in value.items():
                if word in KINDS:
                    return _RECORDS.load(KINDS[word], inner)
    except GrammarError:
        return None
    return None
