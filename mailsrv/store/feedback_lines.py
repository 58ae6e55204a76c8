"""The lines of feedback files, as values: rows of a day, what became of them, and what the reports of others said.

A line is a JSON object (mailsrv-store(5)). Empty lines mean nothing, and a line that cannot be read is passed over and
counted: a power cut may have torn it, and what is here is never worth more than what it says.

Diagnostics: raises nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailsrv.authn.dmarc_row import DmarcRow
from mailsrv.errors import GrammarError
from mailsrv.text.record import Records, read_json, write_json

VERSION = 1
_RECORDS = Records()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many messages of the day have no row."""

    left_out: int


def write_row(row: DmarcRow) -> bytes:
    """The line of a row, without a line end."""
    return write_json({"version": VERSION, **_RECORDS.dump(row)})


def write_left_out(count: int) -> bytes:
    """The line that says how many rows are missing."""
    return write_json({"version": VERSION, "left_out": count})


def read_rows(lines: Iterable[bytes]) -> Iterator[DmarcRow | LeftOut]:
    """What the lines of a day say; each line that cannot be read is a row left out."""
    for line in lines:
        if line.strip():
            yield _read_row(line)


def _read_row(line: bytes) -> DmarcRow | LeftOut:
    try:
        value = read_json(line)
        if value.pop("version", None) != VERSION:
            return LeftOut(1)
        if "left_out" in value:
            return _RECORDS.load(LeftOut, value)
        return _RECORDS.load(DmarcRow, value)
    except GrammarError:
        return LeftOut(1)
