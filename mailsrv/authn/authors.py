"""The Author Domains of a message: whose name its From field uses (RFC 9989 sections 4.2, 5.3.1 and 11.5).

A message of one author domain has one From field that is a list of mailboxes (RFC 5322 section 3.6.2), all of this
domain; groups may stand in it (RFC 6854). Everything else has a `fault`, and still gives the domains that a mail
program might show, so that a broken or a second From field is no way around a policy: in a field that cannot be read,
whatever stands behind an @ counts, as the most lenient reader would see it: encoded words decoded, what is not seen
left out, wide letters as plain ones. So does a field whose name is folded before its colon, which is none. U-labels
become A-labels (RFC 8616 section 6). Nothing is looked up.

Diagnostics: raises nothing; what is wrong is the value's `fault`.
"""

import binascii
import re
import unicodedata
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.address import MAX_DOMAIN, domain_to_ascii
from mailsrv.mail.header import Header, unfold
from mailsrv.mail.mailboxes import parse_mailboxes

MOST_AUTHORS = 3  # domains, and From fields, that are looked at
MOST_OCTETS = 16384  # of a From field that is read as a list of mailboxes
_MOST_REASON = 200  # characters

_COMMENT = re.compile(r"\([^()]*+\)")
# What a host name has, or what may look so; a bracket or a quotation mark before it hides nothing.
_BEHIND_AT = re.compile(r'@["\[]*+([^\x00-,/:-@\[-^`{-\x7f\s]++)')
# "From", line end, space, colon: no field (RFC 5322 section 2.2), but some readers take it for one.
_FOLDED_NAME = re.compile(rb"\nfrom[ \t]*+\r\n[ \t]++:([^\r]*+(?:\r\n[ \t][^\r]*+)*)")
_ENCODED_WORD = re.compile(r"=\?([^?\s]*+)\?([bq])\?([^?]*+)\?=", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"\?=\s++=\?")
_NOT_SEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\\\\]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
# Encodings in which the ASCII of a domain is not ASCII.
_WIDE = ("utf-7", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be")


@dataclass(frozen=True, slots=True)
class Authors:
    """The different domains in their order, lower-case A-labels. `fault` is "" when there is exactly one of them in
    exactly one sound field; `repeated`: there are several From fields; `too_many`: there are more domains or fields
    than are looked at, and `domains` is not all of them."""

    domains: tuple[str, ...]
    fault: str = ""
    repeated: bool = False
    too_many: bool = False


def find_authors(header: Header) -> Authors:
    """Read the From fields of a message."""
    values = header.values(b"from")
    fault = ""
    if _FOLDED_NAME.search(header.folded) is not None:
        fault = "the name of a From field is folded"
        # The octets are those of `folded`, one further to the left and with their case, which base64 needs.
        spans = (match.span(1) for match in _FOLDED_NAME.finditer(header.folded))
        values += [header.octets[start - 1 : end - 1] for start, end in spans]
    if not values:
        return Authors((), "there is no From field")
    found: dict[str, None] = {}
    for value in values[: MOST_AUTHORS + 1]:
        try:
            domains = _read(value)
        except GrammarError as error:
            fault = fault or f"the From field cannot be read: {str(error)[:_MOST_REASON]}"
            domains = _search(value)
        found.update(dict.fromkeys(domains))
    repeated = len(values) > 1
    too_many = len(values) > MOST_AUTHORS or len(found) > MOST_AUTHORS
    if repeated:
        fault = f"there are {len(values)} From fields"
    elif len(found) > 1 and not fault:
        fault = "the From field has authors of several domains"
    elif not found and not fault:
        fault = "the From field has no domain"
    return Authors(tuple(found)[:MOST_AUTHORS], fault, repeated, too_many)


def _read(value: bytes) -> list[str]:
    """The domains of a list of mailboxes; an address literal has none. Raises GrammarError."""
    if len(value) > MOST_OCTETS:
        raise GrammarError("it is too long")
    return [domain_to_ascii(_normalise(one.domain)) for one in parse_mailboxes(value) if not one.is_literal]


def _search(value: bytes) -> list[str]:
    """What looks like a domain in a field that cannot be read, at most one more than are looked at. White space and
    comments beside dots and @ are passed over, as a lenient reader would."""
    text = _BETWEEN_WORDS.sub("?==?", unfold(value).decode("utf-8", "replace"))
    text = _COMMENT.sub("", _normalise(_NOT_SEEN.sub("", _ENCODED_WORD.sub(_decode_word, text))))
    text = " ".join(text.split())
    for beside, bare in ((" @", "@"), ("@ ", "@"), (" .", "."), (". ", ".")):
        text = text.replace(beside, bare)
    found: dict[str, None] = {}
    for name in dict.fromkeys(match[1].strip(".") for match in _BEHIND_AT.finditer(text)):
        if len(name) > MAX_DOMAIN:  # the domains above it are what its policy comes from
            name = name[-MAX_DOMAIN:].replace("\u3002", ".").partition(".")[2]
        try:
            domain = domain_to_ascii(name)
        except GrammarError:  # what no domain can have is often not seen either
            domain = _NOT_ASCII.sub("", name).strip(".").lower()
        if domain:
            found[domain] = None
        if len(found) > MOST_AUTHORS:
            break
    return [*found]


def _normalise(text: str) -> str:
    """Letters of other widths as plain ones (RFC 5895 section 2), as programs do that show or open a domain."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _decode_word(match: re.Match[str]) -> str:
    """What an encoded word says (RFC 2047), as far as ASCII goes."""
    charset, encoding, text = match.groups()
    octets = text.encode("utf-8", "replace")
    if encoding in "bB":
        try:
            octets = binascii.a2b_base64(octets)
        except binascii.Error:
            return ""
    else:
        octets = binascii.a2b_qp(octets, header=True)
    charset = charset.partition("*")[0].lower()
    return octets.decode(charset if charset in _WIDE else "utf-8", "replace")
