"""The structure of a message as a tree of offsets: parts, nested messages, what their MIME headers say.

Nothing of a body is copied, decoded or kept; only header values are. Bodies are searched for boundaries with C-speed
searches over whole blocks, never by line. Messages with CRLF and with bare LF are read alike, and the offsets are those
of the octets as they stand. RFC 2045, RFC 2046 section 5.1, RFC 2183, RFC 6532 section 3.7; the section numbers of
RFC 9051 section 6.4.5.1.

Whatever the octets are, there is a structure. A multipart in which no line is its boundary (or which names none) has
one text part: its whole body, so that a reader sees what is there. A boundary line ends in nothing but white space, so
that one boundary may begin with another; a boundary of an outer multipart ends everything inside of it. Beyond the
bounds, a multipart or message is one opaque part, and so is the rest of a multipart with too many parts; behind too
many lines that only look like boundaries, there are no more of them.

Diagnostics: raises nothing.
"""

import mmap
from functools import lru_cache
from typing import Final, NamedTuple

from mailsrv.mail.mime_header import (
    Parameters,
    Source,
    content_fields,
    find_header_end,
    parameter,
    read_languages,
    read_media_type,
    read_parameters,
    read_token,
)
from mailsrv.mail.windows import Windows

MAX_DEPTH = 20  # of multiparts and messages in each other
MAX_PARTS = 1000  # of a whole message
MAX_HEADER = 1 << 20  # octets of one header that are read; the header itself may be longer
MAX_ENCLOSED = 1 << 20  # octets of the headers of all enclosed messages that are kept
MAX_BOUNDARY = 998  # octets: RFC 2046 allows 70, and a line has no more than this
MAX_LOOKALIKES = 10_000  # lines of a whole message that begin with a boundary and are none of their multipart
_MAX_PEEK = 1 << 16  # octets in which a part's own boundary is looked for before the part is read
_MAX_REMEMBERED = 200  # octets of a Content-Type that is worth remembering
_MAX_PADDING = 200  # octets of white space behind a boundary

Octets = bytes | memoryview | mmap.mmap

_TEXT: Final = (b"text", b"plain")
_MESSAGE: Final = (b"message", b"rfc822")
_OPAQUE: Final = (b"application", b"octet-stream")
_MESSAGE_SUBTYPES: Final = frozenset({b"rfc822", b"global"})


class Span(NamedTuple):
    """Octets of a message: where they begin, and how many they are."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind them."""
        return self.offset + self.length


class Part(NamedTuple):
    """A part, or a message as a whole. Names and words that compare without case are in lower case; other values are as
    sent, unfolded; what is absent is None. `header` counts its empty line and `body` follows it at once. `lines` is the
    number of line ends of the body of a text or message, 0 for other parts. A message's one element of `parts` is the
    message that it holds, whose header's octets (as far as MAX_ENCLOSED goes) are `enclosed_header`."""

    type: bytes
    subtype: bytes
    parameters: Parameters
    id: bytes | None
    description: bytes | None
    encoding: bytes
    md5: bytes | None
    disposition: tuple[bytes, Parameters] | None
    language: tuple[bytes, ...]
    location: bytes | None
    header: Span
    body: Span
    lines: int
    parts: tuple["Part", ...]
    enclosed_header: bytes | None

    @property
    def is_multipart(self) -> bool:
        """Whether `parts` are the parts of a multipart."""
        return self.type == b"multipart"

    @property
    def is_message(self) -> bool:
        """Whether this part holds a message, the one element of `parts`."""
        return self.enclosed_header is not None

    @property
    def whole(self) -> Span:
        """Header and body."""
        return Span(self.header.offset, self.header.length + self.body.length)

    @property
    def charset(self) -> bytes:
        """The charset that the part names, empty when it names none."""
        return parameter(self.parameters, b"charset") or b""

    def part(self, path: tuple[int, ...]) -> "Part | None":
        """The part with these numbers (`1.2.3` is (1, 2, 3)) of this message, None when there is none. A message that
        is no multipart is its own part 1, at the top as inside of another part."""
        node, is_top = self, True
        for number in path:
            if node.is_message and not is_top:
                node, is_top = node.parts[0], True
            parts = node.parts if node.is_multipart else (node,) if is_top else ()
            if not 0 < number <= len(parts):
                return None
            node, is_top = parts[number - 1], False
        return node

    def section(self, path: tuple[int, ...], text: str = "") -> Span | None:
        """The octets of BODY[section]: `text` is "", "HEADER", "TEXT" or "MIME" (upper case). None when there is no
        such part, or when it has no such section (HEADER and TEXT want a message, MIME a number)."""
        found = self.part(path)
        if found is None:
            return None
        if not text:
            return found.body if path else self.whole
        if text == "MIME":
            return found.header if path else None
        if path:
            if not found.is_message:
                return None
            found = found.parts[0]
        return {"HEADER": found.header, "TEXT": found.body}.get(text)


def read_structure(octets: Octets) -> Part:
    """Read the structure of a whole message. A memoryview is one of octets; it and a file in memory are read through
    windows, so that no more than their size is copied at a time."""
    source = octets if isinstance(octets, bytes) else Windows(octets)
    return _Reader(source).read(0, len(octets), _TEXT, 0)


class _Reader:
    """One pass over one message."""

    __slots__ = ("_count", "_enclosed", "_lookalikes", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 1  # parts for which there is a place in the tree
        self._lookalikes = 0
        self._enclosed = MAX_ENCLOSED  # octets that may still be kept

    def read(self, start: int, end: int, default: tuple[bytes, bytes], depth: int) -> Part:
        """The part whose header begins at `start` and whose body ends at `end`."""
        source = self._source
        body = find_header_end(source, start, end)
        fields = content_fields(source[start : min(body, start + MAX_HEADER)])
        parameters: Parameters = ()
        kind = default
        if value := fields.get(b"type"):
            kind, parameters = _read_usual_type(value) if len(value) <= _MAX_REMEMBERED else _read_type(value)
        parts: tuple[Part, ...] | None = ()
        lines = 0
        enclosed = None
        if kind[0] == b"text":
            lines = source.count(b"\n", body, end)
        elif kind[0] == b"multipart":
            parts = self._read_multipart(Span(body, end - body), parameters, kind, depth)
        elif kind[0] == b"message" and kind[1] in _MESSAGE_SUBTYPES:
            parts = self._read_message(body, end, depth)
            if parts:
                lines = source.count(b"\n", body, end)
                inner = parts[0].header
                enclosed = source[inner.offset : min(inner.end, inner.offset + self._enclosed)]
                self._enclosed -= len(enclosed)
        if parts is None:
            kind, parameters, parts = _OPAQUE, (), ()
        disposition = fields.get(b"disposition")
        return Part(
            *kind,
            parameters,
            fields.get(b"id"),
            fields.get(b"description"),
            read_token(fields.get(b"transfer-encoding", b"")) or b"7bit",
            fields.get(b"md5"),
            _read_disposition(disposition) if disposition else None,
            read_languages(fields[b"language"]) if b"language" in fields else (),
            fields.get(b"location"),
            Span(start, body - start),
            Span(body, end - body),
            lines,
            parts,
            enclosed,
        )

    def _read_message(self, start: int, end: int, depth: int) -> tuple[Part, ...] | None:
        """The message that makes up a body; None beyond the bounds."""
        if depth >= MAX_DEPTH or self._count >= MAX_PARTS:
            return None
        self._count += 1
        return (self.read(start, end, _TEXT, depth + 1),)

    def _read_multipart(
        self, body: Span, parameters: Parameters, kind: tuple[bytes, bytes], depth: int
    ) -> tuple[Part, ...] | None:
        """The parts of a multipart's body, at least one; None beyond the bounds."""
        room = MAX_PARTS - self._count
        if depth >= MAX_DEPTH or room < 1:
            return None
        boundary = (parameter(parameters, b"boundary") or b"").rstrip(b" \t")
        found = self._find_parts(body, boundary, room) if 0 < len(boundary) <= MAX_BOUNDARY else []
        self._count += len(found) or 1
        if not found:
            return (self._plain(body, _TEXT),)
        default = _MESSAGE if kind[1] == b"digest" else _TEXT  # RFC 2046 section 5.1.5
        rest = found.pop() if len(found) == room and found[-1].end == body.end else None
        parts = [self.read(span.offset, span.end, default, depth + 1) for span in found]
        if rest is not None:
            parts.append(self._plain(rest, _OPAQUE))
        return tuple(parts)

    def _has_boundary(self, start: int, end: int, boundary: bytes) -> bool:
        """Whether the part that begins at `start` is a multipart with the boundary of the one around it."""
        source = self._source
        end = min(end, start + _MAX_PEEK)
        header = source[start : find_header_end(source, start, end)]
        if boundary not in header or b"--" + boundary in header:
            return False
        value = content_fields(header).get(b"type", b"")
        return value[:10].lower() == b"multipart/" and parameter(read_parameters(value), b"boundary") == boundary

    def _find_parts(self, body: Span, boundary: bytes, room: int) -> list[Span]:
        """Where the parts are; the last one takes all that follows when there are more than `room`. The line end
        before a boundary belongs to the boundary (RFC 2046 section 5.1.1). A part may be a multipart with the same
        boundary, as some mailers made them; it has the boundary to itself up to the closing one."""
        source = self._source
        find = source.find
        needle = b"\n--" + boundary
        found: list[Span] = []
        start = -1  # of the part that is being read
        is_inner = False  # the boundaries are those of the part that is being read
        position = body.offset - 1  # a multipart has a header, so that a line end is there
        while (line := find(needle, position, body.end)) >= 0:
            line_end, closes = self._boundary_end(line + len(needle), body.end)
            if line_end < 0 or is_inner:
                self._lookalikes += 1
                if self._lookalikes > MAX_LOOKALIKES:
                    break
                is_inner = is_inner and not closes
                position = line + 1
                continue
            if start >= 0:
                if len(found) + 1 == room and not closes:
                    break
                part_end = line - 1 if source[line - 1 : line] == b"\r" else line
                found.append(Span(start, max(part_end - start, 0)))
            start = -1 if closes else line_end
            if closes:
                break
            is_inner = self._has_boundary(line_end, body.end, boundary)
            position = line_end - 1
        if start >= 0:
            found.append(Span(start, body.end - start))
        return found

    def _boundary_end(self, position: int, end: int) -> tuple[int, bool]:
        """Behind the text of a boundary: the offset behind its line, -1 when more than white space follows, and
        whether it closes the multipart."""
        rest = self._source[position : min(end, position + _MAX_PADDING)]
        closes = rest[:2] == b"--"
        line, line_feed, _ = rest.partition(b"\n")
        if line[2 * closes :].strip(b" \t\r") or (not line_feed and len(rest) == _MAX_PADDING):
            return -1, False
        return position + len(line) + len(line_feed), closes

    def _plain(self, body: Span, kind: tuple[bytes, bytes]) -> Part:
        """A part without a header that is all of `body`."""
        lines = self._source.count(b"\n", body.offset, body.end) if kind is _TEXT else 0
        header = Span(body.offset, 0)
        return Part(*kind, (), None, None, b"7bit", None, None, (), None, header, body, lines, (), None)


def _read_type(value: bytes) -> tuple[tuple[bytes, bytes], Parameters]:
    """Type and subtype, and the parameters, of a Content-Type."""
    kind = read_media_type(value) or _TEXT  # RFC 2045 section 5.2: what cannot be read is plain text
    return kind, read_parameters(value) if b";" in value else ()


# Most parts have one of a few types, with one of a few charsets.
_read_usual_type = lru_cache(maxsize=256)(_read_type)


def _read_disposition(value: bytes) -> tuple[bytes, Parameters]:
    """The kind of disposition and its parameters; a kind that cannot be read is attachment (RFC 2183 section 2.8)."""
    return read_token(value) or b"attachment", read_parameters(value)
