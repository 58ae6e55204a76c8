"""Lists of tag=value pairs, as DKIM, ARC and DMARC have them in header fields and in the DNS (RFC 6376 section 3.2).

What a tag means, and which white space inside a value counts, is the reader's. UTF-8 passes (RFC 8616 section 3 wants
it in some tags), other octets beyond printable ASCII do not. An empty place between two semicolons says nothing and is
passed over: records with one are common. The work grows with the length and no faster, and no list has many tags.

Diagnostics: raises GrammarError for what is no such list, RepeatedTag among them.
"""

import binascii
import re

from mailsrv.errors import GrammarError

_SPACE = " \t\r\n"
_TEXT = re.compile("[\t\n\r -~\u0080-\U0010ffff]*+")
_MOST_TAGS = 200  # the longest lists of any standard have some twenty
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*+")


class RepeatedTag(GrammarError):
    """A list has a tag twice: all of it is invalid, whichever of the two was meant."""


def parse_tags(octets: bytes) -> dict[str, str]:
    """Tags in their order, case kept, with their values less the white space around them. Raises GrammarError."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise GrammarError("is not UTF-8") from None
    if not _TEXT.fullmatch(text):
        raise GrammarError("has control characters")
    if text.count(";") > _MOST_TAGS:
        raise GrammarError(f"has more than {_MOST_TAGS} tags")
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip(_SPACE)
        if not equals and not name:
            continue
        if not equals or not _NAME.fullmatch(name):
            raise GrammarError("is not a list of tags with values")
        if name in tags:
            raise RepeatedTag(f"has the tag {name[:20]}= more than once")
        tags[name] = value.strip(_SPACE)
    return tags


def parse_base64(value: str) -> bytes:
    """The octets of a base64 value with white space anywhere (section 3.2, base64string). Raises GrammarError."""
    try:
        return binascii.a2b_base64(b"".join(value.encode("ascii").split()), strict_mode=True)
    except ValueError:  # UnicodeEncodeError and binascii.Error are ValueErrors
        raise GrammarError("is not base64") from None


def parse_words(value: str) -> tuple[str, ...]:
    """The items of a list with colons and white space around them."""
    return tuple(word.strip(_SPACE) for word in value.split(":"))
