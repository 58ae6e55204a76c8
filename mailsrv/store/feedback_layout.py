"""Where feedback lies in data_dir, and how large it may become: the table of mailsrv-store(5) as code.

Diagnostics: raises nothing.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

FEEDBACK = "feedback"
LOCK = "run/feedback"  # of whoever makes and reads reports
DAY_SECONDS = 86_400
MAX_DAY_OCTETS = 32 << 20  # of rows; about 60 000 messages
MAX_REPORT_OCTETS = 20 << 20  # of one message that is handed over
MAX_WAITING = 500  # messages handed over that nobody has read yet,
MAX_WAITING_OCTETS = 500 << 20  # and their octets in all

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)\.jsonl", re.ASCII)


@dataclass(frozen=True, slots=True)
class FeedbackLayout:
    """The paths under one data_dir (absolute). A day is a text such as 2026-11-22, in UTC."""

    data_dir: str

    @property
    def rows(self) -> str:
        """Rows, a file for each day."""
        return f"{self.data_dir}/{FEEDBACK}/out"

    @property
    def sent(self) -> str:
        """What became of each day's rows, a file for each day."""
        return f"{self.data_dir}/{FEEDBACK}/sent"

    @property
    def waiting(self) -> str:
        """Messages that look like reports and were not read yet."""
        return f"{self.data_dir}/{FEEDBACK}/in"

    @property
    def tmp(self) -> str:
        """The names of file systems without unnamed files."""
        return f"{self.data_dir}/{FEEDBACK}/tmp"

    @property
    def received(self) -> str:
        """What the reports of others said; with .1 behind it what is older."""
        return f"{self.data_dir}/{FEEDBACK}/received.jsonl"

    @property
    def directories(self) -> tuple[str, ...]:
        return (self.rows, self.sent, self.waiting, self.tmp)

    def rows_of(self, day: str) -> str:
        return f"{self.rows}/{day}.jsonl"

    def sent_of(self, day: str) -> str:
        return f"{self.sent}/{day}.jsonl"


def day_of(moment: float) -> str:
    """The day in UTC of a moment (seconds since the epoch)."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def beginning_of(day: str) -> int:
    """When a day begins, in seconds since the epoch."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def is_day(name: str) -> str:
    """The day whose file has this name; "" for another file."""
    match = _DAY.fullmatch(name)
    if match is None:
        return ""
    try:
        datetime.fromisoformat(match[1])
    except ValueError:
        return ""
    return match[1]
