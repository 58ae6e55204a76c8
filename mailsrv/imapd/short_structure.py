"""BODY out of BODYSTRUCTURE: the same octets without their extension data (RFC 9051 section 7.5.2).

The octets are our own (mailsrv.imap.structure), so that nothing in them needs to be doubted.

Diagnostics: raises nothing for octets that mailsrv.imap.structure has made.
"""

import re

# What a value begins with: a quoted string, a literal's announcement, a parenthesis, or an atom.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*"|\{([0-9]+)\}\r\n|[()]|[^ ()"{]++', re.DOTALL)
_MESSAGES = (b'"RFC822"', b'"GLOBAL"')


def shorten(structure: bytes) -> bytes:
    """The BODY of a BODYSTRUCTURE."""
    return _shorten(structure, 0)[0]


def _shorten(octets: bytes, start: int) -> tuple[bytes, int]:
    """The body that begins at `start`, short, and where it ends."""
    if octets.startswith(b"((", start):
        return _shorten_multipart(octets, start)
    kind_end = _skip(octets, start + 1)
    subtype_end = _skip(octets, kind_end + 1)
    end = subtype_end
    for _ in range(5):  # parameters, id, description, encoding, size
        end = _skip(octets, end + 1)
    kind, subtype = octets[start + 1 : kind_end], octets[kind_end + 1 : subtype_end]
    if kind == b'"MESSAGE"' and subtype in _MESSAGES:
        envelope_end = _skip(octets, end + 1)
        inner, inner_end = _shorten(octets, envelope_end + 1)
        lines_end = _skip(octets, inner_end + 1)
        short = octets[start : envelope_end + 1] + inner + octets[inner_end:lines_end] + b")"
        return short, _skip_rest(octets, lines_end)
    if kind == b'"TEXT"':
        end = _skip(octets, end + 1)
    return octets[start:end] + b")", _skip_rest(octets, end)


def _shorten_multipart(octets: bytes, start: int) -> tuple[bytes, int]:
    parts = []
    end = start + 1
    while octets.startswith(b"(", end):
        part, end = _shorten(octets, end)
        parts.append(part)
    subtype_end = _skip(octets, end + 1)
    return b"(%b%b)" % (b"".join(parts), octets[end:subtype_end]), _skip_rest(octets, subtype_end)


def _skip(octets: bytes, start: int) -> int:
    """Where the value that begins at `start` ends."""
    depth, at = 0, start
    while match := _TOKEN.match(octets, at):
        at = match.end()
        if match[1]:
            at += int(match[1])
        elif match[0] == b"(":
            depth += 1
        elif match[0] == b")":
            depth -= 1
        if not depth:
            return at
        if octets.startswith(b" ", at):
            at += 1
    return len(octets)


def _skip_rest(octets: bytes, at: int) -> int:
    """Behind the parenthesis that closes a list of which the values up to `at` were read."""
    while octets.startswith(b" ", at):
        at = _skip(octets, at + 1)
    return at + 1
