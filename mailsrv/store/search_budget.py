"""How much one search, sort or thread may cost: files read, and seconds.

Diagnostics: SearchLimit when there is nothing left (NO [LIMIT]; RFC 9051 section 7.1).
"""

from mailsrv.system.clock import Clock
from mailsrv.store.refusals import TooMany

MAX_FILES = 200_000
MAX_SECONDS = 60.0


class SearchLimit(TooMany):
    """A search, sort or thread takes more than one command may."""


class Budget:
    """For one command; used by one thread."""

    def __init__(self, clock: Clock, files: int = MAX_FILES, seconds: float = MAX_SECONDS) -> None:
        self._clock = clock
        self._files = files
        self._end = clock.monotonic() + seconds

    def spend(self, files: int = 0) -> None:
        """Before so many files are read. Raises SearchLimit."""
        self._files -= files
        if self._files < 0 or self._clock.monotonic() > self._end:
            raise SearchLimit("the search would read too much: ask for fewer messages, by dates or flags, say")
