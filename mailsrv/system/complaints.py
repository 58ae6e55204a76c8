"""What a process says again and again: the first time at once, then one line a minute with how often it was.

For troubles that whoever connects can cause as often as he likes, such as a disk that is full, or a message that
brings out a bug.

Diagnostics: raises nothing.
"""

import threading
import traceback
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

    def trouble(self, account: str, error: Exception) -> None:
        """Something went wrong for an account: the disk refused it, or it is a bug of ours."""
        if isinstance(error, MailsrvError):
            self.storage(account, error)
            return
        # One bug, whoever's message brings it out: where it was raised.
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        if (since := self._count("", f"{type(error).__name__} {place}")) is not None:
            text = "".join(traceback.format_exception(error))
            if since:
                text += f"{since} times more since the last line"
            events.bug(self._log, where="message", id=account, traceback=text)

    def storage(self, path: str, error: MailsrvError) -> None:
        """The disk refused something to an account (or what else is at `path`)."""
        text = str(error)
        # Many files, one trouble: what stands behind the name of the file.
        if (since := self._count(path, text.rpartition(": ")[2])) is not None:
            if since:
                text += f"; {since} times more since the last line"
            events.storage(self._log, path=path, reason=text)

    def _count(self, path: str, trouble: str) -> int | None:
        """How often a trouble was not told since it was; None: it is not to be told now."""
        key = path, trouble
        now = self._clock.monotonic()
        with self._lock:
            told = self._told.get(key)
            if told is not None and now - told.at < QUIET_SECONDS:
                told.since += 1
                return None
            if len(self._told) >= _MOST:
                self._told = {key: told for key, told in self._told.items() if now - told.at < QUIET_SECONDS}
            if len(self._told) >= _MOST:
                return None  # a thousand lines a minute say enough
            self._told[key] = _Told(now)
        return 0 if told is None else told.since
