"""The addresses in an originator field: mailbox-list of RFC 5322 section 3.4 with the groups of RFC 6854.

Display names and comments are passed over, encoded words stay undecoded. It is strict where leniency would let a field
mean one author to the check and another to a reader: anything that is not clearly a list of mailboxes is refused.

Diagnostics: `parse_mailboxes` raises GrammarError with the reason.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.header import unfold

_TOKEN = re.compile(
    r'[ \t]+|(?P<quoted>"(?:[^"\\]++|\\.)*")|(?P<literal>\[[^\[\]\\]*\])|(?P<special>[<>,:;@.(])'
    r'|(?P<atom>[^ \t"<>,:;@.()\[\]\\]+)'
)
_PARENTHESIS = re.compile(r"\\.|[()]")


def parse_mailboxes(value: bytes) -> list[Address]:
    """Every address of the raw value of a From, Sender or the like, in order; an empty list for an empty group."""
    found: list[Address] = []
    words: list[str] = []  # of the element that is being read
    angle = False  # its address stood in angle brackets, so that nothing may follow
    in_group = False
    tokens = _tokens(unfold(value).decode("utf-8", "replace"))
    for token in tokens:
        if token in (",", ";", "") or (token == ":" and not angle and not in_group and words):
            if token == ":":
                in_group = True
            elif token == ";" and not in_group:
                raise GrammarError("a semicolon stands outside of a group")
            elif words and not angle:
                found.append(parse_address(_join(words)))
            if token == ";":
                in_group = False
            words, angle = [], False
        elif angle or token in (">", ":"):
            raise GrammarError(f"{token!r} stands where a comma or the end is expected")
        elif token == "<":
            found.append(parse_address(_join(_without_route(list(_until_angle(tokens))))))
            words, angle = [], True
        else:
            words.append(token)
    if in_group:
        raise GrammarError("a group does not end with a semicolon")
    return found


def _tokens(text: str) -> Iterator[str]:
    """Words and specials without comments and white space; the empty string at the end."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise GrammarError(f"{text[position]!r} stands where a name or an address is expected")
        position = match.end()
        if match[0] == "(":
            position = _comment_end(text, position)
        elif match.lastgroup:
            yield match[0]
    yield ""


def _comment_end(text: str, position: int) -> int:
    """The index behind a comment whose parenthesis opened before `position`; comments nest (section 3.2.2)."""
    depth = 1
    for match in _PARENTHESIS.finditer(text, position):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    raise GrammarError("a comment does not end")


def _until_angle(tokens: Iterator[str]) -> Iterator[str]:
    """The tokens of an address in angle brackets, without the closing one."""
    for token in tokens:
        if token == ">":
            return
        if token in ("", "<"):
            break
        yield token
    raise GrammarError("an angle bracket does not close")


def _without_route(words: list[str]) -> list[str]:
    """An address without the obsolete source route before it (section 4.4: obs-route is to be ignored)."""
    return words[words.index(":") + 1 :] if words[:1] == ["@"] and ":" in words else words


def _join(words: list[str]) -> str:
    """One address from its words; white space may stand beside its dots and its @ only (section 4.4)."""
    for first, second in pairwise(words):
        if first not in "@." and second not in "@.":
            raise GrammarError(f"a comma is missing between {first!r} and {second!r}")
    return "".join(words)
