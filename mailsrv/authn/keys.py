"""DKIM keys: making, reading and using private ones, and the DNS records of public ones (RFC 6376 section 3.6, 8463).

The door to `cryptography` for signing: the arithmetic is OpenSSL's, never Python's. Nothing here touches a file or the
DNS. RSA keys have 2048 bits when made here; shorter than 1024 bits none is used (RFC 8301 section 3.2).

Diagnostics: `parse_private_key` and `parse_record` raise GrammarError with what is wrong with the text.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from mailsrv.errors import GrammarError

RSA_BITS = 2048
LEAST_RSA_BITS = 1024
STRING_OCTETS = 255  # of one character-string of a TXT record, RFC 1035 section 3.3

_TAG = re.compile(r"[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=([^;]*)")
_SPACE = re.compile(r"[ \t\r\n]+")
_PREHASHED = Prehashed(hashes.SHA256())
_PKCS1 = padding.PKCS1v15()


class Algorithm(Enum):
    """A key type, by the word that k= and a= have for it."""

    ED25519 = "ed25519"
    RSA = "rsa"


# The last letter of the selectors made here: two keys cannot share one (RFC 8463 section 6).
LETTERS = {Algorithm.ED25519: "e", Algorithm.RSA: "r"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What p= holds, decoded: 32 octets of Ed25519, or an RSA SubjectPublicKeyInfo (DER). No octets: revoked."""

    algorithm: Algorithm
    octets: bytes

    @property
    def record(self) -> str:
        """The text of its TXT record."""
        return f"v=DKIM1; k={self.algorithm.value}; p={base64.b64encode(self.octets).decode()}"


class PrivateKey:
    """A private key. Threads may share it."""

    __slots__ = ("_sign", "_key", "algorithm", "public")

    def __init__(self, key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> None:
        self._key = key
        self._sign: Callable[[bytes], bytes]
        public = key.public_key()
        if isinstance(key, ed25519.Ed25519PrivateKey):
            self.algorithm = Algorithm.ED25519
            self._sign = key.sign
            octets = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        else:
            self.algorithm = Algorithm.RSA
            self._sign = lambda digest: key.sign(digest, _PKCS1, _PREHASHED)
            octets = public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        self.public = PublicKey(self.algorithm, octets)

    def sign(self, digest: bytes) -> bytes:
        """The signature of a SHA-256 digest (32 octets): RSASSA-PKCS1-v1_5 of RFC 6376 section 3.3.2, or PureEdDSA
        with the digest as its message (RFC 8463 section 3).
        """
        return self._sign(digest)

    @property
    def pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


_MAKERS: dict[Algorithm, Callable[[], PrivateKey]] = {
    Algorithm.ED25519: lambda: PrivateKey(ed25519.Ed25519PrivateKey.generate()),
    Algorithm.RSA: lambda: PrivateKey(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)),
}


def make_private_key(algorithm: Algorithm) -> PrivateKey:
    """A new key; an RSA key takes some tenths of a second."""
    return _MAKERS[algorithm]()


def parse_private_key(pem: bytes) -> PrivateKey:
    """Read a key from PEM (PKCS #8 or the older forms of RSA keys). Raises GrammarError."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise GrammarError("is not a private key in PEM without a password") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < LEAST_RSA_BITS:
            raise GrammarError(f"is an RSA key of {key.key_size} bits, at least {LEAST_RSA_BITS} are needed")
        return PrivateKey(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return PrivateKey(key)
    raise GrammarError("is neither an Ed25519 nor an RSA key")


def parse_record(octets: bytes) -> PublicKey:
    """Read a key record as the DNS gives it (RFC 6376 section 3.6.1). Raises GrammarError."""
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        raise GrammarError("is not ASCII") from None
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip(" \t\r\n"):
            continue
        match = _TAG.fullmatch(part)
        if match is None or match[1] in tags:
            raise GrammarError("is not a list of tags, each of them once")
        tags[match[1]] = _SPACE.sub("", match[2])
    if tags.get("v", "DKIM1") != "DKIM1" or next(iter(tags), "v") != "v" and "v" in tags:
        raise GrammarError("does not begin with v=DKIM1")
    if "p" not in tags:
        raise GrammarError("has no p=")
    try:
        return PublicKey(Algorithm(tags.get("k", "rsa")), base64.b64decode(tags["p"], validate=True))
    except binascii.Error:
        raise GrammarError("p= is not base64") from None
    except ValueError:
        raise GrammarError(f"k={tags['k']} is not known") from None


def record_name(selector: str, domain: str) -> str:
    """Where a key's record stands in the DNS (section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def zone_lines(name: str, record: str) -> str:
    """A TXT record in the syntax of zone files (RFC 1035 section 5.1), long texts as several strings."""
    strings = [record[start : start + STRING_OCTETS] for start in range(0, len(record), STRING_OCTETS)]
    if len(strings) == 1:
        return f'{name}. IN TXT "{record}"'
    rows = "\n".join(f'    "{string}"' for string in strings)
    return f"{name}. IN TXT (\n{rows} )"
