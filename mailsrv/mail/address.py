"""Mail addresses: the Mailbox of RFC 5321 section 4.1.2 with the UTF-8 of RFC 6531, and domains with IDNA.

An Address is a value: local part as written (quotes removed), domain as written. Two addresses are the same mailbox
here when their `key` is equal: local parts compare without case, domains as A-labels without case. Nothing is looked
up.

Diagnostics: `parse_address` and `domain_to_ascii` raise GrammarError with a sentence for the reply or the operator.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from mailsrv.errors import GrammarError

# Atom of RFC 5321 section 4.1.2 (atext of RFC 5322), with the UTF8-non-ascii of RFC 6531 section 3.3 but for the
# controls U+0080 to U+009F, which RFC 5198 keeps out of network text.
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-\xa0-\U0010ffff]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
# qtextSMTP and quoted-pairSMTP of RFC 5321 section 4.1.2.
_QUOTED = re.compile('"((?:[ !#-\\[\\]-~\xa0-\U0010ffff]|\\\\[ -~])*)"')
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
# Letters, marks and digits of other scripts; what RFC 5892 disallows beyond that never resolves, so the DNS decides.
_U_LABEL_CATEGORIES = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"})

MAX_LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1
MAX_DOMAIN = 255  # octets, section 4.5.3.1.2
MAX_LABEL = 63  # octets, RFC 1035 section 2.3.4
MAX_PATH = 254  # octets of a Mailbox: 256 of a path less its angle brackets, section 4.5.3.1.3


@dataclass(frozen=True, slots=True)
class Address:
    """One Mailbox. `local_part` is unquoted text; `domain` is a domain name or an address literal with its brackets."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{quote_local_part(self.local_part)}@{self.domain}"

    @property
    def key(self) -> str:
        """The text by which addresses are compared: case-folded local part, `@`, ASCII domain in lower case."""
        return f"{fold(self.local_part)}@{domain_key(self.domain)}"

    @property
    def is_ascii(self) -> bool:
        """True when the address can be sent without SMTPUTF8 (RFC 6531 section 3.2)."""
        return self.local_part.isascii() and self.domain.isascii()

    @property
    def is_literal(self) -> bool:
        """True when the domain is an address literal such as `[192.0.2.1]`."""
        return self.domain.startswith("[")


def fold(text: str) -> str:
    """Bring a local part to the form in which it is compared (no case, one normal form)."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def domain_key(domain: str) -> str:
    """The form in which domains are compared: lower-case A-labels. Never fails; what is no domain compares as
    itself.
    """
    if domain.isascii():
        return domain.lower()
    try:
        return domain_to_ascii(domain)
    except GrammarError:
        return domain.lower()


def domain_to_ascii(domain: str) -> str:
    """Turn U-labels into A-labels and everything into lower case (RFC 5891 section 4, without the contextual rules).

    The label rules of RFC 5892 that need tables are left to the DNS: a label that they forbid cannot be registered, so
    it is merely unknown. Raises GrammarError when a label is empty, too long, or holds what no host name can hold.
    """
    if domain.isascii():
        result = domain.lower()
    else:
        labels = []
        # RFC 3490 section 3.1 names these separators beside the full stop.
        for label in re.split("[.\u3002\uff0e\uff61]", unicodedata.normalize("NFC", domain.lower())):
            if label.isascii():
                labels.append(label)
            elif len(label) > MAX_LABEL:  # before punycode, whose time grows with the square of the length
                raise GrammarError(f"the label {label[:20]!r}... of a domain is longer than 63 octets")
            elif all(c.isascii() or unicodedata.category(c) in _U_LABEL_CATEGORIES for c in label):
                labels.append("xn--" + label.encode("punycode").decode("ascii"))
            else:
                raise GrammarError(f"the label {label!r} of a domain has a character that no domain name can have")
        result = ".".join(labels)
    if len(result) > MAX_DOMAIN:
        raise GrammarError("the domain is longer than 255 octets")
    for label in result.split("."):
        if len(label) > MAX_LABEL or not _LABEL.fullmatch(label):
            raise GrammarError(f"{label!r} is not a label of a domain name")
    return result


def check_literal(literal: str) -> None:
    """Check an address literal with its brackets (RFC 5321 section 4.1.3); raise GrammarError when it is none."""
    inner = literal[1:-1]
    try:
        if "%" in inner:  # a zone of RFC 4007, which ipaddress takes with any text behind it
            raise ValueError(inner)
        if inner[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ValueError:
        raise GrammarError(f"{literal} is not an address literal") from None


@lru_cache(maxsize=4096)
def quote_local_part(local_part: str) -> str:
    """Write a local part as Dot-string where possible, else as Quoted-string (RFC 5321 section 4.1.2)."""
    if _DOT_STRING.fullmatch(local_part):
        return local_part
    return '"' + re.sub(r'([\\"])', r"\\\1", local_part) + '"'


def split_local_part(text: str) -> tuple[str, int]:
    """Read a local part at the start of `text`; give it unquoted and the index behind it. Raises GrammarError."""
    if text[:1] == '"':
        match = _QUOTED.match(text)
        if match is None:
            raise GrammarError("the quoted local part does not end or has a character that must be escaped")
        return re.sub(r"\\(.)", r"\1", match[1]), match.end()
    match = _DOT_STRING.match(text)
    if match is None:
        raise GrammarError("the local part is empty or has a character that needs quotes")
    return match[0], match.end()


def parse_address(text: str) -> Address:
    """Read one Mailbox, whole (`local-part@domain`); raise GrammarError with the reason when it is none."""
    local_part, end = split_local_part(text)
    if text[end : end + 1] != "@":
        raise GrammarError("the address needs an @ between local part and domain")
    domain = text[end + 1 :]
    if domain[:1] == "[" and domain[-1:] == "]":
        check_literal(domain)
    else:
        domain_to_ascii(domain)
    # Before it is quoted, which is remembered: nobody shall make us remember long ones.
    if len(local_part) > MAX_LOCAL_PART or len(quote_local_part(local_part).encode()) > MAX_LOCAL_PART:
        raise GrammarError("the local part is longer than 64 octets")
    if len(text.encode()) > MAX_PATH:
        raise GrammarError("the address is longer than 254 octets")
    return Address(local_part, domain)
