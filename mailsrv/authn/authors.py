"""The Author Domains of a message: whose name its From field uses (RFC 9989 sections 4.2, 5.3.1 and 11.5).

A message of one author domain has one From field that is a list of mailboxes (RFC 5322 section 3.6.2), all of this
domain; groups may stand in it (RFC 6854). Everything else has a `fault`, and still gives the domains that a mail
program might show, so that a broken or a second From field is no way around a policy: in a field that cannot be read,
whatever stands behind an @ counts. U-labels become A-labels (RFC 8616 section 6). Nothing is looked up.

Diagnostics: raises nothing; what is wrong is the value's `fault`.
"""

import re
from dataclasses import dataclass

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_to_ascii
from mailsrv.mail.header import Header, unfold
from mailsrv.mail.mailboxes import parse_mailboxes

MOST_AUTHORS = 3  # domains, and From fields, that are looked at
MOST_OCTETS = 16384  # of a From field that is read as a list of mailboxes

_COMMENT = re.compile(r"\([^()]*+\)")
_BEHIND_AT = re.compile(r'@([^\s@<>()\[\],;:"\\]++)')


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
    if not values:
        return Authors((), "there is no From field")
    fault = ""
    found: dict[str, None] = {}
    for value in values[: MOST_AUTHORS + 1]:
        try:
            domains = _read(value)
        except GrammarError as error:
            fault = fault or f"the From field cannot be read: {error}"
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
    return [domain_to_ascii(address.domain) for address in parse_mailboxes(value) if not address.is_literal]


def _search(value: bytes) -> list[str]:
    """What looks like a domain in a field that cannot be read, at most one more than are looked at. White space and
    comments beside dots and @ are passed over, as a lenient reader would."""
    text = _COMMENT.sub("", unfold(value).decode("utf-8", "replace"))
    text = " ".join(text.split())
    for beside, bare in ((" @", "@"), ("@ ", "@"), (" .", "."), (". ", ".")):
        text = text.replace(beside, bare)
    found: dict[str, None] = {}
    for name in dict.fromkeys(match[1].strip(".") for match in _BEHIND_AT.finditer(text)):
        try:
            domain = domain_to_ascii(name)
        except GrammarError:
            domain = name.lower() if name.isascii() else ""
        if domain:
            found[domain] = None
        if len(found) > MOST_AUTHORS:
            break
    return [*found]
