"""The fields of a MIME header: where a header ends, its Content fields, and parameters with their continuations.

Lenient on purpose: it reads what anybody sent, with CRLF or bare LF, and gives what can be made out. Every pattern runs
in time linear in its input. Values stay octets; encoded words and charsets are not decoded here (`mail.words`).
RFC 2045 section 5.1, RFC 2183 section 2, RFC 2231 sections 3 and 4.

Extended values keep the form in which they were sent: the pieces of `name*0*`, `name*1` are joined to one `name*` with
the value `charset'language'percent-encoded`, which clients read. (RFC 9051 section 7.5.2 would have them in UTF-8,
and does not say how clients are to tell that from the other form, which servers send.)

Diagnostics: raises nothing.
"""

import re
from typing import Protocol

MAX_PARAMETERS = 100  # of one field, continuations counted one by one
MAX_VALUE = 65536  # octets of a field with parameters; what is behind that is not read

Parameters = tuple[tuple[bytes, bytes], ...]  # (name in lower case, value), in the field's order

# What follows a field's name, up to the line end that no space or tab follows. (No group is possessive here: the
# engine before Python 3.11.5 loses its place in those. Nothing follows them, so that nothing is tried twice.)
FIELD_BODY = rb"[ \t]*+:([^\r\n]*+(?:(?:\r?\n[ \t]|\r(?!\n))[^\r\n]*+)*)"
_CONTENT = re.compile(rb"\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-([!-9;-~]++)" + FIELD_BODY)

_TOKEN = rb"[^\x00-\x20\x7f-\xff()<>@,;:\\\"/\[\]?=]++"
_MEDIA_TYPE = re.compile(rb"(" + _TOKEN + rb")[ \t]*+/[ \t]*+(" + _TOKEN + rb")")
_FIRST_TOKEN = re.compile(_TOKEN)
_LANGUAGE = re.compile(rb"\([^()]*+\)|([A-Za-z0-9*-]++)")
# A quoted value may lack its end; a value without quotes goes on to the semicolon: file names with spaces come so.
_PARAMETER = re.compile(
    rb";[ \t]*+([^\x00-\x20\x7f-\xff;=\"()\\]++)[ \t]*+=[ \t]*+"
    rb"(?:\"([^\"\\]*+(?:\\.[^\"\\]*+)*)\"?|([^;]*+))",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_CONTINUATION = re.compile(rb"([^*]++)\*([0-9]{1,3})(\*?)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_NOT_ATTRIBUTE_CHAR = re.compile(rb"[^A-Za-z0-9!#$&+.^_`|~{}-]")


class Source(Protocol):
    """What a header or a body is searched in: bytes, or windows over something larger."""

    def find(self, needle: bytes, start: int, end: int, /) -> int: ...

    def count(self, needle: bytes, start: int, end: int, /) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


def find_header_end(source: Source, start: int, end: int) -> int:
    """The offset behind the empty line that ends the header which begins at `start`; `end` when there is none."""
    first = source[start : min(start + 2, end)]
    if first[:1] == b"\n":
        return start + 1
    if first == b"\r\n":
        return start + 2
    crlf = source.find(b"\n\r\n", start, end)
    lf = source.find(b"\n\n", start, end if crlf < 0 else crlf + 1)
    if lf >= 0:
        return lf + 2
    return end if crlf < 0 else crlf + 3


def unfold(value: bytes) -> bytes:
    """A raw value on one line, without space around it (RFC 5322 section 2.2.3), whatever its line ends are."""
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return value.strip(b" \t\r")


def content_fields(header: bytes) -> dict[bytes, bytes]:
    """The unfolded values of the Content fields by what follows `Content-` (lower case); of several, the first."""
    found: dict[bytes, bytes] = {}
    for match in _CONTENT.finditer(b"\n" + header):
        name = match[1].lower()
        if name not in found:
            found[name] = unfold(match[2])
    return found


def read_media_type(value: bytes) -> tuple[bytes, bytes] | None:
    """Type and subtype in lower case, None when the value does not begin with both."""
    match = _MEDIA_TYPE.match(value)
    return (match[1].lower(), match[2].lower()) if match else None


def read_token(value: bytes) -> bytes:
    """The first token of an unfolded value in lower case, empty when it begins with something else."""
    match = _FIRST_TOKEN.match(value)
    return match[0].lower() if match else b""


def read_languages(value: bytes) -> tuple[bytes, ...]:
    """The language tags of a Content-Language (RFC 3282), without the comments behind them."""
    return tuple(filter(None, _LANGUAGE.findall(value[:MAX_VALUE])))[:MAX_PARAMETERS]


def read_parameters(value: bytes) -> Parameters:
    """The parameters of an unfolded Content-Type or Content-Disposition, continuations joined."""
    found = []
    continued = False
    for match in _PARAMETER.finditer(value[:MAX_VALUE]):
        name, quoted, plain = match.groups()
        if quoted is None:
            content = _without_comment(plain.strip(b" \t"))
        else:
            content = _ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        continued = continued or b"*" in name
        found.append((name.lower(), content))
        if len(found) == MAX_PARAMETERS:
            break
    return _join(found) if continued else tuple(found)


def parameter(parameters: Parameters, name: bytes) -> bytes | None:
    """The value of the first parameter of this name (lower case); of an extended one, the octets that it means."""
    for found, value in parameters:
        if found == name:
            return value
        if found == name + b"*":
            return percent_decode(value.split(b"'", 2)[-1])
    return None


def percent_decode(value: bytes) -> bytes:
    """The octets of an extended value behind its charset and language (RFC 2231 section 4)."""
    return _PERCENT.sub(lambda match: bytes((int(match[1], 16),)), value)


def _without_comment(value: bytes) -> bytes:
    """A value without the comment behind it; a parenthesis inside of a file name is no comment."""
    return value.partition(b" (")[0].rstrip(b" \t") if value.endswith(b")") else value


def _join(found: list[tuple[bytes, bytes]]) -> Parameters:
    """Put the pieces of continued parameters together (RFC 2231 section 3), at the place of the first piece."""
    pieces: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    joined: list[tuple[bytes, bytes] | bytes] = []
    for name, value in found:
        match = _CONTINUATION.fullmatch(name)
        if match is None:
            joined.append((name, value))
            continue
        base = match[1]
        if base not in pieces:
            pieces[base] = {}
            joined.append(base)
        pieces[base].setdefault(int(match[2]), (bool(match[3]), value))
    return tuple(_whole(entry, pieces[entry]) if isinstance(entry, bytes) else entry for entry in joined)


def _whole(base: bytes, pieces: dict[int, tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    """One parameter from its pieces, in their order; a missing one is passed over."""
    ordered = [pieces[number] for number in sorted(pieces)]
    if not any(extended for extended, _ in ordered):
        return base, b"".join(value for _, value in ordered)
    begins_plain = not ordered[0][0]
    octets = b"".join(value if extended else _percent_encode(value) for extended, value in ordered)
    return base + b"*", b"''" + octets if begins_plain else octets


def _percent_encode(value: bytes) -> bytes:
    """A plain piece in the form of an extended one (RFC 2231 section 4.1)."""
    return _NOT_ATTRIBUTE_CHAR.sub(lambda match: b"%%%02X" % match[0][0], value)
