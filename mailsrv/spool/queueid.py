"""IDs of sessions and messages: short, sortable by time, without vowels so that they spell nothing.

A session's ID is eleven characters: nine for the microseconds since the epoch in base 52 (they begin again in the year
2058), the process's slot, and a random one. A message's ID is its session's with the number of the message in the
session behind it; replies, logs, queue files and Maildir names all carry it.

Diagnostics: `time_of` raises GrammarError for a text that no `QueueIds` made.
"""

import re
import threading

from mailsrv.errors import GrammarError
from mailsrv.system import entropy
from mailsrv.system.clock import Clock

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"  # in the order of ASCII: IDs sort as times do
BASE = len(ALPHABET)
SESSION_LENGTH = 11

_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_TIME_LENGTH = 9
_FORM = re.compile(f"[{ALPHABET}]{{{SESSION_LENGTH},24}}", re.ASCII)


class QueueIds:
    """Makes the session IDs of one process; thread-safe. `slot` tells the processes that live at one time apart."""

    def __init__(self, clock: Clock, slot: int) -> None:
        self._clock = clock
        self._slot = ALPHABET[slot % BASE]
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """A new session ID, greater than every one made before (also when the clock is set back)."""
        now = int(self._clock.now() * 1e6)
        with self._lock:
            self._last = now = max(now, self._last + 1)
        return _write_time(now) + self._slot + ALPHABET[entropy.below(BASE)]


def child(session_id: str, number: int) -> str:
    """The ID of message `number` (from 0) of a session."""
    digits = ""
    while True:
        number, digit = divmod(number, BASE)
        digits = ALPHABET[digit] + digits
        if not number:
            return session_id + digits


def time_of(identifier: str) -> float:
    """When the session of this ID began, in seconds since the epoch. Takes IDs of sessions and of messages."""
    if not is_id(identifier):
        raise GrammarError(f"{identifier!r} is not an ID")
    value = 0
    for character in identifier[:_TIME_LENGTH]:
        value = value * BASE + _VALUES[character]
    return value / 1e6


def is_id(text: str) -> bool:
    """Whether a text (a file's name) has the form of an ID."""
    return _FORM.fullmatch(text) is not None


def _write_time(microseconds: int) -> str:
    """Nine characters, two at a time."""
    rest, low = divmod(microseconds, BASE * BASE)
    rest, second = divmod(rest, BASE * BASE)
    rest, third = divmod(rest, BASE * BASE)
    first, fourth = divmod(rest, BASE * BASE)
    return ALPHABET[first % BASE] + _PAIRS[fourth] + _PAIRS[third] + _PAIRS[second] + _PAIRS[low]
