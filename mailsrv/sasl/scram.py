"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, RFC 7677).

Neither the password nor anything that replaces it goes over the wire or lies on the disk. An account that does not
exist gets a salt that is made from its name under a secret key, the same every time, and fails at the end like a wrong
password. Channel bindings are tls-server-end-point and tls-unique (RFC 5929); which one the connection has, the caller
says.

Diagnostics: an exchange raises nothing; `parse_key` raises GrammarError.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from mailsrv.errors import GrammarError
from mailsrv.sasl.mechanism import Challenge, Done, Failed, Step
from mailsrv.sasl.saslprep import prepare

ITERATIONS = 4096  # RFC 7677 section 4 wants at least that; unknown accounts show this number, so every key has it
SALT_OCTETS = 16

_KEY_TEXT = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{3,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
# The client's first message, RFC 5802 section 7: GS2 header, then name, nonce and extensions (which may be ignored). A
# message with "m=" demands an extension that does not exist, and does not match.
_FIRST = re.compile(r"((n|y|p=([A-Za-z0-9.-]+)),(?:a=([^,\0]+))?,)(n=([^,\0]+),r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]*)*)")
_FINAL = re.compile(r"(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]*)*?),p=([A-Za-z0-9+/=]+)")
_NAME = re.compile(r"(?:[^=]|=2C|=3D)+")


@dataclass(frozen=True, slots=True)
class ScramKey:
    """What the server keeps instead of a password (RFC 5802 section 3)."""

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """The binding that a TLS connection has: `name` as registered (tls-server-end-point, tls-unique) and its octets."""

    name: str
    octets: bytes


def derive(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKey:
    """Make the key of a password. Raises GrammarError when the password has characters that no password can have."""
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password).encode(), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return ScramKey(iterations, salt, stored_key, _hmac(salted, b"Server Key"))


def format_key(key: ScramKey) -> str:
    """The text form: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, base64 (RFC 5803's parts in
    PostgreSQL's order)."""
    salt, stored, server = (base64.b64encode(part).decode() for part in (key.salt, key.stored_key, key.server_key))
    return f"SCRAM-SHA-256${key.iterations}:{salt}${stored}:{server}"


def parse_key(text: str) -> ScramKey:
    """Read the text form. Raises GrammarError."""
    match = _KEY_TEXT.fullmatch(text)
    if match is None:
        raise GrammarError("not of the form SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>")
    salt, stored_key, server_key = (_decode(part) for part in match.groups()[1:])
    if not salt or len(stored_key) != 32 or len(server_key) != 32:
        raise GrammarError("salt or keys of a SCRAM key have the wrong length or are not base64")
    return ScramKey(int(match[1]), salt, stored_key, server_key)


class Scram:
    """One exchange. `lookup` gives the key of a login name or None; `plus` is true for SCRAM-SHA-256-PLUS; `binding` is
    what the connection has, and its presence means that PLUS is offered beside the plain mechanism."""

    def __init__(
        self,
        lookup: Callable[[str], ScramKey | None],
        fake_secret: bytes,
        nonce: bytes,
        binding: ChannelBinding | None = None,
        plus: bool = False,
    ) -> None:
        self._lookup = lookup
        self._fake_secret = fake_secret
        self._nonce = base64.b64encode(nonce).decode()
        self._binding = binding
        self._plus = plus
        self._expect: Callable[[bytes], Step] = self._read_first
        self._account = ""
        self._known = False
        self._key = ScramKey(ITERATIONS, b"", b"", b"")
        self._expected_c = b""
        self._first_parts = ""  # client-first-message-bare "," server-first-message

    def start(self, initial: bytes | None) -> Step:
        """The client speaks first."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, response: bytes) -> Step:
        """Take the client's next message. After the server's last message the client sends an empty one, which gives
        Done."""
        return self._expect(response)

    def _read_first(self, message: bytes) -> Step:
        match = _FIRST.fullmatch(_text(message))
        if match is None:
            return Failed("malformed first message")
        header, flag, binding_name, authzid, bare, name, nonce = match.groups()
        if not _NAME.fullmatch(name):
            return Failed("malformed name")
        try:
            self._account = prepare(_unescape(name))
            authzid = prepare(_unescape(authzid)) if authzid else ""
        except GrammarError as error:
            return Failed(f"name has {error}")
        fault = self._check_binding(flag, binding_name)
        if fault or not self._account or authzid not in ("", self._account):
            return Failed(fault or "acting for another account is not possible", self._account)
        bound = self._binding.octets if flag[0] == "p" and self._binding else b""
        self._expected_c = header.encode() + bound
        fake = self._make_fake(self._account)
        key = self._lookup(self._account)
        self._known = key is not None
        self._key = key or fake
        self._nonce = nonce + self._nonce
        salt = base64.b64encode(self._key.salt).decode()
        first = f"r={self._nonce},s={salt},i={self._key.iterations}"
        self._first_parts = f"{bare},{first}"
        self._expect = self._read_final
        return Challenge(first.encode())

    def _check_binding(self, flag: str, name: str | None) -> str:
        """The reason why the GS2 header's flag is wrong, "" when it is right (RFC 5802 section 6)."""
        if self._plus:
            if name is None:
                return "PLUS without channel binding"
            return "" if self._binding and name == self._binding.name else "unknown type of channel binding"
        if name is not None:
            return "channel binding without PLUS"
        # The client could bind and thinks that we cannot: somebody removed PLUS from the offer.
        return "downgrade: PLUS was removed from the offer" if flag == "y" and self._binding else ""

    def _read_final(self, message: bytes) -> Step:
        self._expect = self._read_anything
        match = _FINAL.fullmatch(_text(message))
        if match is None:
            return Failed("malformed final message", self._account)
        without_proof, binding, nonce, proof_text = match.groups()
        proof = _decode(proof_text)
        if len(proof) != 32 or nonce != self._nonce or not hmac.compare_digest(_decode(binding), self._expected_c):
            return Failed("wrong nonce, channel binding or length of proof", self._account)
        signed = f"{self._first_parts},{without_proof}".encode()
        signature = _hmac(self._key.stored_key, signed)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        proved = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._key.stored_key)
        final = b"v=" + base64.b64encode(_hmac(self._key.server_key, signed))
        if not (proved and self._known):
            return Failed("wrong password or no such account", self._account)
        self._expect = self._read_empty
        return Challenge(final)

    def _read_empty(self, message: bytes) -> Step:
        """SMTP and IMAP have no place for the server's last words beside success: the client answers them with
        nothing."""
        self._expect = self._read_anything
        return Failed("octets behind the end", self._account) if message else Done(self._account)

    def _read_anything(self, message: bytes) -> Step:
        return Failed("the exchange is over", self._account)

    def _make_fake(self, account: str) -> ScramKey:
        """A key for an account that does not exist. Made for those that do, too: the same work. Names differ only by
        case there."""
        name = account.casefold().encode()
        parts = (b"salt ", b"stored ", b"server ")
        salt, stored_key, server_key = (_hmac(self._fake_secret, part + name) for part in parts)
        return ScramKey(ITERATIONS, salt[:SALT_OCTETS], stored_key, server_key)


def _hmac(key: bytes, octets: bytes) -> bytes:
    return hmac.digest(key, octets, "sha256")


def _unescape(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


def _text(message: bytes) -> str:
    """The text of a message; one that matches nothing when it is not UTF-8."""
    return message.decode("utf-8", "replace").replace("\ufffd", "\0")


def _decode(text: str) -> bytes:
    """Strict base64; nothing when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
