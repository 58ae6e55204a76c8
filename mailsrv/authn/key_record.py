"""The record of a public key in the DNS, whole, and whether a signature may use it (RFC 6376 sections 3.6.1 and 6.1.2).

Several TXT records at one name: the RFC leaves it open. Here a text that is no key record does not count (wildcards
answer with anything), nor does the same record twice; of what is left there must be one, because nobody knows an order
among records and a result that changes from day to day helps nobody.

Diagnostics: `parse_key_record` raises GrammarError; `find_key`, `Keys.find` and `check_key` raise Unverified.
"""

from dataclasses import dataclass
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.system.dns_values import DnsFailure
from mailsrv.text.tags import parse_words
from mailsrv.authn.findings import Ask, Result
from mailsrv.authn.keys import LEAST_RSA_BITS, MOST_RSA_BITS, Algorithm, PublicKey, read_public_key, read_record_tags
from mailsrv.authn.keys import record_name
from mailsrv.authn.signature import Signature, Unverified

_HASH = "sha256"
_SERVICES = ("email", "*")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key record: the key, and h= (empty: every hash), s= and t=, in lower case."""

    public: PublicKey
    hashes: tuple[str, ...] = ()
    services: tuple[str, ...] = ("*",)
    flags: tuple[str, ...] = ()

    @property
    def testing(self) -> bool:
        """t=y: the domain only tries DKIM."""
        return "y" in self.flags


@lru_cache(maxsize=1024)
def parse_key_record(octets: bytes) -> KeyRecord:
    """Read a key record as the DNS gives it. Raises GrammarError."""
    tags = read_record_tags(octets)
    hashes = parse_words(tags["h"].lower()) if "h" in tags else ()
    return KeyRecord(
        read_public_key(tags),
        hashes,
        parse_words(tags.get("s", "*").lower()),
        parse_words(tags.get("t", "").lower()),
    )


def find_key(signature: Signature, ask: Ask) -> KeyRecord:
    """The key record that a signature names. Raises Unverified: a temporary error if the DNS does not answer."""
    try:
        records = ask(record_name(signature.selector, signature.domain), "TXT").records
    except DnsFailure as failure:
        raise Unverified(Result.TEMPERROR, f"no answer for the key: {failure}"[:200]) from None
    if not records:
        raise Unverified(Result.PERMERROR, "no key at the selector")
    found: set[KeyRecord] = set()
    complaint = ""
    for record in records:
        try:
            found.add(parse_key_record(record))
        except GrammarError as fault:
            complaint = complaint or f"the key record {fault}"
    if len(found) > 1:
        raise Unverified(Result.PERMERROR, f"{len(found)} different keys at the selector")
    if not found:
        raise Unverified(Result.PERMERROR, complaint)
    return found.pop()


class Keys:
    """The keys of one message: each is asked for once, whatever the answer was. Not for several threads."""

    __slots__ = ("_ask", "_found")

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._found: dict[tuple[str, str], KeyRecord | Unverified] = {}

    def find(self, signature: Signature) -> KeyRecord:
        """As `find_key`. Raises Unverified."""
        place = signature.selector, signature.domain
        if place not in self._found:
            try:
                self._found[place] = find_key(signature, self._ask)
            except Unverified as fault:
                self._found[place] = fault
        found = self._found[place]
        if isinstance(found, Unverified):
            raise Unverified(found.result, found.reason)
        return found


def check_key(signature: Signature, record: KeyRecord) -> None:
    """Whether this record lets this signature use its key. Raises Unverified."""
    if not any(service in record.services for service in _SERVICES):
        raise Unverified(Result.PERMERROR, "the key is not for mail (s=)")
    if record.hashes and _HASH not in record.hashes:
        raise Unverified(Result.PERMERROR, "the key is not for SHA-256 (h=)")
    if not record.public.octets:
        raise Unverified(Result.FAIL, "the key is revoked")
    if record.public.algorithm is not signature.algorithm:
        raise Unverified(Result.PERMERROR, f"the key is for {record.public.algorithm.value}")
    if "s" in record.flags and signature.identity_domain not in ("", signature.domain):
        raise Unverified(Result.PERMERROR, "i= is in a subdomain, and the key does not allow it (t=s)")
    if record.public.fault:
        raise Unverified(Result.PERMERROR, f"the key {record.public.fault}")
    bits = record.public.bits
    if record.public.algorithm is Algorithm.RSA and not LEAST_RSA_BITS <= bits <= MOST_RSA_BITS:
        raise Unverified(Result.POLICY, f"key of {bits} bits")
