"""A file to which several threads and processes append lines at once: one write each, so that lines never mix.

Used by the log and by the decision record. Nothing is synced: these lines are for people, no 250 waits for them.

Diagnostics: everything here raises OSError as the system gives it; a line that was cut short is an OSError too.
"""

import os


class LineFile:
    """An open descriptor. The number stays the same for its whole life, whatever file is behind it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._torn = False

    def write(self, line: bytes) -> None:
        """Append a line, given without its line end. After one that was cut short the next one starts anew."""
        octets = line + b"\n"
        if self._torn:
            octets = b"\n" + octets
        written = os.write(self.descriptor, octets)
        self._torn = written != len(octets)
        if self._torn:
            raise OSError(f"only {written} of {len(octets)} octets were written")

    def switch(self, fresh: int) -> None:
        """Go on in the file behind the descriptor `fresh`, which is closed.

        A thread that writes at this moment writes to one of the two files and never to a closed descriptor.
        """
        try:
            os.dup2(fresh, self.descriptor, inheritable=False)
        finally:
            os.close(fresh)


def open_for_lines(path: str, mode: int) -> int:
    """A descriptor that appends to `path`, which is made with `mode` when it does not exist."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, mode)
