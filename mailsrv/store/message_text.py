"""What people can read of a message, folded for searching: encoded words, charsets and transfer encodings undone, markup
taken away, letters without case (RFC 9051 section 6.4.4).

Two texts a message: of its header, with the MIME headers of its parts; and of its body: text parts, the names of files,
and the headers of messages within. What is no text is not read. White space of any kind and amount is one space, so that
a line break does not hide what stands on both sides of it.

Diagnostics: raises nothing of its own; what the octets themselves raise passes through.
"""

import html
import re
import unicodedata
from collections.abc import Iterator

from mailsrv.mail.mime import Octets, Part, Span, read_structure
from mailsrv.mail.transfer import decode
from mailsrv.mail.words import decode_field, decode_octets, decode_parameter

MAX_HEADER = 1 << 20  # octets of one header that are read
MAX_TEXT = 64 << 20  # characters of the text of one message, when nobody wants fewer

_SPACE = re.compile(r"\s+")
_UNFOLD = re.compile(rb"\r?\n(?=[ \t])")
# Markup whose contents nobody sees. What does not end counts as text: somebody else's reader may show it.
_HIDDEN = re.compile(r"<(?:(script|style)\b|!--)", re.IGNORECASE)
_ENDS = {"script": re.compile(r"</script[^>]*+>?", re.IGNORECASE), "style": re.compile(r"</style[^>]*+>?", re.IGNORECASE)}
_COMMENT_END = re.compile("--!?>")
# Markup within a word, and all other markup, which parts words.
_INLINE = re.compile(
    r"</?(?:a|abbr|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
    r"|var|wbr)\b[^>]*+>?",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"<[a-zA-Z/!?][^>]*+>?")


def fold(text: str) -> str:
    """A text as it is searched in: without case (Unicode's full case folding, then NFC), and one space for white space,
    none at its ends."""
    return " ".join(_fold_letters(text).split())


def fold_needle(needle: str) -> str:
    """A text as it is searched for: as `fold`, with a space at its ends where there was white space."""
    return _SPACE.sub(" ", _fold_letters(needle))


def _fold_letters(text: str) -> str:
    if text.isascii():
        return text.lower().replace("\0", " ")
    # Lone surrogates, which UTF-7 can bring, are no characters, and the index takes none.
    text = text.encode("utf-8", "replace").decode().replace("\0", " ")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def read_header(octets: bytes) -> str:
    """The text of a header as it stands: its fields unfolded and decoded, one a line."""
    unfolded = _UNFOLD.sub(b"", octets)
    if b"=?" not in unfolded:
        return decode_octets(unfolded)
    return "\n".join([decode_field(line) for line in unfolded.split(b"\n")])


def read_texts(octets: Octets, most: int = MAX_TEXT, body: bool = True) -> tuple[str, str, bool]:
    """The folded text of a message's header, that of its body ("" when `body` is not wanted), and whether these are
    whole: no more than about `most` characters of each are read."""
    structure = read_structure(octets)
    headers = []
    bodies = []
    room = most
    header_room = most
    for part in _walk(structure):
        header = _header_of(octets, part.header)
        if header_room > 0:
            headers.append(header)
            header_room -= len(header)
        if not body:
            continue
        for text in _body_of(octets, part):
            if room <= 0:
                break
            bodies.append(text)
            room -= len(text)
    whole = header_room > 0 and room > 0
    return fold("\n".join(headers))[:most], fold("\n".join(bodies))[:most], whole


def _walk(part: Part) -> Iterator[Part]:
    """A message's parts, with the messages within and theirs, in their order. No deeper than mail.mime reads."""
    yield part
    for inner in part.parts:
        yield from _walk(inner)


def _header_of(octets: Octets, span: Span) -> str:
    return read_header(bytes(octets[span.offset : span.offset + min(span.length, MAX_HEADER)])) if span.length else ""


def _body_of(octets: Octets, part: Part) -> Iterator[str]:
    """The texts of one part, those of its own parts not among them."""
    if part.disposition is not None and (name := decode_parameter(part.disposition[1], b"filename")):
        yield name
    elif name := decode_parameter(part.parameters, b"name"):
        yield name
    if part.enclosed_header is not None:
        yield read_header(part.enclosed_header)
    elif part.type == b"text":
        yield read_text(octets, part)


def read_text(octets: Octets, part: Part) -> str:
    """The text of a text part as people see it."""
    text = decode_octets(b"".join(decode(octets, part.body, part.encoding)), part.charset)
    return strip_markup(text) if part.subtype == b"html" else text


def strip_markup(text: str) -> str:
    """What is left of HTML without its markup; character references are undone."""
    if "<" in text:
        text = _MARKUP.sub(" ", _INLINE.sub("", _without_hidden(text)))
    return html.unescape(text) if "&" in text else text


def _without_hidden(text: str) -> str:
    kept = []
    position = 0
    endless: set[str] = set()  # kinds of which no end follows: each is searched for to the end of the text once
    for match in _HIDDEN.finditer(text):
        kind = (match[1] or "").lower()
        if match.start() < position or kind in endless:
            continue
        end = _ENDS.get(kind, _COMMENT_END).search(text, match.end())
        if end is None:
            endless.add(kind)
            continue
        kept.append(text[position : match.start()])
        position = end.end()
    kept.append(text[position:])
    return " ".join(kept)
