"""How a DNS list is written: its zone, and which of its answers count (RFC 5782 section 2.3).

    bl.example.org                          any answer of the list
    bl.example.org=127.0.0.2,127.0.0.4      these answers
    bl.example.org=127.0.0.[2..11]          an octet may be a range

The name is a full domain name, kept as A-labels. Nothing is looked up.

Diagnostics: `parse_zone` raises GrammarError, whose sentence says what the text must be.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_to_ascii
from mailsrv.config.check_domains import explain_domain

# 32 nibbles of an IPv6 address with their dots, and the zone, are a name of at most 253 octets (RFC 1035).
MAX_ZONE = 253 - 64

_OCTET = r"(?:[0-9]{1,3}|\[[0-9]{1,3}\.\.[0-9]{1,3}\])"
_ANSWER = re.compile(rf"({_OCTET})\.({_OCTET})\.({_OCTET})\.({_OCTET})")
_LOOPBACK = 127  # every answer of a list is in 127.0.0.0/8 (section 2.1)
_ERRORS = 255  # 127.255.255.0/24: what the well-known lists answer to whom they do not serve

# An answer that counts: the lowest and the highest value of each octet.
Pattern = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """A DNS list; `answers` has what counts, nothing: any answer."""

    name: str
    answers: tuple[Pattern, ...] = ()

    def counts(self, answer: str) -> bool:
        """Whether an IPv4 address is an answer that counts. Without `answers` every one in 127.0.0.0/8 does but
        127.0.0.1 and 127.255.255.x: by these lists say that they do not serve whoever asks."""
        octets = tuple(map(int, answer.split(".")))
        if octets[0] != _LOOPBACK or octets[1:3] == (_ERRORS, _ERRORS):
            return False
        if not self.answers:
            return octets != (_LOOPBACK, 0, 0, 1)
        return any(
            all(low <= octet <= high for octet, (low, high) in zip(octets, pattern, strict=True))
            for pattern in self.answers
        )


@lru_cache(maxsize=256)
def parse_zone(text: str) -> Zone:
    """Read one of the forms above; raises GrammarError."""
    name, equals, answers = text.partition("=")
    if reason := explain_domain(name):
        raise GrammarError(reason)
    name = domain_to_ascii(name)
    if len(name) > MAX_ZONE:
        raise GrammarError(f"is longer than {MAX_ZONE} octets, so that no IPv6 address fits before it")
    if not equals:
        return Zone(name)
    return Zone(name, tuple(map(_parse_answer, answers.split(","))))


def _parse_answer(text: str) -> Pattern:
    found = _ANSWER.fullmatch(text.strip())
    if found is None:
        raise GrammarError(f"has the answer {text!r}, must be like 127.0.0.2 or 127.0.0.[2..11]")
    pattern = tuple(map(_parse_octet, found.groups()))
    if any(low > high or high > 255 for low, high in pattern):
        raise GrammarError(f"has the answer {text!r}, whose octets must be 0 to 255 and their ranges ascending")
    if pattern[0] != (_LOOPBACK, _LOOPBACK):
        raise GrammarError(f"has the answer {text!r}, must begin with 127.: lists have no other answers")
    if pattern[1][0] == pattern[2][0] == _ERRORS:
        raise GrammarError(f"has the answer {text!r}, by which lists tell of errors, must be another")
    return pattern


def _parse_octet(text: str) -> tuple[int, int]:
    low, dots, high = text.strip("[]").partition("..")
    return int(low), int(high) if dots else int(low)
