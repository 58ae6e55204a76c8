"""The preview of a message: the beginning of its first readable text, on one line (RFC 8970 section 3.3).

Only the beginning of a part is decoded, so that a preview costs the same for every size. Quoted lines are left out as
long as there are others. HTML loses its markup (mail.markup).

Diagnostics: raises nothing.
"""

import re
from collections.abc import Iterator

from mailsrv.mail.markup import strip_hidden, strip_tags
from mailsrv.mail.mime import Octets, Part, Span
from mailsrv.mail.transfer import decode
from mailsrv.mail.words import decode_text, reads_ascii

MAX_CHARACTERS = 200  # section 3.3: servers should stop there, and must at 256
_READ_PLAIN = 16384  # octets of a part, still encoded
_READ_HTML = 131072  # style sheets come first
_MAX_TEXT = 1000  # characters of plain text that a preview is made of
_FIRST_HTML = 16384  # characters of HTML that mostly suffice
_MOSTLY_ENOUGH = 300  # characters that make MAX_CHARACTERS without the space between them
_AS_IT_IS = frozenset({b"7bit", b"8bit", b"binary"})
_MAX_QUOTED = 8000  # with what is quoted before them
_MAX_PARTS = 20  # texts that are tried before there is no preview

# What does not print, and what mailers fill previews with: controls, soft hyphens, marks of direction; joiners, but for
# those within a word, where scripts and emoji need them.
_JOINERS = "\u200c\u200d"
_UNPRINTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
    rf"|(?<![^\s{_JOINERS}])[{_JOINERS}]+|[{_JOINERS}]+(?![^\s{_JOINERS}])"
)
# Lines that a line feed precedes: patterns that begin with a letter are searched for fast.
_QUOTED = re.compile(r"\n[>|][^\n]*")
_RULE = re.compile(r"\n[-=_*#~ \t]{4,}(?=\n)")
_SIGNATURE = re.compile(r"\n-- ?\n")


def preview(octets: Octets, message: Part) -> str:
    """At most MAX_CHARACTERS of text on one line; empty when the message has none that can be read."""
    for number, part in enumerate(_texts(message)):
        if number == _MAX_PARTS:
            break
        if text := _read_text(octets, part):
            return text
    return ""


def _texts(part: Part) -> Iterator[Part]:
    """The parts that may be text for a reader, best first; none within what is encrypted."""
    if part.is_multipart:
        if part.subtype == b"encrypted":
            return
        parts = part.parts
        if part.subtype == b"alternative":  # plain text needs no guesses
            parts = tuple(sorted(parts, key=lambda one: (one.type, one.subtype) != (b"text", b"plain")))
        for one in parts:
            yield from _texts(one)
    elif part.is_message:
        yield from _texts(part.parts[0])
    elif part.type == b"text" and part.subtype in (b"plain", b"html"):
        if part.disposition is None or part.disposition[0] != b"attachment":
            yield part


def _read_text(octets: Octets, part: Part) -> str:
    """The preview of one part."""
    is_html = part.subtype == b"html"
    if not is_html and part.encoding in _AS_IT_IS and reads_ascii(part.charset):
        # Nothing to decode, most often: what a preview is made of is taken at once.
        plain = bytes(octets[part.body.offset : part.body.offset + min(part.body.length, _MAX_QUOTED)])
        if plain.isascii():
            return _shorten(_choose(plain.decode()))
    beginning = Span(part.body.offset, min(part.body.length, _READ_HTML if is_html else _READ_PLAIN))
    decoded = b"".join(decode(octets, beginning, part.encoding))
    texts = decode_text([decoded], part.charset)
    text = next(texts)  # without a character that the end of the beginning cuts
    if beginning.length == part.body.length:
        text += "".join(texts)
    if is_html:
        shown = strip_hidden(text)
        text = strip_tags(shown[:_FIRST_HTML])
        if len(shown) > _FIRST_HTML and sum(map(len, text.split())) < MAX_CHARACTERS:
            text = strip_tags(shown)
    else:
        text = _choose(text[:_MAX_QUOTED])
    return _shorten(text)


def _choose(text: str) -> str:
    """What somebody wrote in a plain text, of its beginning: nothing quoted, unless there is nothing else."""
    text = "\n" + text.replace("\r\n", "\n")
    head = text[: _MAX_TEXT + 2]
    if "\n>" in head or "\n|" in head or "\n--" in head:
        written = _QUOTED.sub("", _SIGNATURE.split(text, 1)[0])
        head = written if written.strip() else text
    return _RULE.sub("", head[:_MAX_TEXT])


def _shorten(text: str) -> str:
    """The beginning of a text on one line, of what prints."""
    head = " ".join(text[:_MOSTLY_ENOUGH].split())
    if len(head) >= MAX_CHARACTERS and head.isprintable():
        return head[:MAX_CHARACTERS].rstrip()
    text = " ".join(text.split())
    if not text.isprintable():
        text = " ".join(_UNPRINTED.sub("", text).split())
    return text[:MAX_CHARACTERS].rstrip()
