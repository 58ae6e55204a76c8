"""What a long search, sort or thread may cost, and word of it while it takes long (RFC 9585).

Diagnostics: SearchLimit as its base class, and what the pump raises when the client is gone.
"""

from mailsrv.imap.responses import string
from mailsrv.store.search_budget import Budget
from mailsrv.imapd.state import State

EVERY_SECONDS = 10.0


class ToldBudget(Budget):
    """A budget of one command; the client hears how many files were read, every ten seconds."""

    def __init__(self, state: State, tag: str) -> None:
        super().__init__(state.house.clock)
        self._state = state
        self._tag = tag
        self._read = 0
        self._next = state.house.clock.monotonic() + EVERY_SECONDS

    def spend(self, files: int = 0) -> None:
        """Before so many files are read. Raises SearchLimit."""
        super().spend(files)
        self._read += files
        now = self._state.house.clock.monotonic()
        if now >= self._next:
            self._next = now + EVERY_SECONDS
            # How many there will be is not known: the goal is NIL.
            self._state.send(b"* OK [INPROGRESS (%b %d NIL)] searching\r\n" % (string(self._tag.encode()), self._read))
            self._state.flush()
