"""The header of a message as octets: where it ends, which fields it has, and the header without some of them.

A scan copies the header once in lower case and works on it with C-speed searches, never line by line, so that the way
to a 250 costs microseconds. Line ends are CRLF (the protocol core lets nothing else in). Field names compare without
case (RFC 5322 section 2.2); the obsolete space before the colon (section 4.5) belongs to the name. Nothing is decoded.

Diagnostics: raises nothing; garbage has no fields.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

# One field: its name, and its value up to the CRLF that no space or tab follows.
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*)(?:\r\n)?", re.MULTILINE)
_BEGINNING = re.compile(rb"[!-9;-~]++[ \t]*+:")
# A line that is neither a field nor the continuation of one.
_NOT_A_FIELD = re.compile(rb"^(?![!-9;-~]++[ \t]*+:|[ \t])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Header:
    """A scanned header: `octets` up to and without the empty line (the last field's CRLF included), `folded` the same
    in lower case behind a line feed, for searches. `length` counts to the end of the empty line, if there is one."""

    octets: bytes
    folded: bytes
    length: int

    def count(self, name: bytes) -> int:
        """How many fields have this name (lower case)."""
        if self.folded.count(b"\n" + name) == 0:
            return 0
        return len(_named(name).findall(self.folded))

    def has(self, name: bytes) -> bool:
        """Whether there is a field of this name (lower case)."""
        return b"\n" + name in self.folded and _named(name).search(self.folded) is not None

    def values(self, name: bytes) -> list[bytes]:
        """The raw values of all fields of this name (lower case), as `fields` gives them."""
        if not self.has(name):
            return []
        return [value for found, value in self.fields() if found == name]

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        """Every field as (name in lower case, raw value with its folds); what is no field is passed over."""
        for match in _FIELD.finditer(self.octets):
            yield match[1].lower(), match[2]

    def raw_fields(self) -> Iterator[tuple[bytes, bytes]]:
        """Every field as (name in lower case, all its octets with the last CRLF), for what is signed as it stands."""
        for match in _FIELD.finditer(self.octets):
            octets = match[0]
            yield match[1].lower(), octets if octets.endswith(b"\r\n") else octets + b"\r\n"

    def without(self, names: frozenset[bytes], unless: Callable[[bytes, bytes], bool] | None = None) -> bytes:
        """`octets` less every field of these names (lower case), continuation lines included; a field stays when
        `unless` says so of its name (lower case) and raw value."""
        if not any(self.has(name) for name in names):
            return self.octets
        kept = []
        position = 0
        for match in _FIELD.finditer(self.octets):
            name = match[1].lower()
            if name in names and not (unless and unless(name, match[2])):
                kept.append(self.octets[position : match.start()])
                position = match.end()
        kept.append(self.octets[position:])
        return b"".join(kept)

    @property
    def begins(self) -> bool:
        """Whether the first line is a field: otherwise the message has no header and its first line is text."""
        return not self.octets or _BEGINNING.match(self.octets) is not None

    def first_fault(self) -> int:
        """The number (from 1) of the first line that is neither a field nor its continuation, 0 when there is none."""
        if self.octets[:1] in (b" ", b"\t"):
            return 1
        match = _NOT_A_FIELD.search(self.octets)
        if match is None or match.start() == len(self.octets):
            return 0
        return self.octets.count(b"\n", 0, match.start()) + 1


def scan(head: bytes, whole: bool) -> Header | None:
    """Read the header at the beginning of `head`. `whole` tells that `head` is all of the message: a header without an
    empty line behind it is all there is, then. None: the header does not end within `head`."""
    if head[:2] == b"\r\n":
        return Header(b"", b"\n", 2)
    end = head.find(b"\r\n\r\n")
    if end < 0:
        if not whole:
            return None
        return Header(head, b"\n" + head.lower(), len(head))
    octets = head[: end + 2]
    return Header(octets, b"\n" + octets.lower(), end + 4)


def unfold(value: bytes) -> bytes:
    """A raw value on one line, without space around it (RFC 5322 section 2.2.3)."""
    return value.replace(b"\r\n", b"").strip()


@lru_cache(maxsize=64)
def _named(name: bytes) -> re.Pattern[bytes]:
    """The pattern of a field's beginning in the folded header."""
    return re.compile(rb"\n" + re.escape(name) + rb"[ \t]*:")
