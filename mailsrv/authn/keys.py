"""DKIM keys: making, reading and using private ones, and public ones as the DNS has them (RFC 6376 section 3.6, 8463).

The door to `cryptography` for signing and verifying: the arithmetic is OpenSSL's, never Python's. Nothing here touches
a file or the DNS. RSA keys have 2048 bits when made here; shorter than 1024 bits none is used (RFC 8301 section 3.2).
Of foreign keys those with more than 8192 bits or a strange exponent are not used: their cost is the sender's choice.

Diagnostics: `parse_private_key`, `parse_record` and what reads its parts raise GrammarError with what is wrong with
the text. A public key that cannot be used raises nothing: its `fault` says why, and it verifies nothing.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from mailsrv.errors import GrammarError
from mailsrv.text.tags import parse_base64, parse_tags

RSA_BITS = 2048
LEAST_RSA_BITS = 1024
MOST_RSA_BITS = 8192
STRING_OCTETS = 255  # of one character-string of a TXT record, RFC 1035 section 3.3

# Of a record: a key of MOST_RSA_BITS takes some 1400. Records are kept in a cache, which must not be one of notes.
_MOST_RECORD = 4096
_MOST_EXPONENT_BITS = 33  # 65537 is what there is; OpenSSL's time grows with the exponent

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

    @property
    def bits(self) -> int:
        """The size of the key, 0 if it cannot be read."""
        return _load(self).bits

    @property
    def fault(self) -> str:
        """Why the key cannot be used, "" if it can."""
        return _load(self).fault

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Whether `signature` is one of this key's owner for a SHA-256 digest, made as PrivateKey.sign does."""
        loaded = _load(self)
        if loaded.check is None:
            return False
        try:
            loaded.check(signature, digest)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A public key ready for use: `check` takes a signature and a digest and raises InvalidSignature."""

    bits: int = 0
    fault: str = ""
    check: Callable[[bytes, bytes], None] | None = None


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
    """Read the key in a record as the DNS gives it (RFC 6376 section 3.6.1). Raises GrammarError."""
    return read_public_key(read_record_tags(octets))


def read_record_tags(octets: bytes) -> dict[str, str]:
    """The tags of a key record; v= is right or absent. Raises GrammarError."""
    if len(octets) > _MOST_RECORD:
        raise GrammarError(f"has more than {_MOST_RECORD} octets")
    if not octets.isascii():  # RFC 8616 section 3
        raise GrammarError("is not ASCII")
    tags = parse_tags(octets)
    if tags.get("v", "DKIM1") != "DKIM1" or "v" in tags and next(iter(tags)) != "v":
        raise GrammarError("does not begin with v=DKIM1")
    return tags


def read_public_key(tags: dict[str, str]) -> PublicKey:
    """The key of k= and p=. Raises GrammarError."""
    if "p" not in tags:
        raise GrammarError("has no p=")
    kind = tags.get("k", "rsa").lower()
    if kind not in _KINDS:
        raise GrammarError(f"k={kind[:20]} is not known")
    try:
        return PublicKey(_KINDS[kind], parse_base64(tags["p"]))
    except GrammarError as fault:
        raise GrammarError(f"p= {fault}") from None


@lru_cache(maxsize=1024)
def _load(public: PublicKey) -> _Loaded:
    """A key ready for use. What cannot be used is kept as well: whoever publishes it may ask for it often."""
    return _LOADERS[public.algorithm](public.octets)


def _load_ed25519(octets: bytes) -> _Loaded:
    if len(octets) != 32:
        return _Loaded(fault=f"has {len(octets)} octets instead of 32")
    return _Loaded(256, "", ed25519.Ed25519PublicKey.from_public_bytes(octets).verify)


def _load_rsa(octets: bytes) -> _Loaded:
    """A SubjectPublicKeyInfo, which is what signers publish, or the bare RSAPublicKey of RFC 6376 section 3.6.1."""
    try:
        key = serialization.load_der_public_key(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _Loaded(fault="is not an RSA key in DER")
    if not isinstance(key, rsa.RSAPublicKey):
        return _Loaded(fault="is not an RSA key")
    if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        return _Loaded(key.key_size)
    if key.public_numbers().e.bit_length() > _MOST_EXPONENT_BITS:
        return _Loaded(key.key_size, "has an exponent that nobody needs")
    return _Loaded(key.key_size, "", lambda signature, digest: key.verify(signature, digest, _PKCS1, _PREHASHED))


_KINDS = {algorithm.value: algorithm for algorithm in Algorithm}
_LOADERS = {Algorithm.ED25519: _load_ed25519, Algorithm.RSA: _load_rsa}


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
