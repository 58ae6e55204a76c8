"""Words in reports: foreign text made harmless, fields folded, encoded words (RFC 2047) written and read.

What a remote host or a stranger's header said goes into our reports only through `clean`: nothing in it can end a
field, hide text or change the direction of what stands around it. `field` keeps every line within RFC 5322 section
2.1.1. Nothing here knows what a report is.

Diagnostics: raises nothing; what cannot be decoded stays as it came.
"""

import binascii
import re
from collections.abc import Iterator

LINE = 78  # characters that a line should have at most, RFC 5322 section 2.1.1
_HARD = 900  # octets of one word before it is broken: the limit is 998 with the field's name before it
FOLD = "\r\n "
_WORD_OCTETS = 39  # of text in one encoded word: 52 in base64, so that the line has at most 76 (RFC 2047 section 2)

# Controls, DEL, C1 controls, line and paragraph separators, marks of direction, the byte order mark, surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SPACES = re.compile("[ \t]+")
_LINES = re.compile("\r\n|[\r\n]")
_ENCODED = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{1,40})?\?([BbQq])\?([!->@-~]*)\?=")
_BETWEEN = re.compile(r"(\?=)[ \t]+(=\?)")
_QUOTED = re.compile("=([0-9A-Fa-f]{2})")
_ATOMS = re.compile("[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
# Python also knows codecs that are no charsets, and some that are slow; mail uses these.
_CHARSETS = re.compile(
    "us-ascii|utf-8|utf8|utf-7|iso-8859-[0-9]{1,2}|windows-125[0-9]|cp125[0-9]|koi8-[ru]|iso-2022-jp|shift_jis|euc-jp"
    "|euc-kr|ks_c_5601-1987|gb2312|gbk|gb18030|big5",
    re.IGNORECASE,
)


def clean(text: str, limit: int) -> str:
    """One line of at most `limit` characters: what could harm becomes `?`, spaces run together, the end is cut."""
    line = _UNSAFE.sub("?", _SPACES.sub(" ", text.replace("\t", " "))).strip()
    return line if len(line) <= limit else line[: limit - 3] + "..."


def clean_lines(text: str, limit: int) -> list[str]:
    """The lines of a text, each cleaned, empty ones left out, `limit` characters together."""
    lines = []
    for line in _LINES.split(text[: 2 * limit]):
        kept = clean(line, max(limit, 4))
        if kept:
            lines.append(kept)
            limit -= len(kept)
        if limit <= 0:
            break
    return lines


def to_ascii(text: str) -> str:
    """Text for a place that takes ASCII alone: everything else as `\\x{HEX}`, the form of RFC 6533 section 3."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in text)


def field(name: str, lines: list[str]) -> bytes:
    """A field with its CRLF from clean lines: each begins a line of its own, and long ones are folded at spaces. A
    word that no line can hold is broken."""
    return f"{name}: {_fold(name, lines)}\r\n".encode("utf-8", "replace")


def encode_text(name: str, text: str) -> bytes:
    """An unstructured field (a Subject) with its CRLF; text beyond ASCII in encoded words."""
    text = clean(text, 500)
    if text.isascii() and "=?" not in text:
        return field(name, [text])
    return f"{name}: {_encode_words(text)}\r\n".encode()


def encode_phrase(text: str) -> str:
    """A display name as RFC 5322 section 3.2.5 and RFC 2047 section 5 want it: atoms, a quoted string, or encoded
    words."""
    text = clean(text, 200)
    if not text.isascii() or "=?" in text:
        return _encode_words(text)
    if _ATOMS.fullmatch(text):
        return text
    return '"' + re.sub(r'([\\"])', r"\\\1", text) + '"'


def decode_text(value: bytes) -> str:
    """An unstructured field's raw value as people read it (encoded words decoded), not yet clean."""
    text = value.replace(b"\r\n", b"").decode("utf-8", "replace").strip()
    if "=?" not in text:
        return text
    return _ENCODED.sub(_decode_word, _BETWEEN.sub(r"\1\2", text))


def quoted_printable(octets: bytes) -> bytes:
    """Text with CRLF lines in quoted-printable (RFC 2045 section 6.7)."""
    # The last line's end is added so that the soft breaks are CRLF too, and is not part of the text.
    return binascii.b2a_qp(octets + b"\r\n", quotetabs=False, istext=True, header=False)[:-2]


def base64_lines(octets: bytes) -> bytes:
    """Octets in base64 with lines of 76 characters (RFC 2045 section 6.8)."""
    parts = (octets[start : start + 57] for start in range(0, len(octets), 57))
    return b"".join(binascii.b2a_base64(part, newline=False) + b"\r\n" for part in parts)


def _fold(name: str, lines: list[str]) -> str:
    column = len(name) + 2
    written = []
    for line in lines:
        current: list[str] = []
        for word in _break(line):
            if current and column + 1 + len(word) > LINE:
                written.append(" ".join(current))
                current, column = [], 0
            column += 1 + len(word)
            current.append(word)
        if current:
            written.append(" ".join(current))
        column = 0
    return FOLD.join(written)


def _break(line: str) -> Iterator[str]:
    """The words of a line; one that is too long for any line comes in pieces."""
    for word in line.split():
        while len(word.encode("utf-8", "replace")) > _HARD:
            yield word[: _HARD // 4]  # a character has four octets at most
            word = word[_HARD // 4 :]
        yield word


def _encode_words(text: str) -> str:
    """Base64 encoded words, cut between characters, one on a line."""
    words = []
    part = b""
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(part) + len(octets) > _WORD_OCTETS:
            words.append(part)
            part = b""
        part += octets
    words.append(part)
    return FOLD.join(f"=?utf-8?B?{binascii.b2a_base64(word, newline=False).decode()}?=" for word in words)


def _decode_word(match: re.Match[str]) -> str:
    charset, way, text = match.groups()
    if not _CHARSETS.fullmatch(charset):
        return match[0]
    try:
        if way in "Bb":
            octets = binascii.a2b_base64(text)
        else:
            plain = _QUOTED.sub(lambda found: chr(int(found[1], 16)), text.replace("_", " "))
            octets = plain.encode("latin-1")
        return octets.decode(charset)
    except (ValueError, LookupError):
        return match[0]
