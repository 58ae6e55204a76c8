"""Where things lie in data_dir: the format's version, the spool's directories, and where the runner is woken.

The table of mailsrv-spool(5) as code; nothing else in the program spells these names.

Diagnostics: `prepare` raises Refused when data_dir has a format that this program does not know, StorageError when the
disk refuses.
"""

import os
from dataclasses import dataclass

from mailsrv.errors import Refused
from mailsrv.system.disk import Disk

VERSION = 1

QUEUE = "spool/queue"
JOURNAL = "spool/journal"
HOLD = "spool/hold"
CORRUPT = "spool/corrupt"
TMP = "spool/tmp"
RUN = "run"
DIRECTORIES = (QUEUE, JOURNAL, HOLD, CORRUPT, TMP, RUN)
FORMAT = "FORMAT"
WAKE = "run/wake"
LOCK = "run/spool"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths under one data_dir (absolute)."""

    data_dir: str

    @property
    def format(self) -> str:
        return f"{self.data_dir}/{FORMAT}"

    @property
    def queue(self) -> str:
        return f"{self.data_dir}/{QUEUE}"

    @property
    def journal(self) -> str:
        return f"{self.data_dir}/{JOURNAL}"

    @property
    def hold(self) -> str:
        return f"{self.data_dir}/{HOLD}"

    @property
    def corrupt(self) -> str:
        return f"{self.data_dir}/{CORRUPT}"

    @property
    def tmp(self) -> str:
        """Where an arriving message spills to (unnamed), and the names of file systems without unnamed files."""
        return f"{self.data_dir}/{TMP}"

    @property
    def wake(self) -> str:
        """The socket by which the queue's runner is woken."""
        return f"{self.data_dir}/{WAKE}"

    @property
    def lock(self) -> str:
        """The spool lock: held, exclusive, by who moves messages into hold and back or collects journals, and shared
        by who queues a message that may have been queued before."""
        return f"{self.data_dir}/{LOCK}"


def prepare(disk: Disk, data_dir: str) -> Layout:
    """Once per start: check the format, or write it into a new data_dir; make the spool's directories, durably."""
    layout = Layout(os.path.abspath(data_dir))
    disk.make_directories(layout.data_dir)
    if disk.exists(layout.format):
        check_format(disk, layout)
    elif disk.exists(layout.queue):
        raise Refused(
            f"{layout.format} is missing, but there is a spool: bring it back from where data_dir came from, or write "
            f"the version of its format ({VERSION} for this program) into it"
        )
    else:
        disk.replace(layout.format, f"{VERSION}\n".encode(), 0o644)
    for directory in DIRECTORIES:
        disk.make_directories(f"{layout.data_dir}/{directory}")
    return layout


def check_format(disk: Disk, layout: Layout) -> None:
    """Raise Refused when data_dir is of a format that this program does not know."""
    found = disk.read(layout.format, 100).strip()
    if found != str(VERSION).encode():
        raise Refused(
            f"{layout.format} says {found.decode('ascii', 'replace')!r}, and this program knows format {VERSION} only: "
            "run the version of mailsrv that wrote it, or a later one"
        )
