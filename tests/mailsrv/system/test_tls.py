"""The TLS door: bad pairs are named, handshakes give facts, SNI chooses, tickets outlive a fork."""

import datetime
import hashlib
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mailsrv.errors import ConfigError
from mailsrv.system import tls


def self_signed(directory: Path, *names: str) -> tls.Pair:
    directory.mkdir()
    return tls.Pair(*tls.make_self_signed(str(directory), list(names)))


def self_signed_rsa(directory: Path, *names: str) -> tls.Pair:
    directory.mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    begin = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    return tls.Pair(str(directory / "cert.pem"), str(directory / "key.pem"))


def client_context(**changes: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in changes.items():
        setattr(context, name, value)
    return context


class Handshake:
    """One handshake over a socket pair: the server's facts and what the client saw."""

    def __init__(self, server: tls.ServerTls, context: ssl.SSLContext, name: str | None = None,
                 session: ssl.SSLSession | None = None) -> None:
        self.info: tls.TlsInfo | None = None
        near, far = socket.socketpair()
        thread = threading.Thread(target=self._serve, args=(server, far))
        thread.start()
        with context.wrap_socket(near, server_hostname=name, session=session) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"y"
            self.certificate = client.getpeercert(True)
            self.session, self.resumed = client.session, client.session_reused
        thread.join()

    def _serve(self, server: tls.ServerTls, far: socket.socket) -> None:
        connection, self.info = server.accept(far, 10)
        with connection:
            connection.recv(1)
            connection.sendall(b"y")


def served(pairs: list[tls.Pair]) -> tls.ServerTls:
    server = tls.load(pairs)
    assert server is not None
    return server


def test_no_pairs_is_no_tls() -> None:
    assert tls.load([]) is None


def test_every_fault_is_named(tmp_path: Path) -> None:
    first, second = self_signed(tmp_path / "a", "a.example"), self_signed(tmp_path / "b", "b.example")
    mixed = tls.Pair(first.cert_file, second.key_file)
    missing = tls.Pair(str(tmp_path / "none"), first.key_file)
    garbage = tmp_path / "garbage"
    garbage.write_text("nothing of the kind")
    with pytest.raises(ConfigError) as caught:
        tls.load([mixed, missing, tls.Pair(str(garbage), first.key_file), tls.Pair(first.cert_file, str(garbage))])
    text = caught.value.complaints
    assert "does not belong to" in text[0]
    assert "cannot be read" in text[1]
    assert "holds no certificate" in text[2]
    assert "holds no private key" in text[3]
    assert len(text) == 4


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    pair = self_signed(tmp_path / "a", "a.example")
    key = serialization.load_pem_private_key(Path(pair.key_file).read_bytes(), None)
    Path(pair.key_file).write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")))
    assert ["passphrase" in complaint for complaint in tls.check_pair(pair.cert_file, pair.key_file)] == [True]


def test_a_good_pair_has_no_complaints(tmp_path: Path) -> None:
    pair = self_signed(tmp_path / "a", "a.example", "b.example")
    assert tls.check_pair(pair.cert_file, pair.key_file) == []
    certificate = tls.read_pair(pair.cert_file, pair.key_file)
    assert certificate.names == ("a.example", "b.example")
    assert certificate.key_type == "EC"
    assert os.stat(pair.key_file).st_mode & 0o777 == 0o600


def test_facts_of_tls_1_3_and_1_2(tmp_path: Path) -> None:
    server = served([self_signed(tmp_path / "a", "a.example")])
    new = Handshake(server, client_context(), "a.example")
    assert new.info is not None and new.certificate is not None
    assert (new.info.version, new.info.sni) == ("TLSv1.3", "a.example")
    end_point = hashlib.sha256(new.certificate).digest()
    assert new.info.bindings == {"tls-server-end-point": end_point}
    old = Handshake(server, client_context(maximum_version=ssl.TLSVersion.TLSv1_2))
    assert old.info is not None
    assert old.info.version == "TLSv1.2"
    assert set(old.info.bindings) == {"tls-server-end-point", "tls-unique"}
    assert "ECDHE" in old.info.cipher


def test_sni_chooses_exact_before_wildcard_and_unknown_gets_the_default(tmp_path: Path) -> None:
    pairs = [self_signed(tmp_path / "a", "a.example"), self_signed(tmp_path / "w", "*.b.example"),
             self_signed(tmp_path / "x", "x.b.example")]
    server = served(pairs)
    wanted = {"a.example": 0, "y.b.example": 1, "X.b.example": 2, "unknown.example": 0, "deep.y.b.example": 0}
    for name, index in wanted.items():
        seen = Handshake(server, client_context(), name)
        chain = Path(pairs[index].cert_file).read_text()
        assert seen.certificate == ssl.PEM_cert_to_DER_cert(chain), name


def test_the_p256_certificate_is_preferred_and_rsa_serves_the_rest(tmp_path: Path) -> None:
    pairs = [self_signed_rsa(tmp_path / "r", "a.example"), self_signed(tmp_path / "e", "a.example")]
    server = served(pairs)
    der = [ssl.PEM_cert_to_DER_cert(Path(pair.cert_file).read_text()) for pair in pairs]
    modern = Handshake(server, client_context(maximum_version=ssl.TLSVersion.TLSv1_2), "a.example")
    assert modern.certificate == der[1]
    assert modern.info is not None and "tls-server-end-point" not in modern.info.bindings
    only_rsa = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    only_rsa.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    assert Handshake(server, only_rsa, "a.example").certificate == der[0]


def test_a_ticket_is_accepted_in_another_process(tmp_path: Path) -> None:
    server = served([self_signed(tmp_path / "a", "a.example")])
    context = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    near, far = socket.socketpair()
    child = os.fork()
    if child == 0:
        near.close()
        connection, _info = server.accept(far, 10)
        connection.recv(1)
        connection.close()
        os._exit(0)
    far.close()
    with context.wrap_socket(near, server_hostname="a.example") as client:
        session = client.session
        client.sendall(b"x")
    os.waitpid(child, 0)
    assert Handshake(server, context, "a.example", session).resumed


def test_a_client_that_speaks_no_tls_fails_the_handshake(tmp_path: Path) -> None:
    server = served([self_signed(tmp_path / "a", "a.example")])
    near, far = socket.socketpair()
    with near:
        near.sendall(b"EHLO client.example\r\n")
        with pytest.raises(OSError):
            server.accept(far, 10)


def test_the_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    pair = self_signed(tmp_path / "a", "a.example")
    before = tls.fingerprint([pair])
    assert tls.fingerprint([pair]) == before
    os.utime(pair.cert_file, (1, 1))
    assert tls.fingerprint([pair]) != before
    os.unlink(pair.key_file)
    assert tls.fingerprint([pair])[1] == (pair.key_file, 0, 0)
