"""Line ends of messages that come in pieces: CRLF for the store, bare LF for files of other programs.

A CR that stands alone stays; nothing else is changed. Pieces may end anywhere, also between CR and LF; memory is that
of one piece.

Diagnostics: raises nothing.
"""

from collections.abc import Iterable, Iterator

_LONG = 65536  # octets of a line that are held back at most


def to_crlf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets with CRLF at the end of every line."""
    for piece in _unsplit(pieces):
        if piece.count(b"\n") == piece.count(b"\r\n"):
            yield piece
        else:
            yield piece.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def to_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets with a bare LF at the end of every line."""
    for piece in _unsplit(pieces):
        yield piece.replace(b"\r\n", b"\n")


def by_lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The same octets in pieces that end with lines, and whether each begins with one: those of a very long line, but
    for its first, do not."""
    held = b""
    begins = True
    for piece in pieces:
        piece = held + piece
        end = piece.rfind(b"\n") + 1
        held = piece[end:]
        if end:
            yield piece[:end], begins
            begins = True
        if len(held) > _LONG:
            yield held, begins
            held = b""
            begins = False
    if held:
        yield held, begins


def _unsplit(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets in pieces that do not end with CR, but for the last one."""
    held = b""
    for piece in pieces:
        if held:
            piece = held + piece
        held = b"\r" if piece.endswith(b"\r") else b""
        if held:
            piece = piece[:-1]
        if piece:
            yield piece
    if held:
        yield held
