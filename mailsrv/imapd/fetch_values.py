"""The items of FETCH that a message's file answers: BODY[...] with its kin, BINARY[...] and BINARY.SIZE[...] (RFC 9051
sections 6.4.5 and 7.5.2, RFC 3516).

A value is what to send, in pieces: octets, spans of the file (which are sent from there without passing through here),
and blocks as they are decoded. Nothing is sent here.

Diagnostics: UnknownEncoding where a part cannot be decoded; StorageError when the file cannot be read.
"""

from collections.abc import Callable, Iterator
from typing import Any

from mailsrv.errors import MailsrvError
from mailsrv.mail.mime import Span
from mailsrv.mail.transfer import KNOWN
from mailsrv.imap.fetch_items import Binary, BinarySize, FetchItem, Section, Text
from mailsrv.store.ready import header_fields
from mailsrv.imapd.fetch_plan import cut, literal
from mailsrv.imapd.message_file import MessageFile

Piece = bytes | Span | Iterator[bytes]

SEGMENT = 1 << 16  # octets of a section that are sent from the file; fewer are put together with what is around them
IN_MEMORY = 1 << 16  # octets of a decoded part that are put together; a larger one is decoded twice


class UnknownEncoding(MailsrvError):
    """A part has a transfer encoding that nobody knows how to undo."""


def missing(item: FetchItem) -> bytes:
    """What is told of an item of a message that has no such part, or cannot be read."""
    assert isinstance(item, Section | Binary | BinarySize)
    return item.label + (b" 0" if isinstance(item, BinarySize) else b" NIL")


def value(message: MessageFile, item: FetchItem) -> list[Piece]:
    """What a response tells of an item, with its name."""
    return _VALUES[type(item)](message, item)


def _section(message: MessageFile, item: Section) -> list[Piece]:
    span = message.span(item.part, item.text)
    if span is None:
        return [missing(item)]
    if item.text in (Text.FIELDS, Text.FIELDS_NOT):
        found = header_fields(message.read(span), item.fields, others=item.text is Text.FIELDS_NOT) + b"\r\n"
        return [b"%b %b" % (item.label, literal(cut(found, item.partial)))]
    if item.partial is not None:
        first = min(item.partial[0], span.length)
        span = Span(span.offset + first, min(item.partial[1], span.length - first))
    announced = b"%b {%d}\r\n" % (item.label, span.length)
    return [announced, span if span.length > SEGMENT else message.read(span)]


def _binary(message: MessageFile, item: Binary) -> list[Piece]:
    found = _encoded_part(message, item.part)
    if found is None:
        return [missing(item)]
    span, encoding = found
    if span.length <= IN_MEMORY:
        octets = cut(b"".join(message.decode(span, encoding, None)), item.partial)
        return [b"%b %b%b" % (item.label, b"~" if b"\0" in octets else b"", literal(octets))]
    # The size must be told first. Whether NUL is there is found out with it.
    size, mark = 0, b""
    for block in message.decode(span, encoding, item.partial):
        size += len(block)
        if not mark and b"\0" in block:
            mark = b"~"
    return [b"%b %b{%d}\r\n" % (item.label, mark, size), message.decode(span, encoding, item.partial)]


def _binary_size(message: MessageFile, item: BinarySize) -> list[Piece]:
    found = _encoded_part(message, item.part)
    return [missing(item) if found is None else b"%b %d" % (item.label, message.decoded_size(*found))]


def _encoded_part(message: MessageFile, part: tuple[int, ...]) -> tuple[Span, bytes] | None:
    """Where a part's body is, and its encoding."""
    span, encoding = message.span(part, Text.ALL), message.encoding(part)
    if span is None or encoding is None:
        return None
    if encoding not in KNOWN:
        raise UnknownEncoding("a part has a transfer encoding that is not known here")
    return span, encoding


_VALUES: dict[type, Callable[[MessageFile, Any], list[Piece]]] = {
    Section: _section,
    Binary: _binary,
    BinarySize: _binary_size,
}
