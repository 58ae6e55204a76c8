"""What a server offers in its answer to EHLO or LHLO, as a value (RFC 5321 section 4.1.1.1, and each extension's RFC).

Unknown keywords are kept and mean nothing. What does not parse counts as not offered: servers and the boxes before
them write strange things there.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

_NUMBER = re.compile(r"[0-9]{1,18}")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is offered: keyword in upper case -> its arguments as written. Empty after HELO."""

    keywords: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    def without(self, keywords: frozenset[str]) -> "Capabilities":
        """The same but for some keywords."""
        if keywords.isdisjoint(self.keywords):
            return self
        return Capabilities({word: rest for word, rest in self.keywords.items() if word not in keywords})

    @property
    def size(self) -> int:
        """Most octets of a message, 0 when no limit is told (RFC 1870 section 4)."""
        word = self.keywords.get("SIZE", "").partition(" ")[0]
        return int(word) if _NUMBER.fullmatch(word) else 0

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms in upper case (RFC 4954 section 3)."""
        return tuple(self.keywords.get("AUTH", "").upper().split())

    @property
    def recipients_limit(self) -> int:
        """Most recipients of a transaction, 0 when not told (RFC 9422 section 5, RCPTMAX)."""
        return self._limit("RCPTMAX")

    @property
    def messages_limit(self) -> int:
        """Most transactions over one connection, 0 when not told (MAILMAX)."""
        return self._limit("MAILMAX")

    def _limit(self, name: str) -> int:
        for word in self.keywords.get("LIMITS", "").split():
            key, _, value = word.partition("=")
            if key.upper() == name and _NUMBER.fullmatch(value):
                return int(value)
        return 0


NO_CAPABILITIES = Capabilities()


def read_capabilities(lines: Sequence[str]) -> Capabilities:
    """Read the lines behind the first of a reply to EHLO or LHLO."""
    return _read(tuple(lines))


@lru_cache(maxsize=64)
def _read(lines: tuple[str, ...]) -> Capabilities:
    keywords: dict[str, str] = {}
    for line in lines:
        keyword, _, arguments = line.strip().partition(" ")
        keyword = keyword.upper()
        if keyword.startswith("AUTH="):  # as old servers write it, for older clients
            arguments, keyword = f"{keyword[5:]} {arguments}", "AUTH"
        if not _KEYWORD.fullmatch(keyword):
            continue
        if keyword == "AUTH" and keyword in keywords:
            arguments = f"{keywords[keyword]} {arguments}"
        keywords[keyword] = arguments.strip()
    return Capabilities(MappingProxyType(keywords))
