"""The addresses of a header field as a reader sees them: display name, route, local part, domain, groups.

The lenient sister of `mail.mailboxes`, for ENVELOPE and for sorting: whatever stands in a field, every part of it that
could be an address becomes one, and none of it decides anything. Encoded words stay encoded and octets stay octets. It
takes time linear in the length of the field. RFC 5322 sections 3.4 and 4.4, RFC 9051 section 7.5.2; the sort keys are
those of RFC 5256 section 3 and RFC 5957 section 3.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mailsrv.mail.mime_header import unfold
from mailsrv.mail.words import decode_field

# The usual element, up to its comma: a name, quoted or bare, and an address in angle brackets; or an address alone.
_USUAL = re.compile(
    rb"[ \t]*+(?:(?:\"([^\"\\]*+)\"[ \t]*+|([^\x00-\x20<>@,:;\"()\[\]\\][^<>@,:;\"()\[\]\\\t]*+))?"
    rb"<([^\x00-\x20<>@,:;\"()\[\]\\]++)@([^\x00-\x20<>@,:;\"()\[\]\\]++)>"
    rb"|([^\x00-\x20<>@,:;\"()\[\]\\]++)@([^\x00-\x20<>@,:;\"()\[\]\\]++))[ \t]*+(?:,|\Z)"
)
_TOKEN = re.compile(
    rb"[ \t\r\n\x00]++|\"(?P<quoted>[^\"\\]*+(?:\\.[^\"\\]*+)*)\"?|(?P<literal>\[[^\[\]]*+\]?)"
    rb"|(?P<special>[<>,:;@.)\]\\(])|(?P<atom>[^ \t\r\n\x00\"<>,:;@.()\[\]\\]++)",
    re.DOTALL,
)
_COMMENT = re.compile(rb"[^()\\]++|\\.|([()])|\\\Z", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
MAX_ADDRESSES = 10_000  # elements of one field that are read: two octets are enough for one
_MAX_COMMENT_DEPTH = 100
_MAX_UNUSUAL = 1 << 16  # octets of one field that are read word by word


class ListedAddress(NamedTuple):
    """One element of an address list. A group is several: its beginning has `local_part` (the group's name) and no
    `domain`, its end has neither. In an address neither is None; what the field lacks is empty."""

    name: bytes | None
    route: bytes | None
    local_part: bytes | None
    domain: bytes | None


GROUP_END = ListedAddress(None, None, None, None)


def read_addresses(value: bytes) -> list[ListedAddress]:
    """Every address and group of the raw value of a From, To or the like, in order."""
    text = unfold(value)
    found: list[ListedAddress] = []
    position = 0
    length = len(text)
    unusual = _MAX_UNUSUAL
    while position < length and len(found) < MAX_ADDRESSES and unusual > 0:
        match = _USUAL.match(text, position)
        if match is None:
            end = _Elements(found).read(text, position, min(position + unusual, length))
            unusual -= end - position
            position = end
            continue
        quoted, bare, inner, inner_domain, local_part, domain = match.groups()
        if inner is not None:
            name = quoted if bare is None else bare.rstrip(b" ")
            found.append(ListedAddress(name or None, None, inner, inner_domain))
        else:
            found.append(ListedAddress(None, None, local_part, domain))
        position = match.end()
    return found


def mailbox_key(value: bytes) -> bytes:
    """The sort key of FROM, TO and CC (RFC 5256 section 3): the local part of the first address of a raw value (of a
    group, its name), empty when there is none."""
    return first_mailbox(read_addresses(value))


def display_key(value: bytes) -> str:
    """The sort key of DISPLAYFROM and DISPLAYTO (RFC 5957 sections 3 and 4): the decoded display name of the first
    address of a raw value, else the address, else its local part, else nothing."""
    return first_name(read_addresses(value))


def first_mailbox(addresses: Sequence[ListedAddress]) -> bytes:
    """`mailbox_key` of addresses that are read already."""
    return addresses[0].local_part or b"" if addresses else b""


def first_name(addresses: Sequence[ListedAddress]) -> str:
    """`display_key` of addresses that are read already."""
    if not addresses:
        return ""
    first = addresses[0]
    if first.name and (name := decode_field(first.name)):
        return name
    address = first.local_part or b""
    if first.domain is not None:
        address += b"@" + first.domain
    return decode_field(address)


@dataclass(slots=True)
class _Elements:
    """The element that is being read, or the elements of a group, from words: pairs of a text and whether space stood
    before it."""

    found: list[ListedAddress]
    words: list[tuple[bytes, bool]] = field(default_factory=list)
    name: list[tuple[bytes, bool]] | None = None  # what stood before the angle bracket
    comment: bytes = b""
    in_angle: bool = False
    in_group: bool = False
    is_behind: bool = False  # an address in angle brackets, with no comma since: without an @, this is none
    at: int = -1  # the index in `words` of the @ before the domain

    def read(self, text: bytes, position: int, limit: int) -> int:
        """Read from `position` to behind the next comma outside of a group, or to `limit`; give the index there."""
        spaced = False
        while (match := _TOKEN.match(text, position, limit)) and len(
            self.found
        ) < MAX_ADDRESSES:  # every octet begins a token
            position = match.end()
            kind = match.lastgroup
            if kind is None:
                spaced = True
                continue
            token = match[kind]
            if kind == "quoted":
                self.words.append((_ESCAPE.sub(rb"\1", token), spaced))
            elif token == b"(":
                position, comment = _read_comment(text, position, limit)
                self.comment = self.comment or comment
                spaced = True
                continue
            elif kind == "special" and token in b"<>,:;@":
                self._take_special(token, spaced)
                if token == b"," and not self.words and not self.in_group:
                    break
            else:
                self.words.append((token, spaced))
            spaced = False
        self._end_address()
        if self.in_group:
            self.found.append(GROUP_END)
        return position

    def _take_special(self, token: bytes, spaced: bool) -> None:
        if token == b"@":
            self.at = len(self.words)
            self.words.append((token, spaced))
        elif token == b"<":
            if self.name is None:
                self.name = self.words
            self.words, self.at, self.in_angle = [], -1, True
        elif token == b">":
            if self.in_angle:
                self._end_address()
                self.is_behind = True
        elif token == b":" and self.in_angle and self.words[:1] and self.words[0][0] == b"@":
            self.words.append((token, spaced))  # the end of a source route
            self.at = -1
        elif token == b":" and not self.in_angle and not self.in_group and self.name is None and self.words:
            self.found.append(ListedAddress(None, None, _phrase(self.words), None))
            self.in_group = True
            self._begin()
        elif token == b"," and self.in_angle and self.words[:1] and self.words[0][0] == b"@":
            self.words.append((token, spaced))  # between the domains of a source route
        elif token in b",;":
            self._end_address()
            self.is_behind = False
            if token == b";" and self.in_group:
                self.found.append(GROUP_END)
                self.in_group = False
        else:
            self.words.append((token, spaced))

    def _begin(self) -> None:
        self.words, self.name, self.comment, self.in_angle, self.at = [], None, b"", False, -1

    def _end_address(self) -> None:
        """One address from what was read, if anything was."""
        if self.name is not None or (self.words and (self.at >= 0 or not self.is_behind)):
            words, route = _split_route(self.words)
            at = self.at - (len(self.words) - len(words))
            if self.at < 0:
                at = len(words)
            before, after = words[:at], words[at + 1 :]
            name = self.name
            if name is None and self.at >= 0:
                begin = _last_beginning(before)
                name, before = before[:begin], before[begin:]
                after = after[: _first_end(after)]
            text = _phrase(name) if name else b""
            self.found.append(ListedAddress(text or self.comment or None, route, _join(before), _join(after)))
        self._begin()


def _read_comment(text: bytes, position: int, limit: int) -> tuple[int, bytes]:
    """The index behind a comment that opened before `position`, and its text; an unended one takes the rest."""
    depth = 1
    start = position
    for match in _COMMENT.finditer(text, position, limit):
        if match[1] == b"(":
            depth = min(depth + 1, _MAX_COMMENT_DEPTH)
        elif match[1] == b")":
            depth -= 1
            if not depth:
                return match.end(), _ESCAPE.sub(rb"\1", text[start : match.start()]).strip()
    return limit, _ESCAPE.sub(rb"\1", text[start:limit]).strip()


def _last_beginning(words: list[tuple[bytes, bool]]) -> int:
    """Where the local part begins in `John Doe john@example.org`: at the last word behind space, but for dots."""
    for index in range(len(words) - 1, 0, -1):
        word, spaced = words[index]
        if spaced and word != b"." and words[index - 1][0] != b".":
            return index
    return 0


def _first_end(words: list[tuple[bytes, bool]]) -> int:
    """Where a domain ends: before the first word with space before it, but for dots."""
    for index in range(1, len(words)):
        word, spaced = words[index]
        if spaced and word != b"." and words[index - 1][0] != b".":
            return index
    return len(words)


def _phrase(words: list[tuple[bytes, bool]]) -> bytes:
    """The text of a phrase: a space where there was some."""
    return b"".join(b" " + word if spaced else word for word, spaced in words).strip()


def _join(words: list[tuple[bytes, bool]]) -> bytes:
    """An address's words: space beside dots is nothing (RFC 5322 section 4.4), elsewhere it stays."""
    text = _phrase(words)
    return text.replace(b" .", b".").replace(b". ", b".") if b" " in text else text


def _split_route(words: list[tuple[bytes, bool]]) -> tuple[list[tuple[bytes, bool]], bytes | None]:
    """An address without the source route before it, and that (RFC 5322 section 4.4: obs-route, without its colon)."""
    if words and words[0][0] == b"@":
        for index, (word, _) in enumerate(words):
            if word == b":":
                return words[index + 1 :], b"".join(word for word, _ in words[:index])
    return words, None
