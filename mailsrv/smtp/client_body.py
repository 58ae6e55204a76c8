"""Dots: the octets of a message as DATA carries them (RFC 5321 section 4.5.2).

Blocks of any size go in, blocks come out, with a second dot before each line that begins with one; never line by line.
A BDAT needs nothing of this.

Diagnostics: raises nothing.
"""


class DotStuffer:
    """One message. The result does not depend on how it was split."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        # The last two octets that went in. The CRLF of DATA counts as the one before the first line.
        self._tail = b"\r\n"

    def feed(self, block: bytes) -> bytes:
        """Take octets of the message; give them as they are sent."""
        # replace runs in C at 1 ns an octet, and gives the same object when there is nothing to do.
        stuffed = block.replace(b"\r\n.", b"\r\n..")
        tail = self._tail
        if tail == b"\r\n":
            if block[:1] == b".":
                stuffed = b"." + stuffed
        elif tail[-1:] == b"\r" and block[:2] == b"\n.":
            stuffed = b"\n.." + stuffed[2:]
        self._tail = block[-2:] if len(block) > 1 else (tail + block)[-2:]
        return stuffed

    def end(self) -> bytes:
        """What ends the message: a line with a dot, on a line of its own even if the message's last line had no end."""
        if self._tail == b"\r\n":
            return b".\r\n"
        return b"\n.\r\n" if self._tail[-1:] == b"\r" else b"\r\n.\r\n"
