"""The door to argon2: passwords hashed and checked with argon2id (RFC 9106), always at the same cost.

An unknown account, an account without a password and a wrong password take one and the same path and as long as each
other: where there is no hash to check, one that no password fits is checked, with the cost that the accounts' hashes
have. How many checks run at once is bounded by what is handed in, because each takes 19 MiB and a core. Nothing is
stored.

Diagnostics: `Passwords.check` raises Busy when no slot is free in time; `prepare_password` and `hash_password` raise
GrammarError for what cannot be a password.
"""

import base64
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from argon2.exceptions import VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from mailsrv.errors import GrammarError
from mailsrv.system import entropy
from mailsrv.sasl.saslprep import prepare

# Memory in KiB, passes and lanes: the least cost that OWASP's password storage cheat sheet recommends.
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1

_COST = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}"
_SALT = 16  # octets, RFC 9106 section 3.1 recommends so many
_DIGEST = 32


class Login(Protocol):
    """What a check needs of an account."""

    @property
    def password_hash(self) -> str:
        """argon2id hash in PHC form, "" for none."""
        ...


def prepare_password(password: str) -> str:
    """The form in which a password is hashed and compared, as SASL's mechanisms prepare it (RFC 4616 section 2)."""
    try:
        prepared = prepare(password)
    except GrammarError as error:
        raise GrammarError(f"the password has {error}; choose another") from None
    if not prepared:
        raise GrammarError("the password is empty; choose another")
    return prepared


def hash_password(password: str) -> str:
    """A new argon2id hash of a password in PHC form, about 100 characters. Raises GrammarError."""
    secret = prepare_password(password).encode()
    return hash_secret(secret, entropy.octets(_SALT), PASSES, MEMORY_KIB, LANES, _DIGEST, Type.ID).decode("ascii")


class Passwords:
    """Checks passwords, each inside `with slots:` (mailsrv.system.lock.Slots: so many at once, over all processes).

    `hashes`: the hashes that exist, so that the hash for nobody costs what most of them cost.
    """

    def __init__(self, slots: AbstractContextManager[object], hashes: Iterable[str] = ()) -> None:
        self._slots = slots
        costs = Counter(text.rpartition("$")[0].rpartition("$")[0] for text in hashes if text)
        cost = costs.most_common(1)[0][0] if costs else _COST
        # Random octets where a digest would be: made without hashing, and no password has it.
        salt, digest = (
            base64.b64encode(entropy.octets(count)).rstrip(b"=").decode("ascii") for count in (_SALT, _DIGEST)
        )
        self._nobody = f"{cost}${salt}${digest}".encode("ascii")

    def check(self, account: Login | None, password: str) -> bool:
        """Whether a password is the account's. None and accounts without a hash are never right, at the same cost."""
        expected = (account.password_hash if account is not None else "").encode("ascii") or self._nobody
        try:
            secret = prepare_password(password).encode()
        except GrammarError:
            # No account has such a password; the time it takes must not say more.
            expected, secret = self._nobody, b"\0"
        with self._slots:
            try:
                verify_secret(expected, secret, Type.ID)
            except VerificationError:
                return False
        return expected is not self._nobody
