"""The Authentication-Results field: written for what we found, and recognised where somebody else claims to be us
(RFC 8601 sections 2.2 and 5).

Values are tokens, quoted strings or addresses; only the local part of an address of the envelope (ptype smtp) may be
UTF-8, which SMTPUTF8 then allows. What others say in such a field is never read further than whose it is.

Diagnostics: raises nothing.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mailsrv.mail.address import domain_key
from mailsrv.mail.structured import (
    MAX_VALUE,
    fold,
    printable,
    printable_or_utf8,
    write_comment,
    write_value,
)

NAME = "Authentication-Results"

_NOT_IN_KEYWORD = re.compile(r"[^A-Za-z0-9-]")
_MAX_KEYWORD = 64
_ATEXT = r"[!#$%&'*+/0-9=?A-Z^_`a-z{|}~\x80-\U0010ffff-]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(
    rf'(?:{_ATEXT}+(?:\.{_ATEXT}+)*|"(?:[^"\\]|\\.)*")?@{_LABEL}(?:\.{_LABEL})*', re.DOTALL
)

# What stands before the id, and the id itself: a token or a quoted string.
_SPACE = b" \t\r\n"
_TOKEN = re.compile(rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_VERSION = re.compile(rb"[0-9]+")
_MOST_LOOKED_AT = 4096  # octets: what has no id among them is nobody's


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one method found: `properties` as (ptype, property, value), ("smtp", "mailfrom", "example.org") say.
    `method`, `result`, ptype and property are ours to choose; all else is written whatever it holds."""

    method: str
    result: str
    reason: str = ""
    properties: tuple[tuple[str, str, str], ...] = ()
    comment: str = ""


def format_authres(authserv_id: str, results: Sequence[MethodResult]) -> bytes:
    """The whole field, each method on lines of its own; `none` when there are no results."""
    beginning = f"{write_value(authserv_id)};"
    if not results:
        return fold(NAME, [[beginning, "none"]])
    parts = [_write_result(result) for result in results]
    for part in parts[:-1]:
        part[-1] += ";"
    return fold(NAME, [[beginning], *parts])


def claims(value: bytes, authserv_id: str) -> bool:
    """Whether a raw value says that it is `authserv_id`'s, whatever it looks like. When in doubt it does: a field that
    some reader could take for ours must go (section 5)."""
    value = value[:_MOST_LOOKED_AT]
    position = _skip(value, 0)
    if match := _QUOTED.match(value, position):
        given = re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL)
    elif match := _TOKEN.match(value, position):
        given = match[0]
    else:
        return True
    if match.end() >= _MOST_LOOKED_AT or not _ends_well(value, match.end()) or b"=?" in given:
        return True
    try:
        return _key(given.decode()) == _key(authserv_id)
    except UnicodeDecodeError:
        return True


def _write_result(result: MethodResult) -> list[str]:
    words = [f"{_keyword(result.method)}={_keyword(result.result)}", *write_comment(result.comment)]
    if result.reason:
        words.append(f"reason={write_value(result.reason)}")
    for ptype, name, value in result.properties:
        words.append(f"{_keyword(ptype)}.{_keyword(name)}={_write_property(ptype, value)}")
    return words


def _write_property(ptype: str, value: str) -> str:
    text = printable_or_utf8(value, MAX_VALUE) if ptype == "smtp" else printable(value, MAX_VALUE)
    return text if _ADDRESS.fullmatch(text) else write_value(value)


def _keyword(word: str) -> str:
    return _NOT_IN_KEYWORD.sub("-", word[:_MAX_KEYWORD]) or "-"


def _key(name: str) -> str:
    """One form for every way to write a host name."""
    return domain_key("".join(unicodedata.normalize("NFKC", name).split()).rstrip(".").casefold())


def _ends_well(value: bytes, position: int) -> bool:
    """Whether behind the id comes what must: nothing or the results, perhaps after a version number."""
    position = _skip(value, position)
    if match := _VERSION.match(value, position):
        position = _skip(value, match.end())
    return value[position : position + 1] in (b"", b";")


def _skip(value: bytes, position: int) -> int:
    """The position behind space and comments; a comment without an end goes to the end."""
    depth = 0
    while position < len(value):
        octet = value[position : position + 1]
        if octet == b"(":
            depth += 1
        elif octet == b")" and depth:
            depth -= 1
        elif octet == b"\\" and depth:
            position += 1
        elif not depth and octet not in _SPACE:
            break
        position += 1
    return min(position, len(value))
