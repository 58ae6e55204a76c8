"""Validates the chain of ARC Sets on a message (RFC 8617 section 5.2): who vouches for it, and what they found.

The steps are those of the RFC, and the first that fails ends the work: the structure of the chain, the newest
ARC-Message-Signature, then every ARC-Seal from the newest to the oldest. Older message signatures are not looked at:
lists change messages, and nothing here decides by the oldest one that still verifies (step 5 is optional). Keys are
asked for once for each selector and domain, and not before everything that needs no answer is right, so that a chain
made up to cause lookups causes one. What DKIM does not trust is not trusted here: short keys, SHA-1, a signature from
the future or expired, and l= whatever it covers.

The RFC knows no passing failure (section 5.2.1): whoever seals a message after the DNS failed says cv=fail. The finding
says temperror all the same, with the reason, so that the two can be told apart in a log. Only a pass vouches.

dkimpy does not validate here, though it makes and judges the chains of the tests: it wants the whole message in memory
several times over, hashes the body anew for every set, has its RSA in Python's integer arithmetic, asks for a key
twice in each set whatever became of the others, knows no Ed25519 in ARC, and raises IndexError and the like on input
that is only badly formed.

Diagnostics: raises nothing but what reading the body raises.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from mailsrv.errors import GrammarError
from mailsrv.mail.header import Header
from mailsrv.authn.arc_sets import AUTHRES, MESSAGE_SIGNATURE, SEAL, ArcField, ArcSet, collect_sets
from mailsrv.authn.canonical import relax_field
from mailsrv.authn.findings import ArcFinding, Ask, Result
from mailsrv.authn.key_record import KeyRecord, find_key
from mailsrv.authn.selection import FieldTable
from mailsrv.authn.signature import Signature, Unverified, parse_signature
from mailsrv.authn.verify import SKEW, Evidence, check_body, check_digest, find_distrust, hash_bodies

Body = Callable[[], Iterable[bytes]]


def validate_chain(header: Header, body: Body, ask: Ask, now: float) -> ArcFinding:
    """The finding about a message's chain: NONE, PASS, FAIL, or TEMPERROR when the DNS did not answer for a key.

    `body` gives the octets behind the header's empty line in blocks and is called once at most; `now` is in seconds
    since the epoch. The sealers and what they found are to be believed after a PASS only.
    """
    try:
        sets = collect_sets(header)
    except GrammarError as fault:
        return ArcFinding(Result.FAIL, reason=str(fault))
    if not sets:
        return ArcFinding(Result.NONE)
    sealers: tuple[str, ...] = ()
    try:
        seals = [_read_seal(each, now) for each in sets]
        sealers = tuple(seal.domain for seal in reversed(seals))
        keys = _Keys(ask)
        with _telling("ARC-Message-Signature", sets[-1].instance):
            _check_message(sets[-1].message_signature, (header, body), keys, now)
        digests = _digest_seals(seals, sets)
        for seal, digest in zip(reversed(seals), reversed(digests), strict=True):
            with _telling("ARC-Seal", seal.instance):
                check_digest(seal, digest, keys.find(seal))
        result, reason = Result.PASS, ""
    except Unverified as fault:
        result = Result.TEMPERROR if fault.result is Result.TEMPERROR else Result.FAIL
        reason = fault.reason
    return ArcFinding(result, sealers, len(sets), sets[-1].payload, reason)


class _Keys:
    """The keys of one message, each asked for once; the first that is not to be had ends the work."""

    __slots__ = ("_ask", "_found")

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._found: dict[tuple[str, str], KeyRecord] = {}

    def find(self, signature: Signature) -> KeyRecord:
        """The record that a signature names. Raises Unverified."""
        place = signature.selector, signature.domain
        if place not in self._found:
            self._found[place] = find_key(signature, self._ask)
        return self._found[place]


@contextmanager
def _telling(word: str, instance: int) -> Iterator[None]:
    """Say in the reason of a fault which field it is about."""
    try:
        yield
    except Unverified as fault:
        raise Unverified(fault.result, f"{word} of i={instance}: {fault.reason}") from None


def _read_seal(each: ArcSet, now: float) -> Signature:
    """The seal of a set, as far as it can be judged by itself. Raises Unverified."""
    with _telling("ARC-Seal", each.instance):
        seal = parse_signature(each.seal.octets)
        if seal.signed_at is not None and seal.signed_at > now + SKEW:
            raise Unverified(Result.POLICY, "the signature is from the future")
    return seal


def _check_message(field: ArcField, message: tuple[Header, Body], keys: _Keys, now: float) -> None:
    """Step 4: the message as it came is the one that the last sealer let go. Raises Unverified."""
    header, body = message
    signature = parse_signature(field.octets)
    if signature.length is not None:
        raise Unverified(Result.POLICY, "l= lets anybody append to the body")
    if SEAL in signature.names:  # the other names of ARC are against section 4.1.2 as well, but sealers use them
        raise Unverified(Result.PERMERROR, "h= has ARC-Seal")
    table = FieldTable(header)
    evidence = Evidence(table, hash_bodies([signature], body))
    check_body(signature, evidence)
    distrust = find_distrust(signature, evidence, now)
    if distrust:
        raise Unverified(Result.POLICY, distrust)
    number = table.named(MESSAGE_SIGNATURE).index(field.octets)
    check_digest(signature, table.digest(signature, number), keys.find(signature))


def _digest_seals(seals: Sequence[Signature], sets: Sequence[ArcSet]) -> list[bytes]:
    """What the b= of each seal signs (section 5.1.1): all sets before it, its own two other fields, and itself.

    Each field is hashed once for all seals: fifty times the same megabyte would be the sender's choice.
    """
    hashed = hashlib.sha256()
    digests = []
    for seal, each in zip(seals, sets, strict=True):
        hashed.update(relax_field(AUTHRES, each.authres.octets))
        hashed.update(relax_field(MESSAGE_SIGNATURE, each.message_signature.octets))
        so_far = hashed.copy()
        so_far.update(seal.canonical)
        digests.append(so_far.digest())
        hashed.update(relax_field(SEAL, each.seal.octets))
    return digests
