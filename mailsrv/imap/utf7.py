"""Modified UTF-7, in which mailbox names stand for clients that have not enabled UTF-8 (RFC 3501 section 5.1.3).

Strict: each name has one spelling, so that two names on the wire are never one mailbox. Says nothing about which
characters a mailbox name may have.

Diagnostics: `decode` raises GrammarError for octets that are not the one spelling of a name.
"""

import codecs
import re
from binascii import Error, a2b_base64, b2a_base64

from mailsrv.errors import GrammarError

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_PLAIN = re.compile(rb"[\x20-\x25\x27-\x7e]*(?:&[A-Za-z0-9+,]*-[\x20-\x25\x27-\x7e]*)*")
_TO_SHIFT = re.compile(r"&|[^\x20-\x7e]+")


# Loaded now: a worker that has dropped its privileges may not reach the library any more.
codecs.lookup("utf-16-be")


def encode(name: str) -> bytes:
    """A name as modified UTF-7. A lone surrogate, which no name from outside has, becomes a question mark."""
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode()
    return _TO_SHIFT.sub(_shift, name.encode("utf-8", "replace").decode()).encode()


def decode(octets: bytes) -> str:
    """A name from modified UTF-7; raises GrammarError."""
    if not _PLAIN.fullmatch(octets):
        raise GrammarError("the mailbox name is not modified UTF-7")
    if b"&" not in octets:
        return octets.decode()
    parts: list[str] = []
    at = 0
    for match in _SHIFTED.finditer(octets):
        parts.append(octets[at : match.start()].decode())
        parts.append(_unshift(match[1]))
        at = match.end()
    parts.append(octets[at:].decode())
    name = "".join(parts)
    if encode(name) != octets:
        raise GrammarError("the mailbox name has another spelling in modified UTF-7 than this")
    return name


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    units = match[0].encode("utf-16-be")
    return "&" + b2a_base64(units, newline=False).rstrip(b"=").replace(b"/", b",").decode() + "-"


def _unshift(shifted: bytes) -> str:
    if not shifted:
        return "&"
    try:
        units = a2b_base64(shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4), strict_mode=True)
        return units.decode("utf-16-be")
    except (Error, UnicodeDecodeError):
        raise GrammarError("the mailbox name is not modified UTF-7") from None
