"""What people can read of a message, folded for searching: encoded words, charsets and transfer encodings undone,
markup taken away, letters without case (RFC 9051 section 6.4.4).

Two texts a message: of its header, with the MIME headers of its parts; and of its body: text parts, the names of files,
and the headers of messages within. What is no text is not read. White space of any kind and amount is one space, so
that a line break does not hide what stands on both sides of it.

Diagnostics: raises nothing of its own; what the octets themselves raise passes through.
"""

from collections.abc import Iterator

from mailsrv.mail.mime import Octets, Part, read_structure
from mailsrv.mail.markup import strip_markup
from mailsrv.mail.transfer import decode
from mailsrv.mail.words import decode_octets, decode_parameter
from mailsrv.store.folding import fold, fold_letters, read_header
from mailsrv.store.glance import glance

MAX_HEADER = 1 << 20  # octets of one header that are read
MAX_TEXT = 64 << 20  # characters of the text of one message, when nobody wants fewer


def read_texts(octets: Octets, most: int = MAX_TEXT) -> tuple[str, str, bool]:
    """The folded text of a message's header, that of its body, and whether these are whole: about `most` characters of
    each are read."""
    return texts_of(octets, read_structure(octets), most)


def texts_of(octets: Octets, structure: Part, most: int = MAX_TEXT) -> tuple[str, str, bool]:
    """The same where the structure is known."""
    headers, headers_whole = _collect(_headers(octets, structure), most)
    bodies, bodies_whole = _collect(_bodies(octets, structure), most)
    return headers, bodies, headers_whole and bodies_whole


def holds(octets: Octets, needle: str, header: bool, body: bool) -> bool:
    """Whether the folded needle stands in the text of a message's header, or in that of its body, of those asked."""
    if isinstance(octets, bytes) and (told := glance(octets, needle, header, body)) is not None:
        return told
    structure = read_structure(octets)
    if header and _stands_in(_headers(octets, structure), needle):
        return True
    return body and _stands_in(_bodies(octets, structure), needle)


def _stands_in(texts: Iterator[str], needle: str) -> bool:
    if " " in needle:
        return needle in _collect(texts, MAX_TEXT)[0]
    # White space is within no such needle and no needle reaches from one text into the next: one by one will do.
    return any(needle in fold_letters(text) for text in texts)


def _collect(texts: Iterator[str], most: int) -> tuple[str, bool]:
    """Texts as one, folded, of about `most` characters, and whether that is all."""
    found: list[str] = []
    room = most
    for text in texts:
        if room <= 0:
            return fold("\n".join(found)), False
        found.append(text[:room])
        room -= len(text)
    return fold("\n".join(found)), room >= 0


def _headers(octets: Octets, structure: Part) -> Iterator[str]:
    """The header of a message, and those of its parts; not those of messages within, which are in the body."""
    within = {part.parts[0].header for part in _walk(structure) if part.is_message}
    for part in _walk(structure):
        if part.header not in within and (length := min(part.header.length, MAX_HEADER)):
            yield read_header(bytes(octets[part.header.offset : part.header.offset + length]))


def _bodies(octets: Octets, structure: Part) -> Iterator[str]:
    """The texts of all parts."""
    for part in _walk(structure):
        yield from _body_of(octets, part)


def _walk(part: Part) -> Iterator[Part]:
    """A message's parts, with the messages within and theirs, in their order. No deeper than mail.mime reads."""
    yield part
    for inner in part.parts:
        yield from _walk(inner)


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
