"""The name of a message in a Maildir, what can be read from such a name, and the checksum of what lies under it.

A message is its base name: the part before `:2,`, unique in its account, made once from the message's ID, so that a
delivery repeated after a crash finds what it delivered before.

Diagnostics: `base_name` raises GrammarError for an ID that is none; the readers raise nothing.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from mmap import mmap

from mailsrv.errors import GrammarError
from mailsrv.store.values import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN

FLAGS_MARK = ":2,"
# The letters of Maildir for the system flags, in the order in which they stand.
LETTERS = {"D": DRAFT, "F": FLAGGED, "R": ANSWERED, "S": SEEN, "T": DELETED}

CHECKSUM_OCTETS = 16

_SIZE = re.compile(r",S=(\d{1,18})(?:[,:]|$)", re.ASCII)
# What a host name must not bring into a file name: the separators of Maildir.
_ESCAPES = str.maketrans({"/": "\\057", ":": "\\072", ",": "\\054"})


def base_name(seconds: float, identifier: str, size: int, hostname: str) -> str:
    """`<seconds>.<ID>.<hostname>,S=<size>`: seconds since the epoch from the ID, octets of the file."""
    if not identifier.isalnum():
        raise GrammarError(f"{identifier!r} cannot be part of a file name")
    return f"{int(seconds)}.{identifier}.{_escape(hostname)},S={size}"


@lru_cache(maxsize=16)
def _escape(hostname: str) -> str:
    return hostname.translate(_ESCAPES)


def size_of(name: str) -> int | None:
    """The octets that a file's name tells; None when it does not."""
    match = _SIZE.search(name)
    return int(match[1]) if match else None


def base_of(name: str) -> str:
    """The base name of a file in new/ or cur/: without the flags."""
    return name.partition(FLAGS_MARK)[0]


def hash_of(base: str) -> int:
    """A number by which a base name is looked for in the index; two names may have one."""
    return zlib.crc32(base.encode())


def checksum(pieces: Iterable[bytes | memoryview | mmap]) -> bytes:
    """What the octets of a message are known by again, given in pieces of any size: BLAKE2b of 16 octets, as
    `b2sum -l 128` prints it. It is to find what a disk or a program has spoiled."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_OCTETS)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


@lru_cache(maxsize=256)
def flags_of(tail: str) -> int:
    """The system flags that the part of a name from `:2,` on tells."""
    return sum(LETTERS.get(letter, 0) for letter in set(tail[len(FLAGS_MARK) :]))


@lru_cache(maxsize=1024)
def tail_with(tail: str, flags: int) -> str:
    """The end of a name with the system flags of a flag word; letters in `tail` that are not ours stay."""
    others = [letter for letter in tail[len(FLAGS_MARK) :] if letter not in LETTERS]
    return FLAGS_MARK + "".join(sorted({*others, *(letter for letter, flag in LETTERS.items() if flags & flag)}))
