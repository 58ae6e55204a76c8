"""Whether a text stands in a message, as far as its octets tell as they are: without reading its structure, decoding or
folding its body.

That is enough for most messages whose body is plain ASCII. Who asks for a word that is nowhere in the octets has the
answer, unless something in them might hide it: a transfer encoding, a charset other than ASCII and what contains it,
markup, the pieces of a parameter. Who asks for what stands there on one line has it too, where the message is a single
text. A header with encoded words is decoded. In all other cases the answer is None, and `message_text.holds` looks
closely (tests/mailsrv/store/test_glance.py compares both).

Diagnostics: raises nothing.
"""

import re

from mailsrv.mail.mime_header import find_header_end
from mailsrv.mail.words import decode_field, reads_ascii
from mailsrv.store.folding import fold, header_lines

MAX_HEADER = 1 << 16  # octets of a header that is known to be read whole

# Encodings, markup and names that are decoded, quotes that are undone, words in the headers of parts; in lower case.
_HIDING = (b"base64", b"quoted-printable", b"html", b"name*", b"\\")
_CHARSET = re.compile(rb'charset="?([a-z0-9_-]++)(?=["; \t\r\n])')
_PLAIN = re.compile(rb"\ncontent-type:[ \t]*+text/plain(?![!-:<-~])")


def glance(octets: bytes, needle: str, header: bool, body: bool) -> bool | None:
    """What can be told of a folded needle that is asked for in the header, the body or both; None: look closely."""
    end = find_header_end(octets, 0, len(octets))
    if end > MAX_HEADER or not needle.isascii() or needle[:1] == " " or needle[-1:] == " ":
        return None
    sought = needle.encode()
    top = b""
    if header:
        top = _read_header(octets[:end])
        if sought in top:
            return True
    lower = octets.lower()
    below = lower[end:]
    if not below.isascii():
        return None
    for mark in _HIDING:
        if mark in lower:
            return None
    if b"=?" in below or not _are_plain(lower):
        return None
    # The fields of the header that say how the body is to be read, in their raw form.
    fields = lower[:end]
    if b"name" in fields:
        return None  # that of a file, perhaps, which counts as text of the body
    if sought in below:
        return True if body and _is_one_text(fields) else None
    # Line ends and further space may stand where the needle has one space.
    words = sought.split(b" ")
    return None if len(words) > 1 and all(word in below or word in top for word in words) else False


def _read_header(octets: bytes) -> bytes:
    """The text of a header, without case; space as it stands, but for that of decoded fields."""
    if b"=?" not in octets and octets.isascii():
        return octets.lower()
    plain: list[bytes] = []
    decoded: list[bytes] = []
    for line in header_lines(octets):
        if b"=?" in line or not line.isascii():
            decoded.append(fold(decode_field(line)).encode())
        else:
            plain.append(line)
    # What is decoded stands behind the rest: no needle that reaches over a line is found here.
    return b"\n".join([b"\n".join(plain).lower(), *decoded])


def _is_one_text(header: bytes) -> bool:
    """Whether the message with this header is a plain text, or has no type, which is the same."""
    types = header.count(b"\ncontent-type")
    return not header.startswith(b"content-type") and types == (_PLAIN.search(header) is not None)


def _are_plain(lower: bytes) -> bool:
    """Whether all charsets that are named have ASCII's octets in ASCII's meaning."""
    count = lower.count(b"charset")
    if not count:
        return True
    names = _CHARSET.findall(lower)
    return len(names) == count and all(map(reads_ascii, names))
