"""Who idles hears of what happens: one thread a process that waits for announcements, and rings.

Deliveries and changes by our own processes come as datagrams that name an account (store/notify); what other programs
do to the files is not announced, so every session that idles is rung about every 30 s too, a part of them at a time. It
looks into no mailbox itself.

Diagnostics: StorageError when the process's socket cannot be made; afterwards nothing.
"""

import threading
from collections.abc import Callable
from typing import Protocol

Ring = Callable[[], None]

LOOK_SECONDS = 30.0
_PARTS = 8  # of those who idle, rung one after the other within LOOK_SECONDS


class Announcements(Protocol):
    """store.notify.Watcher."""

    def changed(self, seconds: float | None = ..., /) -> set[str]: ...
    def close(self) -> None: ...


class Watch:
    """For all threads of a process; `run` is for a thread of its own, and ends soon after `stop`."""

    def __init__(self, announcements: Announcements, look_seconds: float = LOOK_SECONDS) -> None:
        #: Is told the accounts of each announcement, behind the rings; it must not wait.
        self.told: Callable[[set[str]], None] = lambda accounts: None
        self._announcements = announcements
        self._wait_seconds = look_seconds / _PARTS
        self._rings: dict[str, set[Ring]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._part = 0

    def enter(self, account: str, ring: Ring) -> None:
        """Ring when the account's mailboxes change. The ring is called by any thread and must not wait."""
        with self._lock:
            self._rings.setdefault(account, set()).add(ring)

    def leave(self, account: str, ring: Ring) -> None:
        """Ring no more; not to be called for what did not enter."""
        with self._lock:
            rings = self._rings[account]
            rings.discard(ring)
            if not rings:
                del self._rings[account]

    def run(self) -> None:
        """Wait and ring until `stop`."""
        while not self._stopping.is_set():
            self.listen()
        self._announcements.close()

    def listen(self) -> None:
        """Wait for one announcement, or for the time when the next part is to look for itself."""
        accounts = self._announcements.changed(self._wait_seconds)
        if accounts:
            self.tell(accounts)
            return
        with self._lock:
            self._part = (self._part + 1) % _PARTS
            everybody = [ring for rings in self._rings.values() for ring in rings]
            rings = [ring for ring in everybody if hash(ring) % _PARTS == self._part]
        for ring in rings:
            ring()

    def tell(self, accounts: set[str]) -> None:
        """Ring for these accounts; what this process announces itself comes here straight."""
        with self._lock:
            rings = [ring for account in accounts for ring in self._rings.get(account, ())]
        for ring in rings:
            ring()
        self.told(accounts)

    def stop(self) -> None:
        """Ring no more."""
        self._stopping.set()
