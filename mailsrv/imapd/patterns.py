"""Patterns of LIST: `*` for anything, `%` for anything within one level (RFC 9051 section 6.3.9).

A pattern comes from a client and may be long and full of wildcards: matching takes time by the product of the lengths
of pattern and name at most, whatever they are.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Callable

from mailsrv.store.layout import SEPARATOR
from mailsrv.store.values import INBOX

_WILD = re.compile(r"[*%]*\*[*%]*|%+")


def make_matcher(pattern: str) -> Callable[[str], bool]:
    """What tells whether a mailbox name matches; INBOX matches in any letters (RFC 9051 section 5.1)."""
    pattern = _WILD.sub(lambda match: "*" if "*" in match[0] else "%", pattern)
    matches = _make(pattern)
    inbox = _make(pattern.upper())(INBOX)
    first, _, rest = pattern.partition(SEPARATOR)
    regular = _make(f"{INBOX}/{rest}") if first.upper() == INBOX and first != INBOX else matches
    return lambda name: inbox if name == INBOX else matches(name) or regular(name)


def _make(pattern: str) -> Callable[[str], bool]:
    wildcards = pattern.count("*") + pattern.count("%")
    if not wildcards:
        return lambda name: name == pattern
    if pattern == "*":
        return lambda name: True
    if wildcards <= 2:
        parts = re.split(r"([*%])", pattern)
        source = "".join([_SOURCES.get(part) or re.escape(part) for part in parts])
        found = re.compile(source, re.DOTALL)
        return lambda name: found.fullmatch(name) is not None
    return lambda name: _walk(pattern, name)


_SOURCES = {"*": ".*", "%": f"[^{SEPARATOR}]*"}


def _walk(pattern: str, name: str) -> bool:
    """All places of the pattern that fit what was read so far are the bits of one number; one step a character."""
    wild = star = 0
    letters: dict[str, int] = {}
    for place, character in enumerate(pattern):
        bit = 1 << place
        if character in "*%":
            wild |= bit
            star |= bit if character == "*" else 0
        else:
            letters[character] = letters.get(character, 0) | bit
    places = 1 | (1 & wild) << 1
    for character in name:
        stays = places & (star if character == SEPARATOR else wild)
        places = (places & letters.get(character, 0)) << 1 | stays
        places |= (places & wild) << 1
    return bool(places >> len(pattern) & 1)
