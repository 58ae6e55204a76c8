"""Structured field bodies, written: tokens, quoted strings, comments and folding (RFC 5322 section 3.2, RFC 2045
section 5.1).

What goes in may come from anybody. Whatever it is, nothing in it ends a quoted string, a comment, a line or the field,
and every word is so short that no line has more than 998 octets (RFC 5322 section 2.1.1). Characters that may not be
there become `?`, what is too long is cut.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Iterable, Sequence

LINE = 78  # characters that a line should have at most
MAX_VALUE = 320  # characters of one value: an address with its quotes has at most 256
MAX_COMMENT = 400
_MAX_WORD = 200  # of a comment: a longer one is broken, so that it can be folded

_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")
_DOT_ATOM = re.compile(r"[!#$%&'*+/0-9=?A-Z^_`a-z{|}~-]+(?:\.[!#$%&'*+/0-9=?A-Z^_`a-z{|}~-]+)*")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPED = re.compile(r'(["\\])')
_COMMENT_ESCAPED = re.compile(r"([()\\])")


def printable(text: str, limit: int) -> str:
    """Printable ASCII of at most `limit` characters."""
    if len(text) <= limit and text.isascii() and text.isprintable():  # nearly always, and ten times faster
        return text
    text = _NOT_PRINTABLE.sub("?", text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable_or_utf8(text: str, limit: int) -> str:
    """The same, for a place where UTF-8 may be (RFC 6532): everything but what controls."""
    text = _UNSAFE.sub("?", text[: limit + 1])
    return text if len(text.encode()) <= 2 * limit else printable(text, limit)


def quote(text: str) -> str:
    """A quoted string."""
    return '"' + _ESCAPED.sub(r"\\\1", text) + '"'


def write_value(text: str) -> str:
    """A token where it is one, else a quoted string (RFC 2045 section 5.1)."""
    text = printable(text, MAX_VALUE)
    return text if _TOKEN.fullmatch(text) else quote(text)


def write_dot_atom(text: str) -> str:
    """A dot-atom where it is one, else a quoted string (RFC 5322 section 3.2.3)."""
    text = printable(text, MAX_VALUE)
    return text if _DOT_ATOM.fullmatch(text) else quote(text)


def write_comment(text: str) -> list[str]:
    """A comment as words between which it may be folded; none for an empty one."""
    text = printable(text, MAX_COMMENT)
    words = text.split()
    if len(text) > _MAX_WORD:
        words = [word[start : start + _MAX_WORD] for word in words for start in range(0, len(word), _MAX_WORD)]
    if not words:
        return []
    if _COMMENT_ESCAPED.search(text):
        words = [_COMMENT_ESCAPED.sub(r"\\\1", word) for word in words]
    words[0] = "(" + words[0]
    words[-1] += ")"
    return words


def fold(name: str, parts: Iterable[Sequence[str]]) -> bytes:
    """The field with its CRLF: every part begins a line of its own, but for the first, and goes on over as many lines
    as its words need. Words have no space but in quoted strings."""
    lines = [f"{name}:"]
    for number, part in enumerate(parts):
        if number:
            lines.append("")
        for word in part:
            if lines[-1] and len(lines[-1]) + 1 + len(word) > LINE:
                lines.append("")
            lines[-1] += f" {word}" if lines[-1] else f"\t{word}"
    return "\r\n".join([*lines, ""]).encode()
