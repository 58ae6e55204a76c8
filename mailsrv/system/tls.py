"""The TLS door: certificates and keys read and checked, server contexts with SNI, facts about an established
connection.

Contexts are made in the supervisor before it forks: the key that seals session tickets belongs to the context, so every
worker accepts the tickets of every other. TLS 1.2 is the least version (RFC 8996, RFC 9325). A P-256 certificate
beside an RSA one for the same names is preferred wherever the client can use it.

Diagnostics: `load` raises ConfigError with one complaint per fault; `check_pair` gives complaints instead of raising;
`accept` raises OSError (ssl.SSLError among them) when the handshake fails.
"""

import datetime
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailsrv.errors import ConfigError
from mailsrv.system.clock import Clock, SystemClock

# The ciphers of RFC 9325 section 4.2 for TLS 1.2: ephemeral keys and authenticated encryption only.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate with its key, as files and as facts. `expires` is seconds since the epoch; `end_point` the
    channel binding.
    """

    cert_file: str
    key_file: str
    names: tuple[str, ...]
    expires: float
    key_type: str  # "EC", "RSA" or another word of the certificate
    end_point: bytes


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What was agreed: `version` and `cipher` for the trace field, `sni` the name asked for ("" if none).

    `bindings`: channel bindings that are defined for this connection, by name (RFC 5929): tls-server-end-point when
    only one certificate could have been used, tls-unique on TLS 1.2.
    """

    version: str
    cipher: str
    sni: str
    bindings: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two files of one certificate."""

    cert_file: str
    key_file: str


def _end_point(certificate: x509.Certificate) -> bytes:
    """The tls-server-end-point binding (RFC 5929 section 4.1): the hash of the certificate's own signature, at least
    SHA-256.
    """
    algorithm = certificate.signature_hash_algorithm
    if not isinstance(algorithm, hashes.SHA384 | hashes.SHA512):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


def _key_type(public_key: PublicKeyTypes) -> str:
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return "EC"
    return "RSA" if isinstance(public_key, rsa.RSAPublicKey) else "other"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names that a certificate is for, in lower case; the common name only where there is no other (RFC 9525
    section 2).
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(a.value).lower() for a in attributes)
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _read(path: str) -> bytes:
    if not path:
        raise ConfigError(["no file is named; give cert_file and key_file together"])
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}; give the path of a file that the server may read"
        raise ConfigError([reason]) from None


def read_pair(cert_file: str, key_file: str) -> Certificate:
    """Read a certificate chain and its private key and prove that they belong together. Raises ConfigError."""
    chain_octets, key_octets = _read(cert_file), _read(key_file)
    try:
        chain = x509.load_pem_x509_certificates(chain_octets)
    except ValueError:
        reason = f"{cert_file} holds no certificate; it must be PEM, the server's own certificate first"
        raise ConfigError([reason]) from None
    try:
        private_key = serialization.load_pem_private_key(key_octets, None)
    except TypeError:
        raise ConfigError([f"{key_file} is protected by a passphrase; store the key without one, mode 0600"]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError([f"{key_file} holds no private key; it must be PEM (PKCS#8 or the older forms)"]) from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    own = chain[0]
    if private_key.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        reason = f"{key_file} does not belong to the certificate in {cert_file}; give the key that it was made with"
        raise ConfigError([reason])
    expires = own.not_valid_after_utc.timestamp()
    return Certificate(cert_file, key_file, _names(own), expires, _key_type(own.public_key()), _end_point(own))


def check_pair(cert_file: str, key_file: str) -> list[str]:
    """Complaints about a certificate and its key; empty when they can be used."""
    try:
        _context((read_pair(cert_file, key_file),))
    except ConfigError as error:
        return error.complaints
    return []


def _context(certificates: tuple[Certificate, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHERS)
    context.num_tickets = 1  # a mail client resumes one session at a time; each ticket costs time in every handshake
    for certificate in certificates:
        try:
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
        except (ssl.SSLError, OSError) as error:
            reason = f"{certificate.cert_file} cannot be used for TLS: {error}; the key may be too short"
            raise ConfigError([reason]) from None
    return context


def _matches(pattern: str, name: str) -> bool:
    """One wildcard may stand for the whole leftmost label (RFC 9525 section 6.3)."""
    if pattern.startswith("*."):
        return "." in name and pattern[2:] == name.split(".", 1)[1]
    return pattern == name


class ServerTls:
    """Everything a worker needs to answer TLS handshakes; made once per configuration, before the fork."""

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        self.certificates = tuple(certificates)
        self._contexts: dict[tuple[int, ...], ssl.SSLContext] = {}
        self._chosen: dict[ssl.SSLContext, tuple[int, ...]] = {}
        default = self._with_other_types(0, set(self.certificates[0].names))
        self._default = self._make(default)
        for name in {name for certificate in self.certificates for name in certificate.names}:
            self._make(self._select(name))
        self._default.sni_callback = self._choose

    def _make(self, chosen: tuple[int, ...]) -> ssl.SSLContext:
        if chosen not in self._contexts:
            context = _context(tuple(self.certificates[i] for i in chosen))
            self._contexts[chosen] = context
            self._chosen[context] = chosen
        return self._contexts[chosen]

    def _with_other_types(self, first: int, names: set[str]) -> tuple[int, ...]:
        """A certificate and those of other key types that are good for all of `names` too."""
        types = {self.certificates[first].key_type}
        chosen = [first]
        for i, other in enumerate(self.certificates):
            if other.key_type not in types and names and names <= set(other.names):
                types.add(other.key_type)
                chosen.append(i)
        return tuple(chosen)

    def _select(self, name: str) -> tuple[int, ...]:
        """The certificates for a name: exact ones before wildcards, one of each key type; () when there is none."""
        types: dict[str, int] = {}
        for exact in (True, False):
            for i, certificate in enumerate(self.certificates):
                if any(p == name if exact else _matches(p, name) for p in certificate.names):
                    types.setdefault(certificate.key_type, i)
        return tuple(sorted(types.values()))

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        """The SNI callback: switch to the certificates for the name; an unknown name gets the default (mail clients
        check it).
        """
        chosen = self._select(name.lower()) if name else ()
        if chosen:
            connection.context = self._contexts.get(chosen, self._default)
        vars(connection)["asked_name"] = name or ""

    def accept(self, plain: socket.socket, seconds: float) -> tuple[ssl.SSLSocket, TlsInfo]:
        """Shake hands on a connected socket within `seconds`; `plain` is detached. Raises OSError when it fails."""
        connection = self._default.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            connection.settimeout(seconds)
            connection.do_handshake()
        except BaseException:
            connection.close()
            raise
        return connection, self._facts(connection)

    def _facts(self, connection: ssl.SSLSocket) -> TlsInfo:
        version = connection.version() or ""
        cipher = connection.cipher()
        bindings: dict[str, bytes] = {}
        chosen = self._chosen.get(connection.context, ())
        if len(chosen) == 1:
            bindings["tls-server-end-point"] = self.certificates[chosen[0]].end_point
        if version == "TLSv1.2":
            unique = connection.get_channel_binding("tls-unique")
            if unique is not None:
                bindings["tls-unique"] = unique
        return TlsInfo(version, cipher[0] if cipher else "", getattr(connection, "asked_name", ""), bindings)


@lru_cache(maxsize=2)
def client_context(verify: bool) -> ssl.SSLContext:
    """How we speak TLS as a client: any certificate, or only one that the system's authorities vouch for by name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if verify:
        context.load_default_certs()
    else:
        # Opportunistic TLS protects against listening only; most MX hosts have certificates that nobody could check.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load(pairs: Iterable[Pair]) -> ServerTls | None:
    """Read all pairs (the first is the default). Gives None for no pairs; raises ConfigError with every fault."""
    certificates: list[Certificate] = []
    complaints: list[str] = []
    for pair in pairs:
        try:
            certificates.append(read_pair(pair.cert_file, pair.key_file))
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(complaints)
    return ServerTls(certificates) if certificates else None


def fingerprint(
    pairs: Iterable[Pair], stat: Callable[[str], os.stat_result] = os.stat
) -> tuple[tuple[str, int, int], ...]:
    """What changes when one of the files does: name, modification time in ns, inode; (0, 0) for a missing file."""
    seen = []
    for path in (path for pair in pairs for path in (pair.cert_file, pair.key_file)):
        try:
            status = stat(path)
            seen.append((path, status.st_mtime_ns, status.st_ino))
        except OSError:
            seen.append((path, 0, 0))
    return tuple(seen)


def make_self_signed(directory: str, names: list[str], clock: Clock | None = None) -> tuple[str, str]:
    """Write `cert.pem` and `key.pem` (mode 0600, never over an existing file) for trying things out; give their paths.

    The key is P-256, the certificate is good for a year. Raises OSError.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    begin = datetime.datetime.fromtimestamp((clock or SystemClock()).now(), datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - datetime.timedelta(minutes=5))
        .not_valid_after(begin + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_octets = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = (("cert.pem", certificate.public_bytes(serialization.Encoding.PEM)), ("key.pem", key_octets))
    for name, octets in files:
        descriptor = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
    return os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
