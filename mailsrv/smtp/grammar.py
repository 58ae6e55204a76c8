"""Reading the arguments of commands: names, paths, parameters, xtext, base64 (RFC 5321 section 4.1, RFC 3461 section
4).

Two tolerances: spaces behind the colon of MAIL and RCPT, which old clients send, and underscores and bare words as a
client's name. Source routes are read and ignored (RFC 5321 appendix C). Nothing is decided here.

Diagnostics: raises GrammarError with a reason for the reply.
"""

import base64
import binascii
import re
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address, parse_address, split_local_part

# What may stand in a Received field without further thought (it is written there): narrower than what some clients
# send.
_CLIENT_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9._])?|\[[A-Za-z0-9:.-]{1,253}\]")
_ROUTE = re.compile(r"(?:@(?:\[[^\[\]<> ]*\]|[^\[\]<> ,:@]+)(?:,(?=@)|:(?!@)))+(?<=:)")
# esmtp-param of RFC 5321 section 4.1.2, its value with the UTF-8 of RFC 6531 section 3.3.
_PARAMETER = re.compile("([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\U0010ffff]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
_UNITEXT = re.compile("(?:[!-*,-<>-\\[\\]-~\x80-\U0010ffff]|\\\\x\\{[0-9A-F]{2,6}\\})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")

MAX_ORCPT = 500  # octets, RFC 3461 section 4.2
MAX_ENVID = 100  # octets, section 4.4


def check_client_name(name: str) -> None:
    """Check the argument of HELO, EHLO or LHLO."""
    if not _CLIENT_NAME.fullmatch(name):
        raise GrammarError("not the name of a host")


def upper(text: str) -> str:
    """A keyword in upper case, "" when it cannot be one: outside ASCII other characters have these letters as upper
    case."""
    return text.upper() if text.isascii() else ""


@lru_cache(maxsize=512)
def read_path(argument: str, keyword: str) -> tuple[Address | None, str, str]:
    """Read `FROM:<path> parameters` (keyword `FROM:` or `TO:`).

    Gives the address (None for the null path and for a path that is one word), that word, and the parameters. The cache
    holds what clients send again and again; its size is what a hostile client can fill. Raises GrammarError; "" as
    reason when the form itself is wrong.
    """
    rest = argument[len(keyword) :].lstrip(" ")
    if upper(argument[: len(keyword)]) != keyword or rest[:1] != "<":
        raise GrammarError("")
    rest = rest[1:]
    route = _ROUTE.match(rest)
    if route is not None:
        rest = rest[route.end() :]
    inside = split_local_part(rest)[1] if rest[:1] == '"' else 0
    end = rest.find(">", inside)
    if end < 0:
        raise GrammarError("the closing bracket is missing")
    path, behind = rest[:end], rest[end + 1 :]
    if behind and behind[0] != " ":
        raise GrammarError("a space is missing behind the bracket")
    if route is None and (not path or path.isalpha()):
        return None, path, behind.strip(" ")
    return parse_address(path), "", behind.strip(" ")


def read_parameters(text: str) -> dict[str, str | None]:
    """Read `KEYWORD=value KEYWORD ...`: keywords in upper case, None as the value of one that has none.

    Raises GrammarError whose text is the keyword that is malformed or given twice.
    """
    parameters: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        keyword = (match[1] if match else word.partition("=")[0]).upper()
        if match is None or keyword in parameters:
            raise GrammarError(keyword[:40])
        parameters[keyword] = match[2]
    return parameters


def read_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 section 4) to printable text; what is not printable could break the report that will hold
    it."""
    if not _XTEXT.fullmatch(text):
        raise GrammarError("not xtext")
    decoded = _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), text)
    if not (decoded.isascii() and decoded.isprintable()):
        raise GrammarError("not printable")
    return decoded


def read_unitext(text: str) -> str:
    """Decode the address of an ORCPT of type utf-8 (RFC 6533 section 3): UTF-8 with `\\x{HEX}` for what cannot stand
    there."""
    if not _UNITEXT.fullmatch(text):
        raise GrammarError("not unitext")
    try:
        decoded = _EMBEDDED.sub(lambda match: chr(int(match[1], 16)), text)
        decoded.encode()
    except (ValueError, OverflowError):
        raise GrammarError("not a character") from None
    if not decoded.isprintable():
        raise GrammarError("not printable")
    return decoded


def read_orcpt(text: str) -> str:
    """Read an ORCPT: `type;address` with the address decoded, as it will stand in a report (RFC 3461 section 4.2)."""
    address_type, separator, encoded = text.partition(";")
    if not (_ADDRESS_TYPE.fullmatch(address_type) and separator and encoded) or len(text.encode()) > MAX_ORCPT:
        raise GrammarError("not an original recipient")
    address = read_unitext(encoded) if address_type.lower() == "utf-8" else read_xtext(encoded)
    return f"{address_type};{address}"


def read_base64(text: str) -> bytes:
    """Decode base64 strictly: no foreign character, padding only at the end (RFC 4954 section 4)."""
    if not _BASE64.fullmatch(text):
        raise GrammarError("not base64")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise GrammarError("not base64") from None
