"""The randomness door: unpredictable octets, numbers and passwords from the operating system.

Diagnostics: raises nothing.
"""

import secrets

_READABLE = "23456789abcdefghjkmnpqrstuvwxyz"  # no characters that people confuse


def octets(count: int) -> bytes:
    """`count` unpredictable octets."""
    return secrets.token_bytes(count)


def below(bound: int) -> int:
    """An unpredictable number from 0 to `bound` - 1."""
    return secrets.randbelow(bound)


def password(length: int = 16) -> str:
    """A password that can be read aloud: about 5 bits a character."""
    return "".join(secrets.choice(_READABLE) for _ in range(length))
