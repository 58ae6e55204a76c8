"""Passwords that were right a moment ago, remembered so that the next connection of a client need not wait for argon2.

Nothing is kept from which a password could be found without this process's memory: a digest under a key that is made
anew in each process, over the account, the password and its hash. Only what was right is remembered, for a minute, so
a guess costs what it always did; a changed password has another hash and a reload another process, so neither is ever
let in by memory.

Diagnostics: what the checker behind it raises (Busy).
"""

import hmac
import threading
from typing import Protocol

from mailsrv.system import entropy
from mailsrv.system.clock import Clock

SECONDS = 60.0
MOST = 4096  # digests; beyond, the oldest goes
_KEY_OCTETS = 32


class Login(Protocol):
    """What is asked of an account."""

    @property
    def name(self) -> str: ...
    @property
    def password_hash(self) -> str: ...


class Checker(Protocol):
    """directory.passwords.Passwords."""

    def check(self, account: Login | None, password: str, /) -> bool: ...


class Remembered:
    """Asks `checker` what it does not remember; for all threads of a process, and not to be copied over a fork."""

    def __init__(self, checker: Checker, clock: Clock) -> None:
        self._checker = checker
        self._clock = clock
        self._key = entropy.octets(_KEY_OCTETS)
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}  # monotonic, in the order of what was right last

    def check(self, account: Login | None, password: str) -> bool:
        """Whether a password is the account's."""
        if account is None or not account.password_hash:
            return self._checker.check(account, password)
        digest = self._digest(account, password)
        until = self._until.get(digest)
        if until is not None and self._clock.monotonic() < until:
            return True
        if not self._checker.check(account, password):
            return False
        self._remember(digest)
        return True

    def _digest(self, account: Login, password: str) -> bytes:
        # With lengths, so that no other account, password and hash give the same octets.
        parts = [part.encode("utf-8", "surrogatepass") for part in (account.name, account.password_hash, password)]
        return hmac.digest(self._key, b"".join([b"%d:%b" % (len(part), part) for part in parts]), "sha256")

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._until.pop(digest, None)
            self._until[digest] = self._clock.monotonic() + SECONDS
            if len(self._until) > MOST:
                del self._until[next(iter(self._until))]
