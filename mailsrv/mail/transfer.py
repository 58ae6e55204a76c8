"""Content-Transfer-Encoding undone: base64 and quoted-printable in blocks, everything else as it is.

Blocks bound the memory, whatever the size of a part. Damage costs as little as possible: what is not base64 is passed
over (RFC 2045 section 6.8), and what no rule of quoted-printable allows stays as it stands (section 6.7).

Diagnostics: raises nothing of its own; what the octets themselves raise passes through.
"""

import binascii
from collections.abc import Iterator

from mailsrv.mail.mime import Octets, Span

BLOCK = 1 << 16  # octets that are read at a time
# What `decode` can undo; FETCH BINARY answers NO [UNKNOWN-CTE] to anything else (RFC 9051 section 6.4.5).
KNOWN = frozenset({b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"})

_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_MAX_LINE = 4 * BLOCK  # octets of a line in quoted-printable that are kept together


def decode(octets: Octets, span: Span, encoding: bytes) -> Iterator[bytes]:
    """The octets of a body without their encoding (lower case), in blocks; none of them is empty."""
    blocks = _blocks(octets, span)
    if encoding == b"base64":
        return _decode_base64(blocks)
    if encoding == b"quoted-printable":
        return _decode_quoted_printable(blocks)
    return blocks


def decoded_size(octets: Octets, span: Span, encoding: bytes) -> int:
    """How many octets `decode` gives."""
    if encoding not in (b"base64", b"quoted-printable"):
        return span.length
    return sum(map(len, decode(octets, span, encoding)))


def _blocks(octets: Octets, span: Span) -> Iterator[bytes]:
    for position in range(span.offset, span.end, BLOCK):
        yield bytes(octets[position : min(position + BLOCK, span.end)])


def _decode_base64(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Up to the first padding, which means the end."""
    rest = b""
    for block in blocks:
        digits, padding, _ = (rest + block.translate(None, _NOT_BASE64)).partition(b"=")
        whole = len(digits) if padding else len(digits) - len(digits) % 4
        rest = digits[whole:]
        if padding:
            rest = digits
            break
        if whole:
            yield binascii.a2b_base64(digits[:whole])
    if len(rest) % 4 == 1:
        rest = rest[:-1]
    if rest:
        yield binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))


def _decode_quoted_printable(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines at a time: an escape, a soft line break and the space before a line end lie on one line."""
    rest = b""
    for block in blocks:
        octets = rest + block
        cut = octets.rfind(b"\n") + 1
        if not cut and len(octets) > _MAX_LINE:
            cut = octets.rfind(b"=", len(octets) - 2) if b"=" in octets[-2:] else len(octets)
        rest = octets[cut:]
        if cut and (decoded := _decode_lines(octets[:cut])):
            yield decoded
    if decoded := _decode_lines(rest.rstrip(b" \t")):
        yield decoded


def _decode_lines(lines: bytes) -> bytes:
    # Space at the end of a line was put there by transport (section 6.7 rule 3).
    for end in (b"\r\n", b"\n"):
        if b" " + end in lines or b"\t" + end in lines:
            *ended, last = lines.split(end)
            lines = end.join([*[line.rstrip(b" \t") for line in ended], last])
    return binascii.a2b_qp(lines)
