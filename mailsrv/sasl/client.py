"""The client's side of PLAIN, LOGIN and SCRAM-SHA-256, for smarthosts that want a login (RFC 4616, RFC 5802, RFC 7677).

Pure: the nonce is handed in. Which mechanism is used decides `choose`: SCRAM where it is offered, because then a false
server learns nothing; the others only inside TLS.

Diagnostics: `start`, `step` and `choose` raise GrammarError: a challenge is wrong, the server does not prove that it
knows the password, or name or password cannot be used.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection

from mailsrv.errors import GrammarError
from mailsrv.sasl.saslprep import prepare

# RFC 5802 section 7. Fewer iterations than RFC 7677 section 4 wants would give the password away, many more our time.
_SERVER_FIRST = re.compile(r"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,8})(?:,[A-Za-z]=[^,\0]*)*")
_SERVER_FINAL = re.compile(r"v=([A-Za-z0-9+/=]+)(?:,[A-Za-z]=[^,\0]*)*")
MIN_ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000


class PlainClient:
    """Name and password in one message."""

    name = "PLAIN"
    is_complete = True

    def __init__(self, username: str, password: str) -> None:
        self._message = f"\0{_check(username)}\0{_check(password)}".encode()

    def start(self) -> bytes | None:
        """Everything at once."""
        return self._message

    def step(self, challenge: bytes) -> bytes:
        """Nothing can be asked."""
        raise GrammarError("the server asks something where PLAIN has no question")


class LoginClient:
    """Two questions whose texts differ between servers: the first is for the name, the second for the password."""

    name = "LOGIN"

    def __init__(self, username: str, password: str) -> None:
        self._answers = [_check(username).encode(), _check(password).encode()]

    @property
    def is_complete(self) -> bool:
        """True when both were asked for."""
        return not self._answers

    def start(self) -> bytes | None:
        """The server begins."""
        return None

    def step(self, challenge: bytes) -> bytes:
        """The next answer, whatever the question."""
        if not self._answers:
            raise GrammarError("the server asks more than name and password")
        return self._answers.pop(0)


class ScramClient:
    """SCRAM-SHA-256 without channel binding. `nonce`: at least 18 octets that nobody can guess."""

    name = "SCRAM-SHA-256"

    def __init__(self, username: str, password: str, nonce: bytes) -> None:
        self._password = prepare(password).encode()
        self._nonce = base64.b64encode(nonce).decode()
        name = prepare(username).replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._expected = b""  # the server's signature
        self.is_complete = False

    def start(self) -> bytes | None:
        """The client's first message; `n`: no channel binding."""
        return f"n,,{self._bare}".encode()

    def step(self, challenge: bytes) -> bytes:
        """The client's final message to the server's first; nothing to its final one, which must be right."""
        text = challenge.decode("utf-8", "replace").replace("\ufffd", "\0")
        if not self._expected:
            return self._prove(text)
        match = _SERVER_FINAL.fullmatch(text)
        if self.is_complete or match is None or not hmac.compare_digest(_decode(match[1]), self._expected):
            raise GrammarError("the server could not prove that it knows the password")
        self.is_complete = True
        return b""

    def _prove(self, first: str) -> bytes:
        match = _SERVER_FIRST.fullmatch(first)
        if match is None:
            raise GrammarError("the server's challenge is malformed")
        nonce, salt, iterations = match[1], _decode(match[2]), int(match[3])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce) or not salt:
            raise GrammarError("the server's challenge has another nonce or no salt")
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise GrammarError(f"the server wants {iterations} iterations")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={nonce}"  # biws is the GS2 header "n,,"
        signed = f"{self._bare},{first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


ClientMechanism = PlainClient | LoginClient | ScramClient


def choose(
    offered: Collection[str], username: str, password: str, nonce: bytes, *, secure: bool
) -> ClientMechanism | None:
    """The best mechanism that is offered (names in upper case) and may be used here; None when there is none."""
    if "SCRAM-SHA-256" in offered:
        return ScramClient(username, password, nonce)
    if secure and "PLAIN" in offered:
        return PlainClient(username, password)
    if secure and "LOGIN" in offered:
        return LoginClient(username, password)
    return None


def _check(text: str) -> str:
    if "\0" in text:
        raise GrammarError("a name or password with a NUL cannot be sent")
    return text


def _decode(text: str) -> bytes:
    """Strict base64; nothing when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
