"""The table of states in mailsrv-spool(5), read from the page and replayed.

The rows A and B are this version's; what leads to the others comes with the runner, and a row that nobody replays and
that is not listed here as the runner's fails.
"""

import re
from dataclasses import dataclass

import pytest

from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.spool import layout
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.layout import prepare

from tests.crash.recovery import BODY, DATA, IDENTIFIER, PREFIX, message
from tests.fakes.disk import FakeDisk, PowerCut
from tests.house.source import TOP

REPLAYED = {"A", "B"}
RUNNERS = {"C", "D", "E"}


@dataclass(frozen=True)
class Row:
    letter: str
    queue: str
    hold: str
    journal: str
    meaning: str

    def fits(self, queue, hold, journal):
        """Whether these files, and no others, are those of this state."""
        wanted = (self.queue, self.hold, self.journal)
        found = (queue, hold, journal)
        return all(mark in ("any", "+" if there else "-") for mark, there in zip(wanted, found, strict=True))


def read_table():
    page = (TOP / "man/mailsrv-spool.5").read_text(encoding="utf-8")
    rows = re.findall(r"^\.It ([A-Z]) \w+ Ta (\S+) Ta (\S+) Ta (\S+) Ta (.+)$", page, re.MULTILINE)
    return {row[0]: Row(*row) for row in rows}


def state_of(image):
    """The letter of the one row that a tree is in."""
    there = [f"{DATA}/{directory}/{IDENTIFIER}" in image for directory in (layout.QUEUE, layout.HOLD, layout.JOURNAL)]
    letters = [row.letter for row in read_table().values() if row.fits(*there)]
    assert len(letters) == 1, f"{there} is in the states {letters}"
    return letters[0]


def new_disk():
    disk = FakeDisk()
    prepare(disk, DATA)
    disk.settle()
    return disk


def enqueue(disk):
    """Whether the 250 may be sent."""
    recipients = (Recipient(Address("erin", "remote.example")),)
    envelope = Envelope(IDENTIFIER, 1.0, None, recipients, size=len(PREFIX + BODY))
    try:
        Spool(disk, DATA).enqueue(envelope, message())
    except (PowerCut, StorageError):
        return False
    return True


def test_the_page_has_every_state():
    table = read_table()
    assert set(table) == REPLAYED | RUNNERS
    assert [letter for letter, row in table.items() if row.meaning == "250 may be sent"] == ["B"]


def test_from_a_to_b_with_a_power_cut_at_each_operation():
    disk = new_disk()
    assert [state_of(image) for image in disk.images()] == ["A"]
    assert enqueue(disk)
    operations = len(disk.operations)
    seen = set()
    for crash_at in range(operations + 1):
        disk = new_disk()
        disk.crash_at = crash_at
        acknowledged = enqueue(disk)
        states = {state_of(image) for image in disk.images()}
        assert states == {"B"} if acknowledged else states <= {"A", "B"}
        seen |= states
    assert seen == REPLAYED


@pytest.mark.parametrize("skip_sync", [0, 1])
def test_without_either_sync_the_250_would_lie(skip_sync):
    disk = new_disk()
    disk.skip_sync = skip_sync
    assert enqueue(disk)
    images = list(disk.images())
    path = f"{DATA}/{layout.QUEUE}/{IDENTIFIER}"
    assert any(not (image.get(path) or b"").endswith(PREFIX + BODY) for image in images)


@pytest.mark.parametrize(
    ("files", "letter"),
    [
        ((), "A"),
        (("queue",), "B"),
        (("queue", "journal"), "C"),
        (("hold",), "D"),
        (("hold", "journal"), "D"),
        (("journal",), "E"),
    ],
    ids=str,
)
def test_each_row_is_told_by_its_files(files, letter):
    assert state_of({f"{DATA}/spool/{directory}/{IDENTIFIER}": b"" for directory in files}) == letter
