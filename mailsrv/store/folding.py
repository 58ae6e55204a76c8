"""Texts as they are searched: folded, so that case, and what kind of white space stands where, make no difference (RFC
9051 section 6.4.4); and headers as texts.

Most texts are ASCII, which is folded as octets.

Diagnostics: raises nothing.
"""

import re
import unicodedata

from mailsrv.mail.words import decode_field

_SPACE = re.compile(r"\s+")
# What `str.split` takes for space among ASCII, and NUL.
_BLANKS = b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\0"
_FOLDED = bytes(0x20 if octet in _BLANKS else octet + 32 if 65 <= octet <= 90 else octet for octet in range(256))
_SHORT = 200  # characters: what is split into words sooner than anything is looked for in it


def fold(text: str) -> str:
    """A text as it is searched in: without case (Unicode's full case folding, then NFC), and one space for white space,
    none at its ends."""
    if len(text) < _SHORT or not text.isascii():
        return " ".join(fold_letters(text).split())
    octets = text.encode().replace(b"\r\n", b" ").translate(_FOLDED)
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets.strip(b" ").decode()


def fold_needle(needle: str) -> str:
    """A text as it is searched for: as `fold`, with a space at its ends where there was white space."""
    return _SPACE.sub(" ", fold_letters(needle))


def fold_letters(text: str) -> str:
    """A text without case, its white space as it is."""
    if text.isascii():
        return text.lower().replace("\0", " ")
    # Lone surrogates, which UTF-7 can bring, are no characters, and the index takes none.
    text = text.encode("utf-8", "replace").decode().replace("\0", " ")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def header_lines(octets: bytes) -> list[bytes]:
    """The fields of a header as it stands, each on one line, without line feeds."""
    for end in (b"\r\n", b"\n"):
        octets = octets.replace(end + b" ", b" ").replace(end + b"\t", b"\t")
    return octets.split(b"\n")


def read_header(octets: bytes) -> str:
    """The text of a header as it stands: its fields unfolded and decoded, one a line."""
    lines = header_lines(octets)
    if b"=?" not in octets and octets.isascii():
        return b"\n".join(lines).decode()
    return "\n".join([line.decode() if b"=?" not in line and line.isascii() else decode_field(line) for line in lines])
