"""ENVELOPE, BODY and BODYSTRUCTURE as the octets of a FETCH response.

The octets are made once and kept; the same serve IMAP4rev1 and IMAP4rev2. Strings are quoted where they can be,
literals otherwise: raw octets beyond ASCII in a header go out in a literal as they came in (both grammars allow that,
and nothing is lost), and NUL, which no string can have, becomes `?`. Words that compare without case are in upper case.
Nothing is decoded. RFC 9051 sections 7.5.2 and 9.

A field that stands twice: the addresses of all of them are listed, so that no From is hidden behind another; of other
fields the first counts.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from mailsrv.mail.address_list import MAX_ADDRESSES, ListedAddress, read_addresses
from mailsrv.mail.mime import Part
from mailsrv.mail.mime_header import FIELD_BODY, Parameters, unfold

_FIELDS = re.compile(
    rb"\n(date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id)" + FIELD_BODY, re.IGNORECASE
)
_ADDRESS_FIELDS = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
_FROM_INSTEAD = frozenset({b"sender", b"reply-to"})

_QUOTABLE = re.compile(rb"[\t\x20-\x7e]{0,1000}+")
_UNESCAPED = re.compile(rb"[\t !#-\[\]-~]{0,1000}+")

# What an address lacks. Neither may be NIL, which would make a group of it; Dovecot's words, which clients know.
_MISSING_LOCAL_PART = b"MISSING_MAILBOX"
_MISSING_DOMAIN = b"MISSING_DOMAIN"


def string(value: bytes) -> bytes:
    """A string: quoted where its octets allow that, else a literal."""
    if _UNESCAPED.fullmatch(value):
        return b'"%b"' % value
    if _QUOTABLE.fullmatch(value):
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(value), value.replace(b"\0", b"?"))


def nstring(value: bytes | None) -> bytes:
    """A string, or NIL for None."""
    return b"NIL" if value is None else string(value)


def envelope(header: bytes) -> bytes:
    """The ENVELOPE of the message with this header (with or without its empty line; CRLF or bare LF)."""
    values: dict[bytes, list[bytes]] = {}
    for match in _FIELDS.finditer(b"\n" + header):
        values.setdefault(match[1].lower(), []).append(match[2])
    return envelope_of(values, _list_addresses)


def envelope_of(values: Mapping[bytes, Sequence[bytes]], listed: Callable[[bytes], tuple[int, bytes]]) -> bytes:
    """The ENVELOPE of the message whose fields have these raw values, by their names in lower case, in the header's
    order. `listed` does for one value what `list_addresses` does for its addresses."""
    lists: dict[bytes, bytes] = {}
    for name in _ADDRESS_FIELDS:
        octets = b""
        if found := values.get(name):
            count, octets = listed(found[0])
            for value in found[1:]:
                if count < MAX_ADDRESSES:
                    more, further = listed(value)
                    count, octets = count + more, octets + further
        lists[name] = b"(%b)" % octets if octets else lists[b"from"] if name in _FROM_INSTEAD else b"NIL"
    return b"(%b %b %b %b %b)" % (
        _first(values, b"date"),
        _first(values, b"subject"),
        b" ".join(lists.values()),
        _first(values, b"in-reply-to"),
        _first(values, b"message-id"),
    )


def list_addresses(addresses: Sequence[ListedAddress]) -> tuple[int, bytes]:
    """How many addresses these are, and their octets, without space between them (address-list of section 9, without
    its parentheses)."""
    return len(addresses), b"".join(map(_address, addresses))


def _list_addresses(value: bytes) -> tuple[int, bytes]:
    return list_addresses(read_addresses(value))


def _first(values: Mapping[bytes, Sequence[bytes]], name: bytes) -> bytes:
    found = values.get(name)
    return string(unfold(found[0])) if found else b"NIL"


def body_structure(part: Part, extended: bool) -> bytes:
    """The BODYSTRUCTURE of a message or part, its BODY when not `extended`."""
    if part.is_multipart:
        octets = b"(%b %b" % (
            b"".join([body_structure(one, extended) for one in part.parts]),
            string(part.subtype.upper()),
        )
        if extended:
            octets += b" %b %b" % (_parameters(part.parameters), _extension(part))
        return octets + b")"
    parameters = part.parameters
    if part.type == b"text" and not any(name in (b"charset", b"charset*") for name, _ in parameters):
        parameters += ((b"charset", b"US-ASCII"),)  # the default of RFC 2046 section 4.1.2, which clients expect here
    octets = b"(%b %b %b %b %b %b %d" % (
        string(part.type.upper()),
        string(part.subtype.upper()),
        _parameters(parameters),
        nstring(part.id),
        nstring(part.description),
        string(part.encoding.upper()),
        part.body.length,
    )
    if part.enclosed_header is not None:
        octets += b" %b %b %d" % (
            envelope(part.enclosed_header),
            body_structure(part.parts[0], extended),
            part.lines,
        )
    elif part.type == b"text":
        octets += b" %d" % part.lines
    if extended:
        octets += b" %b %b" % (nstring(part.md5), _extension(part))
    return octets + b")"


def _address(address: ListedAddress) -> bytes:
    name, route, local_part, domain = address
    if domain is not None:
        local_part, domain = local_part or _MISSING_LOCAL_PART, domain or _MISSING_DOMAIN
    return b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(local_part), nstring(domain))


def _parameters(parameters: Parameters) -> bytes:
    """Body-fld-param: names and values in parentheses, NIL for none."""
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name.upper()), string(value)) for name, value in parameters])


def _extension(part: Part) -> bytes:
    """Disposition, language and location, with which the extension data of every part end."""
    disposition = b"NIL"
    if part.disposition is not None:
        kind, parameters = part.disposition
        disposition = b"(%b %b)" % (string(kind.upper()), _parameters(parameters))
    language = b"NIL"
    if part.language:
        words = b" ".join(map(string, part.language))
        language = b"(%b)" % words if len(part.language) > 1 else words
    return b"%b %b %b" % (disposition, language, nstring(part.location))
