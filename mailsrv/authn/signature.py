"""A DKIM-Signature, ARC-Message-Signature or ARC-Seal field as a value (RFC 6376 section 3.5, RFC 8617 section 4.1).

Everything that the field alone can say is checked here: its grammar, its required tags, its algorithm and forms, that
it signs From, that i= lies under d=, that it does not end before it begins. Nothing is looked up and nothing hashed.
Names are brought to A-labels (RFC 8616 section 5); what is hashed is the field as it stands.

rsa-sha1 is read and refused (RFC 8301 section 3.1); there is no other hash than SHA-256 here.

Diagnostics: `parse_signature` raises Unverified with the result, the reason, and the names as far as they were read.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mailsrv.errors import GrammarError, MailsrvError
from mailsrv.text.tags import RepeatedTag, parse_base64, parse_tags, parse_words
from mailsrv.mail.address import domain_to_ascii
from mailsrv.authn.canonical import Form, relax_value
from mailsrv.authn.findings import Result
from mailsrv.authn.keys import Algorithm

MOST_OCTETS = 65536  # of a field; h= with thousands of names fits
_HASH = "sha256"
_HASH_OCTETS = 32
_MOST_SIGNATURE = 2048  # octets of b=, twice what the longest key that is used makes
_MOST_NAME = 253  # octets of a name in the DNS
_MOST_IDENTITY = 1024  # characters of i=
_MOST_LENGTH_DIGITS = 76
_MOST_NAMES = 1000  # in h=
_NEVER = 10**12  # a longer time counts as infinite (section 3.5, t=)

_FORMS = {form.value: form for form in Form}
_ALGORITHMS = {algorithm.value: algorithm for algorithm in Algorithm}
# A selector may have underscores in the field; nothing but a question to the DNS is made of it.
_SELECTOR = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_FIELD_NAME = re.compile(r"[!-9<-~]++")
_DIGITS = re.compile("[0-9]++")
# Up to the value of b= in a field's value, and that value with all space around it (section 3.7); bh= is another tag.
_B = re.compile(rb"(?:\A|;)[ \t\r\n]*+b[ \t\r\n]*+=([^;]*+)")

_DKIM = b"dkim-signature"
_SEAL = b"arc-seal"
# What each kind of field must have, by its name.
_REQUIRED: dict[bytes, tuple[str, ...]] = {
    _DKIM: ("v", "a", "b", "bh", "d", "h", "s"),
    b"arc-message-signature": ("i", "a", "b", "bh", "d", "h", "s"),
    _SEAL: ("i", "a", "b", "cv", "d", "s"),
}


class Unverified(MailsrvError):
    """Why a signature does not pass: the result and, as text, the reason; with d= and s= as far as they are known."""

    def __init__(self, result: Result, reason: str, domain: str = "", selector: str = "") -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason
        self.domain = domain
        self.selector = selector


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, read. `field`: the name of its field in lower case. `emptied`: the whole field as it stands, less
    the value of b= and the last CRLF. `octets`: b=, decoded. `names`: h= in lower case, in order.

    `identity` is i= as given, without space ("@" and d= without one), `identity_domain` its domain in A-labels.
    `length`: l=. `signed_at`, `expires`: t= and x=, seconds since the epoch; None without one. `instance` and `chain`:
    i= and cv= of ARC. A seal has no names, no body hash and the relaxed form."""

    field: bytes
    emptied: bytes
    domain: str
    selector: str
    algorithm: Algorithm
    octets: bytes
    header_form: Form = Form.RELAXED
    body_form: Form = Form.RELAXED
    names: tuple[bytes, ...] = ()
    body_hash: bytes = b""
    length: int | None = None
    identity: str = ""
    identity_domain: str = ""
    signed_at: int | None = None
    expires: int | None = None
    instance: int = 0
    chain: str = ""

    @property
    def canonical(self) -> bytes:
        """What of the field itself is hashed behind the other fields (section 3.7): no CRLF ends it."""
        if self.header_form is Form.SIMPLE:
            return self.emptied
        return self.field + b":" + relax_value(self.emptied.partition(b":")[2])


class _Message(NamedTuple):
    """The tags of what signs a message."""

    header_form: Form
    body_form: Form
    names: tuple[bytes, ...]
    body_hash: bytes
    length: int | None
    expires: int | None


_NO_MESSAGE = _Message(Form.RELAXED, Form.RELAXED, (), b"", None, None)


def parse_signature(field: bytes) -> Signature:
    """Read a whole field as it stands: name, colon, value, CRLF (Header.raw_fields). Raises Unverified."""
    if len(field) > MOST_OCTETS:
        raise Unverified(Result.NEUTRAL, f"the field is longer than {MOST_OCTETS} octets")
    head, _, value = field.partition(b":")
    name = head.rstrip(b" \t").lower()
    tags = _read_tags(value)
    domain, selector = _read_names(tags)
    try:
        _check_required(name, tags)
        signed_at = _read_time(tags, "t")
        message = _NO_MESSAGE if name == _SEAL else _read_message(tags, signed_at)
        arc = name != _DKIM
        identity, identity_domain = ("", "") if arc else _read_identity(tags, domain)
        return Signature(
            field=name,
            emptied=head + b":" + _empty(value),
            domain=domain,
            selector=selector,
            algorithm=_read_algorithm(tags["a"].lower()),
            octets=_read_octets(tags, "b"),
            header_form=message.header_form,
            body_form=message.body_form,
            names=message.names,
            body_hash=message.body_hash,
            length=message.length,
            identity=identity,
            identity_domain=identity_domain,
            signed_at=signed_at,
            expires=message.expires,
            instance=_read_instance(tags["i"]) if arc else 0,
            chain=tags.get("cv", "").lower() if arc else "",
        )
    except Unverified as fault:
        raise Unverified(fault.result, fault.reason, domain, selector) from None


def _read_tags(value: bytes) -> dict[str, str]:
    try:
        return parse_tags(value)
    except RepeatedTag as fault:
        raise Unverified(Result.PERMERROR, f"the field {fault}") from None
    except GrammarError as fault:
        raise Unverified(Result.NEUTRAL, f"the field {fault}") from None


def _read_names(tags: dict[str, str]) -> tuple[str, str]:
    """d= and s= in A-labels; "" for one that is missing."""
    domain = _to_ascii(tags.get("d", ""), "d=")
    if domain and "." not in domain:
        raise Unverified(Result.NEUTRAL, "d= has one label only", domain)
    selector = tags.get("s", "").lower()
    if not selector.isascii():
        selector = _to_ascii(selector, "s=")
    elif len(selector) > _MOST_NAME or selector and not _SELECTOR.fullmatch(selector):
        raise Unverified(Result.NEUTRAL, "s= is not a selector", domain)
    return domain, selector


def _to_ascii(name: str, tag: str) -> str:
    try:
        return domain_to_ascii(name) if name else ""
    except GrammarError:
        raise Unverified(Result.NEUTRAL, f"{tag} is not the name of a domain") from None


def _check_required(name: bytes, tags: dict[str, str]) -> None:
    for tag in _REQUIRED[name]:
        if not tags.get(tag):
            raise Unverified(Result.PERMERROR, f"the field has no {tag}=")
    if name == _DKIM and tags["v"] != "1":
        raise Unverified(Result.PERMERROR, "v= is not 1")
    if name == _SEAL and "h" in tags:  # RFC 8617 section 4.1.3
        raise Unverified(Result.PERMERROR, "a seal has no h=")


def _empty(value: bytes) -> bytes:
    match = _B.search(value)
    if match is not None:
        value = value[: match.start(1)] + value[match.end(1) :]
    return value.removesuffix(b"\r\n")


def _read_algorithm(value: str) -> Algorithm:
    key, _, digest = value.partition("-")
    if digest == "sha1":
        raise Unverified(Result.PERMERROR, "a= is with SHA-1, which is not trusted any more")
    if digest != _HASH or key not in _ALGORITHMS:
        raise Unverified(Result.NEUTRAL, "a= is not known")
    return _ALGORITHMS[key]


def _read_octets(tags: dict[str, str], tag: str) -> bytes:
    try:
        octets = parse_base64(tags[tag])
    except GrammarError as fault:
        raise Unverified(Result.NEUTRAL, f"{tag}= {fault}") from None
    if len(octets) > _MOST_SIGNATURE:
        raise Unverified(Result.NEUTRAL, f"{tag}= has {len(octets)} octets")
    return octets


def _read_time(tags: dict[str, str], tag: str) -> int | None:
    value = tags.get(tag)
    if value is None:
        return None
    if not _DIGITS.fullmatch(value):
        raise Unverified(Result.NEUTRAL, f"{tag}= is not a time")
    return int(value) if len(value) <= 12 else _NEVER


def _read_message(tags: dict[str, str], signed_at: int | None) -> _Message:
    """The tags of what signs a message: c= h= bh= l= q= x=."""
    header_form, body_form = _read_forms(tags.get("c", "simple").lower())
    body_hash = _read_octets(tags, "bh")
    if len(body_hash) != _HASH_OCTETS:
        raise Unverified(Result.NEUTRAL, f"bh= has {len(body_hash)} octets")
    if "dns/txt" not in parse_words(tags.get("q", "dns/txt").lower()):
        raise Unverified(Result.NEUTRAL, "q= has no method that is known")
    expires = _read_time(tags, "x")
    if expires is not None and signed_at is not None and expires <= signed_at:
        raise Unverified(Result.NEUTRAL, "x= is not behind t=")
    return _Message(header_form, body_form, _read_field_names(tags["h"]), body_hash, _read_length(tags), expires)


def _read_forms(value: str) -> tuple[Form, Form]:
    header, slash, body = value.partition("/")
    if not slash:
        body = Form.SIMPLE.value
    if header not in _FORMS or body not in _FORMS:
        raise Unverified(Result.NEUTRAL, "c= is not known")
    return _FORMS[header], _FORMS[body]


@lru_cache(maxsize=64)  # a sender's mail has few lists
def _read_field_names(value: str) -> tuple[bytes, ...]:
    names = parse_words(value)
    if len(names) > _MOST_NAMES:
        raise Unverified(Result.NEUTRAL, f"h= has more than {_MOST_NAMES} names")
    if not all(map(_FIELD_NAME.fullmatch, names)):
        raise Unverified(Result.NEUTRAL, "h= is not a list of field names")
    lower = tuple(value.lower().encode() for value in names)
    if b"from" not in lower:
        raise Unverified(Result.PERMERROR, "h= does not have From")
    return lower


def _read_identity(tags: dict[str, str], domain: str) -> tuple[str, str]:
    """i= without space, and its domain in A-labels, which is or lies under d=, already in A-labels."""
    if "i" not in tags:
        return "@" + tags["d"], domain
    identity = "".join(tags["i"].split())
    if len(identity) > _MOST_IDENTITY or "@" not in identity:
        raise Unverified(Result.NEUTRAL, "i= is not an identity")
    own = _to_ascii(identity.rpartition("@")[2], "i=")
    if own != domain and not own.endswith("." + domain):
        raise Unverified(Result.PERMERROR, "i= is not under d=")
    return identity, own


def _read_length(tags: dict[str, str]) -> int | None:
    value = tags.get("l")
    if value is None:
        return None
    if len(value) > _MOST_LENGTH_DIGITS or not _DIGITS.fullmatch(value):
        raise Unverified(Result.NEUTRAL, "l= is not a length")
    return int(value)


def _read_instance(value: str) -> int:
    if len(value) > 2 or not _DIGITS.fullmatch(value) or not int(value):
        raise Unverified(Result.NEUTRAL, "i= is not an instance")
    return int(value)
