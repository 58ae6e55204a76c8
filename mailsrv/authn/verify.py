"""Verifies the DKIM signatures of a message (RFC 6376 section 6, RFC 8301, RFC 8463, RFC 8616).

The body is read once, whatever number of signatures there is, and hashed once for each form that they ask for; keys
are asked for only where the body's hash is right. Results are those of RFC 8601 section 2.7.1: `pass`; `fail`, the
signature or the body is another one, or the key is revoked; `policy`, it verifies but is not trusted; `neutral`, the
field cannot be understood; `permerror`, it can, and never verifies; `temperror`, the DNS did not answer.

What verifies is not trusted when it is expired or from the future, when l= leaves out the end of the body (section
8.2), or when it covers some and not all fields of a name that a message has once (section 8.15): a reader may see what
nobody signed. Keys under 1024 or over 8192 bits are not even tried.

dkimpy does not verify here, though what it signs is verified in the tests and the other way round: its RSA is Python's
integer arithmetic, it wants the whole message in memory several times over, splits the body into lines, and hashes it
anew for each signature.

Diagnostics: `verify_signatures` raises nothing; the steps that begin with `check_` raise Unverified.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mailsrv.mail.header import Header
from mailsrv.authn.canonical import CanonicalBody, Form
from mailsrv.authn.findings import Ask, DkimFinding, Result
from mailsrv.authn.key_record import KeyRecord, Keys, check_key
from mailsrv.authn.selection import FieldTable
from mailsrv.authn.signature import Signature, Unverified, parse_signature

MOST = 10  # signatures of a message that are looked at
SKEW = 300  # seconds by which another clock may be wrong
_FIELD = b"dkim-signature"
# How many characters of b= may tell signatures apart: the first that suffices (RFC 6008 section 4).
_PREFIXES = (8, 16, 32, 64)

Body = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A message as its signatures see it: its fields, and its body in each form that one of them asks for."""

    table: FieldTable
    bodies: dict[Form, CanonicalBody]


def verify_signatures(header: Header, body: Body, ask: Ask, now: float, most: int = MOST) -> tuple[DkimFinding, ...]:
    """A finding for each signature from the top, and one more for all beyond `most`. `body` gives the octets behind the
    header's empty line in blocks and is called once at most; `now` is in seconds since the epoch.
    """
    if not header.has(_FIELD):
        return ()
    table = FieldTable(header)
    fields = table.named(_FIELD)
    read = [_read(field) for field in fields[:most]]
    signatures = [entry for entry in read if isinstance(entry, Signature)]
    evidence = Evidence(table, hash_bodies(signatures, body))
    width = _choose_width(signatures)
    keys = Keys(ask)
    findings = []
    for number, entry in enumerate(read):
        if isinstance(entry, Signature):
            entry = _verify(entry, number, evidence, keys, now, width)
        findings.append(entry)
    if len(fields) > most:
        more = f"{len(fields) - most} more signatures were not looked at"
        findings.append(DkimFinding(Result.NEUTRAL, "", "", reason=more))
    return tuple(findings)


def hash_bodies(signatures: Sequence[Signature], body: Body) -> dict[Form, CanonicalBody]:
    """The body in every form and length that these signatures ask for; it is read once, or never for no signature."""
    lengths: dict[Form, set[int]] = {}
    for signature in signatures:
        wanted = lengths.setdefault(signature.body_form, set())
        if signature.length is not None:
            wanted.add(signature.length)
    bodies = {form: CanonicalBody(form, wanted) for form, wanted in lengths.items()}
    if bodies:
        takers = [canonical.update for canonical in bodies.values()]
        for block in body():
            for take in takers:
                take(block)
    return bodies


def check_body(signature: Signature, evidence: Evidence) -> None:
    """Compare bh= with the body. Raises Unverified."""
    body = evidence.bodies[signature.body_form]
    if signature.length is not None and signature.length > body.size:
        raise Unverified(Result.PERMERROR, f"l={signature.length} is more than the body has")
    if body.digest(signature.length) != signature.body_hash:
        raise Unverified(Result.FAIL, "the body is not the one that was signed")


def check_digest(signature: Signature, digest: bytes, record: KeyRecord) -> None:
    """Verify b= for a SHA-256 digest with this key, if it may be used. Raises Unverified."""
    check_key(signature, record)
    if not record.public.verify(digest, signature.octets):
        raise Unverified(Result.FAIL, "the signature does not verify")


def find_distrust(signature: Signature, evidence: Evidence, now: float) -> str:
    """Why a signature that verifies is not trusted, "" if it is."""
    if signature.expires is not None and signature.expires < now - SKEW:
        return "the signature has expired"
    if signature.signed_at is not None and signature.signed_at > now + SKEW:
        return "the signature is from the future"
    size = evidence.bodies[signature.body_form].size
    if signature.length is not None and signature.length < size:
        return f"l= covers {signature.length} of {size} octets of the body"
    return evidence.table.find_half_signed(signature)


def _read(field: bytes) -> Signature | DkimFinding:
    try:
        return parse_signature(field)
    except Unverified as fault:
        return DkimFinding(fault.result, fault.domain, fault.selector, reason=fault.reason)


def _verify(signature: Signature, number: int, evidence: Evidence, keys: Keys, now: float, width: int) -> DkimFinding:
    record = None
    try:
        check_body(signature, evidence)
        record = keys.find(signature)
        check_digest(signature, evidence.table.digest(signature, number), record)
        reason = find_distrust(signature, evidence, now)
        result = Result.POLICY if reason else Result.PASS
    except Unverified as fault:
        result, reason = fault.result, fault.reason
    return DkimFinding(
        result,
        signature.domain,
        signature.selector,
        signature.identity,
        f"{signature.algorithm.value}-sha256",
        record.public.bits if record else 0,
        _encode(signature)[:width],
        testing=record.testing if record else False,
        reason=reason,
    )


def _encode(signature: Signature) -> str:
    return base64.b64encode(signature.octets[: max(_PREFIXES)]).decode("ascii")


def _choose_width(signatures: Sequence[Signature]) -> int:
    """How many characters of b= tell these signatures apart, as far as they can be told."""
    for width in _PREFIXES:
        if len({_encode(signature)[:width] for signature in signatures}) == len(signatures):
            return width
    return _PREFIXES[0]
