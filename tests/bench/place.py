"""Where a run's files go: a directory whose part of the disk has not seen a bulk delete in the last minutes.

ext4 does not use an inode again at once: in a block group where thousands of files were just deleted, every new file
first scans past all of them, which costs some 400 us of CPU instead of 25. Any test suite that removes its directories
poisons the groups around it, so a benchmark measures the luck of its directory. Here each directory is spread into
another group (the T attribute of chattr(1)), tried, and left empty when files are dear in it.

Diagnostics: a file system without that attribute or without unnamed files is taken as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

DEAR_SECONDS = 80e-6
ATTEMPTS = 40
TRIES = 25


def spread(base: Path) -> None:
    """Have the file system put each directory made in `base` into a block group of its own choice, not the parent's."""
    subprocess.run(["chattr", "+T", str(base)], check=False, capture_output=True)


def make_directory(base: Path, name: str) -> Path:
    """A new directory in `base` where making a file is cheap; the last one tried when all are dear."""
    for attempt in range(ATTEMPTS):
        directory = base / (f"{name}-{attempt}" if attempt else name)
        directory.mkdir()
        if _creation_seconds(directory) < DEAR_SECONDS:
            return directory
    print(f"making a file is dear everywhere in {base}: bulk deletes; wait five minutes", file=sys.stderr)
    return directory


def _creation_seconds(directory: Path) -> float:
    """Median CPU time of making a file there."""
    spent = []
    for _ in range(TRIES):
        before = time.thread_time()
        try:
            descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except OSError:
            return 0.0
        spent.append(time.thread_time() - before)
        os.close(descriptor)
    return median(spent)
