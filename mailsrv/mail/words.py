"""Text from octets: charsets, encoded words and extended parameters.

A charset is one of the standard library's text encodings by a name that mail uses; no name from a message reaches the
codec registry before it is found in the table here, since each unknown one would be searched for on the disk and kept
for ever. Text whose charset is unknown, absent or US-ASCII is UTF-8 where it can be, and Latin-1 otherwise.
RFC 2047, RFC 2231 sections 4 and 5; what is broken is given as it stands.

Diagnostics: raises nothing.
"""

import binascii
import codecs
import re
from collections.abc import Iterable, Iterator
from encodings.aliases import aliases
from functools import lru_cache

from mailsrv.mail.mime_header import Parameters, percent_decode, unfold

# Not charsets: transformations, or text whose decoding takes time beyond the linear.
_NOT_CHARSETS = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec", "mbcs", "oem"}
    | {"idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined"}
)
# What is meant by a name, where that is not what the standard library takes it for: the larger charset that everybody
# sends under the smaller one's name, and names that it does not know.
_MEANT = {
    "ascii": None,
    "us_ascii": None,
    "utf_8": None,
    "utf8": None,
    "unknown_8bit": None,
    "x_unknown": None,
    "default": None,
    "iso_8859_1": "cp1252",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "windows_874": "cp874",
    "x_mac_roman": "mac_roman",
    "macintosh": "mac_roman",
    "utf_16": "utf_16",
    "utf_7": "utf_7",
    "unicode_1_1_utf_7": "utf_7",
    "cp932": "cp932",
    "cp949": "cp949",
}
_CODECS = frozenset(aliases.values()) - _NOT_CHARSETS | {"cp720", "cp737", "cp874", "koi8_t", "koi8_u"}

# Loaded now, since a worker that has dropped its privileges may not reach the library any more; the others are then
# unknown charsets. These are nearly all that mail has.
for _name in (
    "ascii", "latin_1", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
    "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9", "iso8859_15", "koi8_r", "koi8_u", "gb2312", "gbk", "gb18030",
    "big5", "shift_jis", "cp932", "euc_jp", "iso2022_jp", "euc_kr", "cp949", "iso2022_kr", "utf_7", "utf_16",
    "utf_16_be", "utf_16_le", "cp437", "cp850", "cp866", "mac_roman", "tis_620",
):  # fmt: skip
    codecs.lookup(_name)

_ENCODED_WORD = re.compile(rb"=\?([!-)+-<>@-~]{1,64})(?:\*[A-Za-z0-9-]{0,32})?\?([BbQq])\?([^?]*+)\?=")
_ASCII = bytes(range(128))
_SHIFTING = ("hz", "iso2022", "utf_7")  # in which what is before an octet changes it
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


@lru_cache(maxsize=256)
def codec_name(charset: bytes) -> str | None:
    """The standard library's name for a charset, None for UTF-8 with what is taken for it (unknown ones too)."""
    name = charset.decode("ascii", "replace").strip().lower().replace("-", "_").replace(".", "_").replace(" ", "_")
    if name in _MEANT:
        return _MEANT[name]
    codec = aliases.get(name, name)
    codec = _MEANT.get(codec, codec) or "utf_8"
    if codec not in _CODECS or codec == "utf_8":
        return None
    try:
        codecs.lookup(codec)
    except LookupError:  # a library out of reach
        return None
    return codec


@lru_cache(maxsize=256)
def reads_ascii(charset: bytes) -> bool:
    """Whether each octet below 128 stands for itself in a charset, whatever is before it."""
    codec = codec_name(charset)
    return codec is None or not codec.startswith(_SHIFTING) and _ASCII.decode(codec, "replace") == _ASCII.decode()


def decode_octets(octets: bytes, charset: bytes = b"") -> str:
    """All of a text; what cannot be decoded becomes U+FFFD, or Latin-1 where no charset is known."""
    codec = codec_name(charset)
    if codec is None:
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("latin-1")
    return _without_surrogates(octets.decode(codec, "replace"), codec)


def decode_text(blocks: Iterable[bytes], charset: bytes = b"") -> Iterator[str]:
    """The same for a text in blocks, a block at a time, characters across their borders included. A text taken for
    UTF-8 that stops being it is Latin-1 from that block on."""
    codec = codec_name(charset)
    instead = f"{codec}_le" if codec in ("utf_16", "utf_32") else "latin_1"  # where a byte order mark is missing
    decoder = codecs.getincrementaldecoder(codec or "utf_8")("replace" if codec else "strict")
    for block in blocks:
        try:
            yield _without_surrogates(decoder.decode(block), codec)
        except UnicodeError:
            pending = decoder.getstate()[0]
            decoder = codecs.getincrementaldecoder(instead)("replace")
            yield decoder.decode(pending + block)
    try:
        yield decoder.decode(b"", True)
    except UnicodeError:
        yield decoder.getstate()[0].decode(instead, "replace")


def decode_field(value: bytes) -> str:
    """A raw value of a field as text: unfolded, with its encoded words decoded (anywhere: many stand where RFC 2047
    section 5 forbids them) and the space between two of them removed (section 6.2)."""
    value = unfold(value)
    if b"=?" not in value:
        return decode_octets(value)
    texts = []
    pending = b""  # the octets of adjacent words of one charset: characters are split between them, against section 5
    charset = b""
    position = 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[position : match.start()]
        position = match.end()
        octets = _decode_word(match[2], match[3])
        if pending or charset:
            if not between.strip(b" \t") and match[1].lower() == charset:
                pending += octets
                continue
            texts.append(decode_octets(pending, charset))
            between = between if between.strip(b" \t") else b""
        texts.append(decode_octets(between))
        pending, charset = octets, match[1].lower()
    texts.append(decode_octets(pending, charset))
    texts.append(decode_octets(value[position:]))
    return "".join(texts)


def decode_parameter(parameters: Parameters, name: bytes) -> str | None:
    """The text of a parameter (lower case), None when there is none: the extended form (RFC 2231 section 4), else the
    plain one, in which encoded words are common though RFC 2047 section 5 forbids them."""
    extended = name + b"*"
    plain = None
    for found, value in parameters:
        if found == extended:
            charset, _, rest = value.partition(b"'")
            return decode_octets(percent_decode(rest.partition(b"'")[2]), charset)
        if found == name and plain is None:
            plain = value
    return None if plain is None else decode_field(plain)


def _without_surrogates(text: str, codec: str | None) -> str:
    """A text that UTF-8 can hold: UTF-7 alone gives halves of characters."""
    return _SURROGATE.sub("\ufffd", text) if codec == "utf_7" else text


def _decode_word(encoding: bytes, text: bytes) -> bytes:
    """The octets of an encoded word (RFC 2047 section 4)."""
    if encoding in b"Qq":
        return binascii.a2b_qp(text, header=True)
    digits = text.translate(None, _NOT_BASE64)
    digits = digits[:-1] if len(digits) % 4 == 1 else digits
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
