"""Reading a queue file: its first line, strictly, and where the message begins behind it.

Diagnostics: GrammarError when the file is not, or not completely, the message that its name says; StorageError when
the disk refuses to read.
"""

from typing import Protocol

from mailsrv.errors import GrammarError
from mailsrv.spool.format import Queued, decode

FIRST_READ = 4096  # octets: holds the line of some twenty recipients, and many a whole message
MAX_LINE = 64 << 20


class Readable(Protocol):
    """A file that is open for reading: system/openfile.OpenFile, or one in memory."""

    size: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` octets from `offset` on."""
        ...


def read_first_line(file: Readable, identifier: str) -> tuple[Queued, int]:
    """What the first line says, and the offset of the message's first octet."""
    count = FIRST_READ
    while True:
        octets = file.read_at(0, count)
        end = octets.find(b"\n")
        if end >= 0:
            break
        if len(octets) < count or count >= MAX_LINE:
            raise GrammarError("the first line has no end")
        count *= 16
    queued = decode(octets[:end])
    envelope = queued.envelope
    if envelope.id != identifier:
        raise GrammarError(f"is the message {envelope.id}, under another name")
    size = file.size - end - 1
    if size != envelope.size:
        raise GrammarError(f"has {size} octets of a message of {envelope.size}")
    return queued, end + 1
