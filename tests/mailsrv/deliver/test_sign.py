"""Who signs: by the From field's domain, the nearest of ours; and who must not."""

import re
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from mailsrv.authn.dkim import FieldNames
from mailsrv.authn.keys import Algorithm
from mailsrv.authn.keystore import KeyStore
from mailsrv.authn.rotation import Sight, advance
from mailsrv.config.schema import Config, DkimConfig
from mailsrv.deliver.sign import Signer, make_signer, signing_domains
from mailsrv.errors import GrammarError
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock

NOW = 1_700_000_000
BODY = b"Hello.\r\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> KeyStore:
    """Keys of both kinds for example.com, one for sub.example.com and for an internationalized domain, none active for
    next.example.com.
    """
    store = KeyStore(Disk(), str(tmp_path_factory.mktemp("data")))
    store.make("example.com", Algorithm, NOW)
    for domain in ("sub.example.com", "xn--bcher-kva.example", "foreign.example"):
        store.make(domain, [Algorithm.ED25519], NOW)
    for domain in store.domains():
        keys = store.read(domain)
        store.write(domain, advance(keys, {key.selector: Sight.SHOWN for key in keys}, NOW)[0])
    store.make("next.example.com", [Algorithm.ED25519], NOW)
    return store


DOMAINS = ("Example.COM", "sub.example.com", "next.example.com", "bücher.example")


@pytest.fixture
def signer(store: KeyStore) -> Signer:
    return Signer(store, DOMAINS, FakeClock(NOW))


def signed_by(fields: bytes) -> list[tuple[str, str]]:
    """d= and a= of each field."""
    found = re.findall(r"a=([a-z0-9]+)-sha256.*?d=([^;]+);", re.sub(r"\s", "", fields.decode()))
    return [(domain, algorithm) for algorithm, domain in found]


BOTH = [("example.com", "ed25519"), ("example.com", "rsa")]


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("ada@example.com", BOTH),
        ("Ada <ADA@EXAMPLE.COM>", BOTH),
        ("ada@mail.example.com", BOTH),
        ("ada@a.b.c.example.com", BOTH),
        ("ada@next.example.com", BOTH),  # its own keys are not active yet
        ("ada@sub.example.com", [("sub.example.com", "ed25519")]),
        ("ada@x.sub.example.com", [("sub.example.com", "ed25519")]),
        ("ada@bücher.example", [("xn--bcher-kva.example", "ed25519")]),
        ("ada@BÜCHER.example", [("xn--bcher-kva.example", "ed25519")]),
        ("ada@xn--bcher-kva.example", [("xn--bcher-kva.example", "ed25519")]),
        ("ada@example.com, bob@example.com", BOTH),
        ("ada@example.com, bob@sub.example.com", []),
        ("ada@example.com, bob@[192.0.2.1]", []),
        ("ada@foreign.example", []),  # has keys, but is none of our domains
        ("ada@notexample.com", []),
        ("ada@com", []),
        ("ada@[192.0.2.1]", []),
        ("group:;", []),
        ("ada@", []),
        ("", []),
    ],
)
def test_the_domain_that_signs(signer: Signer, author: str, expected: list[tuple[str, str]]) -> None:
    fields = signer.sign(f"From: {author}\r\nSubject: x\r\n\r\n".encode(), [BODY])
    assert signed_by(fields) == expected
    assert "t=1700000000;" in fields.decode() or not expected


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\r\n",
        b"Subject: no author\r\n\r\n",
        b"From: ada@example.com\r\nFrom: ada@example.com\r\n\r\n",
        b"From: ada@example.com\r\nfrom : eve@example.net\r\n\r\n",
    ],
)
def test_without_one_from_nobody_signs_and_the_body_is_not_read(signer: Signer, header: bytes) -> None:
    def body() -> Iterator[bytes]:
        raise AssertionError("the body is read in vain")
        yield b""

    assert signer.sign(header, body()) == b""


def test_the_result_is_put_in_front_and_verifies(signer: Signer, store: KeyStore) -> None:
    records = {key.selector: key.record for key in store.read("example.com")}
    zone = {f"{name}._domainkey.example.com.".encode(): text.encode() for name, text in records.items()}
    header = b"From: ada@example.com\r\nTo: bob@example.org\r\nSubject: x\r\n"
    blocks = [b"one \t", b" two \r", b"\n\r\n", b"\r\nthree\r\n\r\n"]
    message = signer.sign(header + b"\r\n", blocks) + header + b"\r\n" + b"".join(blocks)
    assert signer.sign(header, blocks) == signer.sign(header + b"\r\n", blocks)
    for number in range(2):
        assert dkim.DKIM(message).verify(idx=number, dnsfunc=lambda name, timeout=5: zone.get(name))


def test_chosen_fields(store: KeyStore) -> None:
    signer = Signer(store, DOMAINS, FakeClock(NOW), FieldNames((b"from",), (b"x-mine",)))
    fields = signer.sign(b"X-Mine: 1\r\nSubject: x\r\nFrom: ada@sub.example.com\r\n\r\n", [BODY])
    assert b" h=x-mine:from:from;" in fields


def test_new_keys_sign_without_a_restart(tmp_path: Path) -> None:
    store = KeyStore(Disk(), str(tmp_path))
    signer = Signer(store, ["example.com"], FakeClock(NOW))
    header = b"From: ada@example.com\r\n\r\n"
    assert signer.sign(header, [BODY]) == b""
    keys = store.make("example.com", [Algorithm.ED25519], NOW)
    assert signer.sign(header, [BODY]) == b""
    store.write("example.com", advance(keys, {keys[0].selector: Sight.SHOWN}, NOW)[0])
    assert f"s={keys[0].selector};".encode() in signer.sign(header, [BODY])


def test_damaged_keys_are_known_at_the_start_and_keep_mail_from_leaving_unsigned(tmp_path: Path) -> None:
    store = KeyStore(Disk(), str(tmp_path))
    signer = Signer(store, ["example.com"], FakeClock(NOW))
    signer.check()
    (tmp_path / "dkim" / "example.com").mkdir(parents=True)
    (tmp_path / "dkim" / "example.com" / "keys.json").write_text("{")
    with pytest.raises(GrammarError, match="keys.json"):
        signer.check()
    with pytest.raises(GrammarError, match="keys.json"):
        signer.sign(b"From: ada@example.com\r\n\r\n", [BODY])


def test_the_signer_of_a_configuration(store: KeyStore) -> None:
    data_dir = store.directory("example.com").removesuffix("/dkim/example.com")
    config = Config(
        hostname="Mail.example.net",
        data_dir=data_dir,
        domains=["Sub.example.com", "bücher.example"],
        domain_aliases={"example.com": "sub.example.com"},
        dkim=DkimConfig(headers=["X-Mine"]),
    )
    assert signing_domains(config) == ["sub.example.com", "xn--bcher-kva.example", "example.com", "mail.example.net"]
    signer = make_signer(config, Disk(), FakeClock(NOW))
    assert signer is not None
    fields = signer.sign(b"X-Mine: 1\r\nFrom: ada@example.com\r\n\r\n", [BODY])
    assert signed_by(fields) == BOTH
    assert b"h=x-mine:" in fields


def test_a_configuration_without_signatures(tmp_path: Path) -> None:
    config = Config("mail.example.com", str(tmp_path), dkim=DkimConfig(sign=False))
    assert make_signer(config, Disk(), FakeClock(NOW)) is None
