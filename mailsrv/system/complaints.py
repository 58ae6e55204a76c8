"""What a process says again and again: the first time at once, then one line a minute with how often it was.

For troubles that whoever connects can cause as often as he likes, such as a disk that is full.

Diagnostics: raises nothing.
"""

import threading
from dataclasses import dataclass

from mailsrv.errors import MailsrvError
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.log import Log

QUIET_SECONDS = 60.0
_MOST = 1000  # troubles that are told apart at a time


@dataclass(slots=True)
class _Told:
    at: float  # monotonic
    since: int = 0  # how often it was not told since


class Complaints:
    """Threads may share it."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], _Told] = {}

    def storage(self, path: str, error: MailsrvError) -> None:
        """The disk refused something to an account (or what else is at `path`)."""
        text = str(error)
        # Many files, one trouble: what stands behind the name of the file.
        key = path, text.rpartition(": ")[2]
        now = self._clock.monotonic()
        with self._lock:
            told = self._told.get(key)
            if told is not None and now - told.at < QUIET_SECONDS:
                told.since += 1
                return
            if len(self._told) >= _MOST:
                self._told = {key: told for key, told in self._told.items() if now - told.at < QUIET_SECONDS}
            if len(self._told) >= _MOST:
                return  # a thousand lines a minute say enough
            self._told[key] = _Told(now)
        if told is not None and told.since:
            text += f"; {told.since} times more since the last line"
        events.storage(self._log, path=path, reason=text)
