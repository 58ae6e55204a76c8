"""The ARC Sets of a message: which fields belong together, and whether they form a chain (RFC 8617 sections 4.2, 5.2).

Only what the fields say of themselves is looked at: their instance, how often each of them is there, and cv=. Nothing
is verified, nobody is asked. What is no chain is a fault, whatever else could be made of it: a field without an
instance is not passed over, so that nobody can hide one beside a chain.

Diagnostics: `collect_sets` raises GrammarError with what is wrong with the chain, in printable ASCII.
"""

import re
from dataclasses import dataclass, field

from mailsrv.errors import GrammarError
from mailsrv.text.tags import parse_tags
from mailsrv.mail.header import Header
from mailsrv.authn.canonical import relax_value

MOST = 50  # sets of one message, section 4.2.1
AUTHRES = b"arc-authentication-results"
MESSAGE_SIGNATURE = b"arc-message-signature"
SEAL = b"arc-seal"

_MOST_PAYLOAD = 8192  # characters that a finding keeps of what a sealer found

_WORDS = {
    AUTHRES: "ARC-Authentication-Results",
    MESSAGE_SIGNATURE: "ARC-Message-Signature",
    SEAL: "ARC-Seal",
}
# Space and comments, which may hold one another's parentheses only escaped: more than any sealer writes.
_CFWS = rb"(?:[ \t\r\n]++|\((?:[^()\\]++|\\.)*\))*"
# What an ARC-Authentication-Results field begins with, section 4.1.1.
_INSTANCE = re.compile(rb"%bi%b=%b([0-9]{1,2})%b;" % (_CFWS, _CFWS, _CFWS, _CFWS), re.DOTALL)
_POSITION = re.compile(r"[0-9]{1,2}", re.ASCII)
_UNPRINTABLE = re.compile(rb"[^ -~]")


@dataclass(frozen=True, slots=True)
class ArcField:
    """One field of a set: `octets` as they stand, name and last CRLF included; `tags` of a signature or a seal."""

    octets: bytes
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def chain(self) -> str:
        """cv= of a seal, in lower case."""
        return self.tags.get("cv", "").lower()

    @property
    def value(self) -> bytes:
        """All behind the colon, raw, without the last CRLF."""
        return self.octets[self.octets.index(b":") + 1 : -2]


@dataclass(frozen=True, slots=True)
class ArcSet:
    """One ARC Set of a chain that is whole."""

    instance: int
    authres: ArcField
    message_signature: ArcField
    seal: ArcField

    @property
    def payload(self) -> str:
        """What the sealer found (authres-payload), on one line with single spaces, its first _MOST_PAYLOAD characters;
        whatever is not printable ASCII is a question mark."""
        value = self.authres.value
        match = _INSTANCE.match(value)
        octets = relax_value(value[match.end() :] if match else b"")[:_MOST_PAYLOAD]
        return _UNPRINTABLE.sub(b"?", octets).decode("ascii")


def collect_sets(header: Header) -> tuple[ArcSet, ...]:
    """The sets of a message, instance 1 first; none without any ARC field (steps 1 to 3). Raises GrammarError."""
    if not any(header.has(name) for name in _WORDS):
        return ()
    for name, word in _WORDS.items():
        if header.count(name) > MOST:
            raise GrammarError(f"more than {MOST} {word} fields")
    found: dict[bytes, dict[int, ArcField]] = {name: {} for name in _WORDS}
    for name, octets in header.raw_fields():
        if name not in found:
            continue
        instance, part = _read_field(name, octets)
        if instance in found[name]:
            raise GrammarError(f"two {_WORDS[name]} fields with i={instance}")
        found[name][instance] = part
    last = max(instance for fields in found.values() for instance in fields)
    seal = found[SEAL].get(last)
    if seal is not None and seal.chain == "fail":
        raise GrammarError(f"the ARC-Seal of i={last} says cv=fail")
    _check_whole(found, last)
    return tuple(
        ArcSet(number, found[AUTHRES][number], found[MESSAGE_SIGNATURE][number], found[SEAL][number])
        for number in range(1, last + 1)
    )


def _check_whole(found: dict[bytes, dict[int, ArcField]], last: int) -> None:
    """Step 3 up to `last`: every field there once, and each seal saying what its place demands."""
    for number in range(1, last + 1):
        for name, word in _WORDS.items():
            if number not in found[name]:
                raise GrammarError(f"no {word} field with i={number}")
        wanted = "pass" if number > 1 else "none"
        if found[SEAL][number].chain != wanted:
            raise GrammarError(f"the ARC-Seal of i={number} does not say cv={wanted}")


def _read_field(name: bytes, octets: bytes) -> tuple[int, ArcField]:
    """A field with its instance. Raises GrammarError."""
    part = ArcField(octets)
    if name == AUTHRES:
        match = _INSTANCE.match(part.value)
        position = match[1].decode("ascii") if match else ""
    else:
        try:
            part = ArcField(octets, parse_tags(part.value))
        except GrammarError as error:
            raise GrammarError(f"an {_WORDS[name]} field {error}") from None
        position = part.tags.get("i", "")
    if not _POSITION.fullmatch(position) or not 1 <= int(position) <= MOST:
        raise GrammarError(f"an {_WORDS[name]} field without i= from 1 to {MOST}")
    return int(position), part
