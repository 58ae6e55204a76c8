"""The parts of a message that may be reports, and what is packed in them: MIME, gzip and zip, for octets of strangers.

Small on purpose. Multiparts are split at their boundaries by searches, a few levels deep and a few dozen parts at most
(RFC 2046 section 5.1); of an archive the first file is unpacked, as far as the bounds go (RFC 9990 section 9.1: bombs).
No names of files are used.

Diagnostics: `unpack` raises GrammarError for what cannot be unpacked or is beyond the bounds; `find_parts` raises
nothing.
"""

import binascii
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.header import Header, scan, unfold

MAX_UNPACKED = 64 << 20  # octets
_RATIO = 200  # times the packed size: XML gets about 30
_RATIO_FREE = 1 << 20  # octets for which the ratio does not matter
_MAX_DEPTH = 4
_MAX_PARTS = 40
_MAX_HEADER = 64 << 10  # octets of a part's header

_TYPE = re.compile(rb"[ \t]*([!-.0-~]{1,100}/[!-.0-:<-~]{1,100})")
_BOUNDARY = re.compile(rb';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"]{1,200})"|([^ \t;"]{1,200}))', re.IGNORECASE)
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
# A file's header in a zip archive: signature, version, flags, method, time, date, CRC, packed size, size, lengths of
# name and extra.
_ZIP_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has no parts itself: its type in lower case, its header, its body decoded."""

    kind: str
    header: Header
    body: bytes


def find_parts(message: bytes) -> Iterator[Part]:
    """The parts of a message, in their order."""
    count = 0
    rest = [(message, 0, _MAX_HEADER * 16)]
    while rest:
        octets, depth, limit = rest.pop()
        header = scan(octets[:limit], len(octets) <= limit)
        if header is None:
            continue
        count += 1
        if count > _MAX_PARTS:
            return
        kind, boundary = _read_type(header)
        body = octets[header.length :]
        if boundary and depth < _MAX_DEPTH:
            inner = _split(body, boundary, _MAX_PARTS)
            rest += [(part, depth + 1, _MAX_HEADER) for part in reversed(inner)]
            continue
        yield Part(kind, header, _decode(header, body))


def unpack(octets: bytes) -> bytes:
    """What is in a gzip file or in the first file of a zip archive; anything else as it is."""
    if octets.startswith(_GZIP):
        return _inflate(octets, 31)
    if octets.startswith(_ZIP):
        return _unpack_zip(octets)
    return octets


def _read_type(header: Header) -> tuple[str, bytes]:
    """The media type, and the boundary of a multipart."""
    values = header.values(b"content-type")
    if not values:
        return "text/plain", b""
    value = unfold(values[0])
    match = _TYPE.match(value)
    kind = match[1].decode("ascii").lower() if match else "text/plain"
    boundary = _BOUNDARY.search(value[:10_000]) if kind.startswith("multipart/") else None
    return kind, (boundary[1] or boundary[2]).rstrip(b" ") if boundary else b""


def _split(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    """What stands between the lines of a boundary."""
    mark = b"\r\n--" + boundary
    # A first boundary has no line end before it that belongs to it.
    pieces = (b"\r\n" + body).split(mark, most + 1)
    parts = []
    for piece in pieces[1 : most + 1]:
        if piece.startswith(b"--"):
            break
        _rest, line_end, part = piece.partition(b"\r\n")
        if line_end:
            parts.append(part)
    return parts


def _decode(header: Header, body: bytes) -> bytes:
    values = header.values(b"content-transfer-encoding")
    encoding = unfold(values[0]).lower() if values else b""
    if encoding == b"base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            return b""
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(body)
    return body


def _inflate(octets: bytes, window: int) -> bytes:
    most = min(MAX_UNPACKED, max(_RATIO_FREE, _RATIO * len(octets)))
    machine = zlib.decompressobj(window)
    try:
        result = machine.decompress(octets, most + 1)
    except zlib.error as error:
        raise GrammarError(f"cannot be unpacked: {error}") from None
    if len(result) > most:
        raise GrammarError(f"unpacks to more than {most} octets")
    if not machine.eof:
        raise GrammarError("cannot be unpacked: it ends too early")
    return result


def _unpack_zip(octets: bytes) -> bytes:
    if len(octets) < _ZIP_HEADER.size:
        raise GrammarError("a zip archive that ends too early")
    fields = _ZIP_HEADER.unpack_from(octets)
    flags, method, packed, name, extra = fields[2], fields[3], fields[7], fields[9], fields[10]
    start = _ZIP_HEADER.size + name + extra
    if flags & _ENCRYPTED:
        raise GrammarError("a zip archive that is encrypted")
    if method == _STORED:
        return octets[start : start + packed]
    if method != _DEFLATED:
        raise GrammarError(f"a zip archive with compression {method}, which is not known here")
    return _inflate(octets[start:], -15)
