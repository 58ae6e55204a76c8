"""What people can read of a message, folded for searching: encoded words, charsets and transfer encodings undone,
markup taken away, letters without case (RFC 9051 section 6.4.4).

Two texts a message. That of its header: the fields, and the MIME headers of its parts. That of its body: text parts,
the names of files, and of messages within all of that, their headers too. TEXT asks for both, BODY for the second one.
What is no text is not read. White space of any kind and amount is one space, so that a line break does not hide what
stands on both sides of it.

Texts come in pieces, with _END behind each one, and no more of a large part is decoded than what is asked for: neither
its size in memory nor one search through all of it at once, which would keep all other threads waiting. Of HTML no more
than MAX_HTML octets are read, for a part may be markup without any text.

Diagnostics: raises nothing of its own; what the octets themselves raise passes through.
"""

from collections.abc import Iterable, Iterator

from mailsrv.mail.markup import strip_markup, strip_pieces
from mailsrv.mail.mime import Octets, Part, Span, read_structure
from mailsrv.mail.transfer import decode
from mailsrv.mail.words import decode_octets, decode_parameter, decode_text
from mailsrv.store.folding import fold, fold_letters, read_header
from mailsrv.store.glance import glance

MAX_HEADER = 1 << 20  # octets of one header that are read
MAX_TEXT = 64 << 20  # characters of the text of one message, when nobody wants fewer
MAX_HTML = 16 << 20  # octets of one part of HTML, still encoded, that are read
_HTML_FOR_TEXT = 8  # octets of HTML that are read for each character that is wanted
_PIECE = 1 << 18  # octets of a part that are decoded and folded at once
_END = "\n"


def read_texts(octets: Octets, most: int = MAX_TEXT) -> tuple[str, str, bool]:
    """The folded text of a message's header, that of its body, and whether these are whole: about `most` characters of
    each are read."""
    structure = read_structure(octets)
    most_html = min(MAX_HTML, _HTML_FOR_TEXT * most)
    headers, headers_whole = _collect(_headers(octets, structure), most)
    bodies, bodies_whole = _collect(_bodies(octets, structure, most_html), most)
    if structure.body.length > most_html:
        bodies_whole = bodies_whole and not any(_is_cut(part, most_html) for part in _walk(structure))
    return headers, bodies, headers_whole and bodies_whole


def holds(octets: Octets, needle: str, header: bool, body: bool) -> bool:
    """Whether the folded needle stands in the text of a message's header, or in that of its body, of those asked."""
    if isinstance(octets, bytes) and (told := glance(octets, needle, header, body)) is not None:
        return told
    structure = read_structure(octets)
    if header and _stands_in(_headers(octets, structure), needle):
        return True
    return body and _stands_in(_bodies(octets, structure, MAX_HTML), needle)


def _stands_in(pieces: Iterable[str], needle: str) -> bool:
    """Whether a folded needle stands in what `_collect` would give of all pieces."""
    keep = len(needle)
    before = ""  # the end of the pieces that were looked at
    if " " not in needle:
        for piece in pieces:
            text = before + fold_letters(piece)
            if needle in text:
                return True
            before = text[-keep:]
        return False
    gap = False  # white space follows `before`
    for piece in pieces:
        words = fold(piece)
        if not words:
            gap = gap or bool(piece)
            continue
        text = f"{before} {words}" if before and (gap or _is_space(piece[0])) else before + words
        if needle in text:
            return True
        before = text[-keep:]
        gap = _is_space(piece[-1])
    return False


def _is_space(character: str) -> bool:
    return character.isspace() or character == "\0"


def _collect(pieces: Iterable[str], most: int) -> tuple[str, bool]:
    """Texts as one, folded, of about `most` characters, and whether that is all."""
    found: list[str] = []
    room = most
    for piece in pieces:
        if piece != _END:
            if len(piece) > room:
                found.append(piece[:room])
                return fold("".join(found)), False
            room -= len(piece)
        found.append(piece)
    return fold("".join(found)), True


def _headers(octets: Octets, structure: Part) -> Iterator[str]:
    """The header of a message, and those of its parts; not those of messages within."""
    yield from _header_at(octets, structure.header)
    if not structure.is_message:
        for part in structure.parts:
            yield from _headers(octets, part)


def _header_at(octets: Octets, span: Span) -> Iterator[str]:
    if length := min(span.length, MAX_HEADER):
        yield read_header(bytes(octets[span.offset : span.offset + length]))
        yield _END


def _bodies(octets: Octets, part: Part, most_html: int, within: bool = False) -> Iterator[str]:
    """The texts of a part and its own parts; `within` a message in the message, the headers of these too."""
    if part.disposition is not None and (name := decode_parameter(part.disposition[1], b"filename")):
        yield from (name, _END)
    elif name := decode_parameter(part.parameters, b"name"):
        yield from (name, _END)
    if part.enclosed_header is not None:
        yield from (read_header(part.enclosed_header), _END)
        yield from _bodies(octets, part.parts[0], most_html, True)
    elif part.type == b"text":
        yield from _read_text(octets, part, most_html)
        yield _END
    else:
        for inner in part.parts:
            if within:
                yield from _header_at(octets, inner.header)
            yield from _bodies(octets, inner, most_html, within)


def _walk(part: Part) -> Iterator[Part]:
    """A message's parts, with the messages within and theirs, in their order. No deeper than mail.mime reads."""
    yield part
    for inner in part.parts:
        yield from _walk(inner)


def _is_html(part: Part) -> bool:
    return part.type == b"text" and part.subtype == b"html"


def _is_cut(part: Part, most_html: int) -> bool:
    return _is_html(part) and part.body.length > most_html


def _read_text(octets: Octets, part: Part, most_html: int) -> Iterator[str]:
    """The text of a text part as people see it, in pieces."""
    if part.body.length <= _PIECE:
        text = decode_octets(b"".join(decode(octets, part.body, part.encoding)), part.charset)
        yield strip_markup(text) if _is_html(part) else text
        return
    if not _is_html(part):
        yield from _cut_at_spaces(decode_text(decode(octets, part.body, part.encoding), part.charset))
        return
    span = Span(part.body.offset, min(part.body.length, most_html))
    yield from strip_pieces(decode_text(decode(octets, span, part.encoding), part.charset))


def _cut_at_spaces(texts: Iterable[str]) -> Iterator[str]:
    """A text in pieces, cut behind white space where there is some: words are folded as wholes."""
    rest = ""
    for text in texts:
        rest += text
        cut = max(rest.rfind("\n"), rest.rfind(" ")) + 1 or len(rest)
        yield rest[:cut]
        rest = rest[cut:]
    yield rest
