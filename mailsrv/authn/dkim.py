"""DKIM signatures: which fields are signed, what is hashed, and the DKIM-Signature field (RFC 6376, 8301, 8463).

One message may get several signatures; its body is hashed once and its signed fields are brought to canonical form
once for all of them. Relaxed canonical forms, SHA-256, no l= (it would let anybody append), no x=, no i=. Names of
domains are A-labels whatever the header has (RFC 8616 section 5 allows both; every verifier knows these).

dkimpy does not sign here, though it verifies what is signed in the tests: its RSA is Python's integer arithmetic, some
ten times slower than OpenSSL's and not safe against timing, it wants the whole message in memory several times over,
splits the body into lines, and hashes it anew for each signature.

Diagnostics: `choose_fields` raises GrammarError for a name that no field can have; nothing else raises.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mailsrv.errors import GrammarError
from mailsrv.mail.header import Header
from mailsrv.authn.canonical import CanonicalBody, Form, relax_value
from mailsrv.authn.keys import PrivateKey

# Listed once more than they occur: a field that somebody adds in front breaks the signature (section 8.15).
OVERSIGNED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"in-reply-to",
    b"references",
    b"sender",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
)
# Listed as often as they occur: mailing lists and forwarders may rightly add a first one. One-click unsubscription
# is believed only when both of its fields are signed (RFC 8058 section 4).
SIGNED = (
    b"content-id",
    b"content-description",
    b"content-disposition",
    b"resent-date",
    b"resent-from",
    b"resent-to",
    b"resent-cc",
    b"resent-message-id",
    b"list-id",
    b"list-help",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-subscribe",
    b"list-post",
    b"list-owner",
    b"list-archive",
    b"autocrypt",
    b"feedback-id",
)

# Not worth signing: DKIM itself has its way for the first, the others change on the way (section 5.4.1).
_UNSIGNED = (b"dkim-signature", b"received", b"return-path")
_FIELD_NAME = re.compile(r"[!-9<-~]+")  # no colon, and no semicolon, which would end h=
_NAME = b"DKIM-Signature: "
_WIDTH = 76  # octets of a line; with CRLF 78 (RFC 5322 section 2.1.1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with where its public half stands: `domain` (A-labels, d=) and `selector` (s=)."""

    domain: str
    selector: str
    private: PrivateKey


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Which fields are signed, by name in lower case: those listed once more than they occur, and the others."""

    oversigned: tuple[bytes, ...] = OVERSIGNED
    signed: tuple[bytes, ...] = SIGNED


def choose_fields(more: Iterable[str]) -> FieldNames:
    """The usual fields and these, any case. Raises GrammarError for what cannot be signed."""
    names = []
    for name in more:
        octets = name.lower().encode("utf-8")
        if not _FIELD_NAME.fullmatch(name) or octets in _UNSIGNED:
            raise GrammarError(f"{name!r} is not the name of a header field that can be signed")
        if octets not in OVERSIGNED and octets not in SIGNED:
            names.append(octets)
    return FieldNames(signed=(*SIGNED, *dict.fromkeys(names)))


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """What of a header is signed: `names` as h= lists them, `octets` the fields in canonical form in that order."""

    names: tuple[bytes, ...]
    octets: bytes


def select_fields(header: Header, chosen: FieldNames) -> SignedHeader:
    """The fields to sign. Of several with one name the last comes first (section 5.4.2)."""
    found: dict[bytes, list[bytes]] = {}
    wanted = _wanted(chosen)
    for name, value in header.fields():
        if name in wanted:
            found.setdefault(name, []).append(value)
    names: list[bytes] = []
    lines: list[bytes] = []
    for name, extra in wanted.items():
        values = found.get(name, ())
        names += [name] * (len(values) + extra)
        lines += [b"%b:%b\r\n" % (name, relax_value(value)) for value in reversed(values)]
    return SignedHeader(tuple(names), b"".join(lines))


def hash_body(blocks: Iterable[bytes]) -> bytes:
    """The bh= of a body, for any number of signatures: its SHA-256 in relaxed form, in base64."""
    body = CanonicalBody(Form.RELAXED)
    for block in blocks:
        body.update(block)
    return base64.b64encode(body.digest())


def sign(header: SignedHeader, body_hash: bytes, keys: Sequence[SigningKey], now: float) -> bytes:
    """A DKIM-Signature field for each key, with their CRLFs. `body_hash` is from hash_body, `now` becomes t=."""
    return b"".join(_sign_with(key, header, body_hash, int(now)) for key in keys)


def _sign_with(key: SigningKey, header: SignedHeader, body_hash: bytes, now: int) -> bytes:
    tags = (
        f"v=1; a={key.private.algorithm.value}-sha256; c=relaxed/relaxed; d={key.domain}; s={key.selector}; t={now};"
    )
    value = b"%b\r\n %b\r\n bh=%b;\r\n b=" % (
        _fold(tags.encode("ascii").split(b" "), b" ", len(_NAME)),
        _fold_names(header.names),
        body_hash,
    )
    signature = base64.b64encode(compute_signature(key.private, header.octets, value))
    rows = b"\r\n ".join(signature[start : start + _WIDTH - 4] for start in range(0, len(signature), _WIDTH - 4))
    return _NAME + value + rows + b"\r\n"


def compute_signature(private: PrivateKey, fields: bytes, value: bytes) -> bytes:
    """The signature's octets: of `fields` (canonical, in the order of h=) and of the DKIM-Signature field itself, whose
    raw `value` ends behind `b=` (section 3.7).
    """
    digest = hashlib.sha256(fields)
    digest.update(b"dkim-signature:" + relax_value(value))
    return private.sign(digest.digest())


@lru_cache(maxsize=64)
def _wanted(chosen: FieldNames) -> dict[bytes, int]:
    """Names in the order of h=, each with how often it is listed beyond its fields."""
    return {**dict.fromkeys(chosen.signed, 0), **dict.fromkeys(chosen.oversigned, 1)}


@lru_cache(maxsize=256)
def _fold_names(names: tuple[bytes, ...]) -> bytes:
    """The h= tag; most messages have one of few lists."""
    pieces = [*(name + b":" for name in names[:-1]), names[-1] + b";"]
    return _fold([b"h=" + pieces[0], *pieces[1:]], b"", 1)


def _fold(pieces: Sequence[bytes], glue: bytes, start: int) -> bytes:
    """Pieces with `glue` between them, on lines of _WIDTH octets where they can be; `start` octets stand before."""
    folded = [pieces[0]]
    column = start + len(pieces[0])
    for piece in pieces[1:]:
        if column + len(glue) + len(piece) <= _WIDTH:
            folded += [glue, piece]
            column += len(glue) + len(piece)
        else:
            folded += [b"\r\n ", piece]
            column = 1 + len(piece)
    return b"".join(folded)
