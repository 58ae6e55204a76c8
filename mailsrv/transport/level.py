"""The TLS that the way to a next hop must have: a level, decided before anybody is connected to.

Several policies may speak about one next hop (a route, the recipient's domain); the highest level holds. Opportunistic
TLS (RFC 7435, RFC 3207) is the floor for hosts that nobody has said anything about: what protects against listeners
only must not keep mail from a host with a certificate of its own making. Nothing is connected or verified here.

Diagnostics: `level_of` raises ValueError for a word that the configuration does not know.
"""

from enum import IntEnum

_UNSAID = ""


class Level(IntEnum):
    """Levels in order, with room between them: one that needs a TLSA record (RFC 7672) belongs above VERIFY, since it
    overrides what only a certification authority vouches for.
    """

    NONE = 0  # no TLS, even if it is offered
    MAY = 10  # TLS if it is offered and works, with any certificate; else without
    ENCRYPT = 20  # TLS with any certificate, or no delivery
    VERIFY = 30  # TLS with a trusted certificate for the host's name (RFC 9525), or no delivery

    @property
    def needs_tls(self) -> bool:
        """Whether nothing may be sent in clear."""
        return self >= Level.ENCRYPT

    @property
    def word(self) -> str:
        """The level as the configuration writes it."""
        return self.name.lower()


def level_of(word: str, *, has_password: bool = False, is_unix: bool = False) -> Level:
    """The level that a route demands; without a word a password must be safe, and a unix socket needs no TLS."""
    if word != _UNSAID:
        try:
            return Level[word.upper()]
        except KeyError:
            raise ValueError(f"{word}: no level of TLS") from None
    if is_unix:
        return Level.NONE
    return Level.VERIFY if has_password else Level.MAY


def strictest(*levels: Level) -> Level:
    """What holds when several policies speak; MAY when none does."""
    return max(levels, default=Level.MAY)
