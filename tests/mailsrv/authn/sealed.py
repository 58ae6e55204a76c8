"""Messages with ARC chains for the tests: sealed by dkimpy, or by hand where a sealer would have to be wrong.

dkimpy takes what it seals from Authentication-Results through `authres`, a package that is not installed here: the few
lines that it needs of it stand below.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from types import SimpleNamespace

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailsrv.authn.canonical import CanonicalBody, Form, relax_value
from mailsrv.authn.keys import Algorithm, PrivateKey, PublicKey, make_private_key
from mailsrv.mail.header import scan

NOW = 1_700_000_000

MESSAGE = b"""\
From: Ada <ada@author.example>
To: list@lists.example
Subject: [list] A message with a footer
Date: Tue, 14 Nov 2023 22:13:20 +0000
Message-ID: <1@author.example>
MIME-Version: 1.0
Content-Type: text/plain

A line  with two spaces.
Another one.

--
the list
""".replace(b"\n", b"\r\n")


class _Results:
    """authres.AuthenticationResultsHeader as dkimpy uses it."""

    @staticmethod
    def parse(text):
        authserv_id, *parts = (part.strip() for part in text.partition(":")[2].split(";"))
        return SimpleNamespace(authserv_id=authserv_id, results=[_Finding(part) for part in parts])


class _Finding:
    def __init__(self, text):
        self.text = text
        self.method, _, rest = text.partition("=")
        self.result = rest.split()[0]

    def __str__(self):
        return self.text


_AUTHRES = SimpleNamespace(
    AuthenticationResultsHeader=_Results,
    core=SimpleNamespace(SyntaxError=ValueError),
    AuthresNotFoundError=RuntimeError,
)


@dataclass(frozen=True)
class Sealer:
    """Who seals: domain, selector, key."""

    domain: str
    selector: str
    key: PrivateKey

    @property
    def record(self) -> str:
        """A line for a zone text."""
        return f"{self.selector}._domainkey.{self.domain} TXT {self.key.public.record}\n"


# One for all: making them costs more than everything else here.
_RSA = PrivateKey(rsa.generate_private_key(public_exponent=65537, key_size=1024))
SEALERS = [
    Sealer(domain, selector, _RSA)
    for domain, selector in (("lists.example", "one"), ("gateway.example", "two"), ("relay.example", "three"))
]
ED25519 = Sealer("modern.example", "e", make_private_key(Algorithm.ED25519))
ZONE = "".join(sealer.record for sealer in (*SEALERS, ED25519))


def seal_by_dkimpy(message: bytes, sealer: Sealer, cv: str) -> bytes:
    """`message` with the ARC Set that dkimpy makes for it. `cv`: what was found of the chain on it, "" without one."""
    found = f"; arc={cv}" if cv else ""
    results = f"Authentication-Results: {sealer.domain}; spf=pass smtp.mailfrom=author.example{found}\r\n"
    message = results.encode() + message
    pem = sealer.key._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    dkim.authres = _AUTHRES
    try:
        fields = dkim.arc_sign(
            message, sealer.selector.encode(), sealer.domain.encode(), pem, sealer.domain.encode(), timestamp=NOW
        )
    finally:
        del dkim.authres
    assert len(fields) == 3
    return b"".join(fields) + message


def make_chain(count: int) -> bytes:
    """A message sealed `count` times by dkimpy, each time with a trace field in between."""
    message = MESSAGE
    for number in range(count):
        message = seal_by_dkimpy(message, SEALERS[number % len(SEALERS)], "pass" if number else "")
        message = b"Received: by hop%d.example; Tue, 14 Nov 2023 22:13:20 +0000\r\n" % number + message
    return message


def judge_by_dkimpy(message: bytes, records: dict[str, str]) -> str:
    """What dkimpy says of a chain: none, pass or fail; an exception of whatever kind is a fail."""

    def find(name, timeout=5):
        record = records.get(name.decode("ascii", "replace").rstrip(".").lower())
        return record and record.encode()

    try:
        result = dkim.arc_verify(message, dnsfunc=find)[0]
    except Exception:
        return "fail"
    return "fail" if result is None else result.decode()


def read_records(zone: str = ZONE) -> dict[str, str]:
    """The TXT records of a zone text by name, for dkimpy."""
    return {line.split(" ", 2)[0]: line.split(" ", 2)[2] for line in zone.splitlines() if " TXT " in line}


@dataclass(frozen=True)
class Plan:
    """How to seal by hand; tags as text "k=v; k=v" which come in front of b=."""

    more: str = ""  # tags of the AMS
    seal_more: str = ""  # tags of the AS
    cv: str = ""  # "" as the place demands
    canonical: str = "relaxed/relaxed"
    fields: tuple[str, ...] = ("from", "to", "subject", "date")
    authres: str = "spf=pass"
    body: bytes | None = None  # what bh= is made of, in canonical form
    hash_name: str = "sha256"


def seal_by_hand(message: bytes, sealer: Sealer, plan: Plan = Plan()) -> bytes:
    """`message` with another ARC Set; nothing keeps it from being wrong."""
    header = scan(message, True)
    assert header is not None
    instance = header.count(b"arc-seal") + 1
    cv = plan.cv or ("pass" if instance > 1 else "none")
    algorithm = f"{sealer.key.algorithm.value}-{plan.hash_name}"
    where = f"d={sealer.domain}; s={sealer.selector}; t={NOW}"
    authres = f"ARC-Authentication-Results: i={instance}; {sealer.domain}; {plan.authres}\r\n".encode()
    body = CanonicalBody(Form.RELAXED)
    body.update(message[header.length :])
    digest = body.digest() if plan.body is None else hashlib.new(plan.hash_name, plan.body).digest()
    unsigned = (
        f"ARC-Message-Signature: i={instance}; a={algorithm}; c={plan.canonical}; {where}; "
        f"h={':'.join(plan.fields)}; bh={base64.b64encode(digest).decode()}; {plan.more}b="
    ).encode()
    simple = plan.canonical.startswith("simple")
    header = scan(authres + message, True)
    hashed = _select(header, plan.fields, simple) + (unsigned if simple else relax(unsigned + b"\r\n")[:-2])
    signature = unsigned + _sign(sealer, hashed) + b"\r\n"
    unsigned = f"ARC-Seal: i={instance}; cv={cv}; a={algorithm}; {where}; {plan.seal_more}b=".encode()
    earlier = b"".join(
        relax(octets)
        for number in range(1, instance)
        for name in (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
        for octets in find_fields(message, name, number)
    )
    hashed = earlier + relax(authres) + relax(signature) + relax(unsigned + b"\r\n")[:-2]
    return unsigned + _sign(sealer, hashed) + b"\r\n" + signature + authres + message


def find_fields(message: bytes, name: bytes, instance: int) -> list[bytes]:
    """The fields of one name and instance, all their octets."""
    header = scan(message, True)
    assert header is not None
    return [
        octets
        for found, octets in header.raw_fields()
        if found == name and re.search(rb"[:; ]i=%d;" % instance, octets)
    ]


def relax(octets: bytes) -> bytes:
    """A field in relaxed form."""
    name, _, value = octets.partition(b":")
    return name.strip().lower() + b":" + relax_value(value) + b"\r\n"


def _select(header, names, simple):
    left = {}
    for name, octets in header.raw_fields():
        left.setdefault(name, []).append(octets)
    chosen = [left[name.encode()].pop() for name in names if left.get(name.encode())]
    return b"".join(octets if simple else relax(octets) for octets in chosen)


def _sign(sealer, octets):
    return base64.b64encode(sealer.key.sign(hashlib.sha256(octets).digest()))


def weak_record(bits: int) -> str:
    """The key record of an odd number of this size; nobody knows its factors, and nobody needs them."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << bits - 1) | (1 << bits - 3) | 1)
    der = numbers.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return PublicKey(Algorithm.RSA, der).record
