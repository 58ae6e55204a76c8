"""Keys on disk: made durably and never overwritten, read strictly, deleted when gone, cached until they change."""

import json
import os
import stat
from pathlib import Path

import pytest

from mailsrv.authn import keystore
from mailsrv.authn.keys import Algorithm, make_private_key, parse_private_key
from mailsrv.authn.keystore import KeyStore, check_selector, dated_selector, write_key_file
from mailsrv.authn.rotation import Key, Sight, State, advance
from mailsrv.errors import AlreadyThere, GrammarError, StorageError, StorageFull
from mailsrv.system.disk import Disk

NOW = 1_800_000_000  # 2027-01-15
ED = (Algorithm.ED25519,)
DOMAIN = "example.com"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(Disk(), str(tmp_path))


def activate(store: KeyStore, domain: str = DOMAIN, now: int = NOW) -> tuple[Key, ...]:
    keys = store.read(domain)
    keys, _ = advance(keys, {key.selector: Sight.SHOWN for key in keys}, now)
    store.write(domain, keys)
    return keys


def test_nothing_is_there_at_first(store: KeyStore, tmp_path: Path) -> None:
    assert store.domains() == []
    assert store.read(DOMAIN) == ()
    assert store.active(DOMAIN) == ()
    assert list(tmp_path.iterdir()) == []


def test_new_keys(store: KeyStore, tmp_path: Path) -> None:
    with store.lock():
        made = store.make(DOMAIN, Algorithm, NOW)
    assert [(key.selector, key.algorithm, key.state, key.since) for key in made] == [
        ("20270115e", Algorithm.ED25519, State.NEXT, NOW),
        ("20270115r", Algorithm.RSA, State.NEXT, NOW),
    ]
    assert store.read(DOMAIN) == tuple(made)
    assert store.domains() == [DOMAIN]
    directory = tmp_path / "dkim" / DOMAIN
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in directory.iterdir()) == ["20270115e.pem", "20270115r.pem", "keys.json"]
    for key in made:
        file = directory / f"{key.selector}.pem"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert parse_private_key(file.read_bytes()).public.record == key.record
    assert store.active(DOMAIN) == ()  # next keys do not sign


def test_the_file_is_as_documented(store: KeyStore, tmp_path: Path) -> None:
    (key,) = store.make(DOMAIN, ED, NOW)
    assert json.loads((tmp_path / "dkim" / DOMAIN / "keys.json").read_bytes()) == {
        "version": 1,
        "keys": [
            {
                "selector": "20270115e",
                "algorithm": "ed25519",
                "state": "next",
                "since": NOW,
                "record": key.record,
            }
        ],
    }


def test_a_second_key_of_a_day_has_a_number(store: KeyStore, tmp_path: Path) -> None:
    store.make(DOMAIN, ED, NOW)
    (tmp_path / "dkim" / DOMAIN / "20270115e2.pem").write_bytes(b"left by a crash")
    (key,) = store.make(DOMAIN, ED, NOW)
    assert key.selector == "20270115e3"
    assert (tmp_path / "dkim" / DOMAIN / "20270115e2.pem").read_bytes() == b"left by a crash"
    assert dated_selector(NOW, Algorithm.RSA, ["20270115r", "20270115r2"]) == "20270115r3"


def test_selectors_of_ones_own(store: KeyStore) -> None:
    assert [key.selector for key in store.make(DOMAIN, Algorithm, NOW, "Mail")] == ["maile", "mailr"]
    with pytest.raises(AlreadyThere, match="maile already"):
        store.make(DOMAIN, ED, NOW, "mail")
    for bad in ("a b", "a..b", "../x", "a_b", "x" * 64):
        with pytest.raises(GrammarError):
            store.make(DOMAIN, ED, NOW, bad)
    assert check_selector("a.b", DOMAIN) == "a.b"
    with pytest.raises(GrammarError, match="too long"):
        check_selector("s" * 60, ".".join(["d" * 60] * 4))


@pytest.mark.parametrize("domain", ["Example.com", "bücher.example", "a..b", "../example.com", "a/b", ""])
def test_no_path_leads_out_of_the_directory(store: KeyStore, domain: str) -> None:
    with pytest.raises((ValueError, GrammarError)):
        store.directory(domain)


def test_active_keys_are_loaded_once_and_again_after_a_change(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.make(DOMAIN, Algorithm, NOW)
    activate(store)
    loads: list[bytes] = []
    monkeypatch.setattr(keystore, "parse_private_key", lambda pem: loads.append(pem) or parse_private_key(pem))
    keys = store.active(DOMAIN)
    assert [(key.domain, key.selector) for key in keys] == [(DOMAIN, "20270115e"), (DOMAIN, "20270115r")]
    assert store.active(DOMAIN) is keys
    assert len(loads) == 2
    store.make(DOMAIN, ED, NOW + 86400)
    activate(store)
    assert [key.selector for key in store.active(DOMAIN)] == ["20270115r", "20270116e"]


def test_keys_that_are_gone_lose_their_files(store: KeyStore, tmp_path: Path) -> None:
    store.make(DOMAIN, ED, NOW)
    keys = store.read(DOMAIN)
    store.write(DOMAIN, [Key(one.selector, one.algorithm, State.GONE, NOW, one.record) for one in keys])
    assert [path.name for path in (tmp_path / "dkim" / DOMAIN).iterdir()] == ["keys.json"]
    assert store.read(DOMAIN)[0].record == keys[0].record


BAD = [
    ("", "not JSON"),
    ("[]", "not a JSON object"),
    ("{}", "version is None, and this program knows 1 only"),
    ('{"version":2,"keys":[]}', "version is 2"),
    ('{"version":1}', "must have version and keys"),
    ('{"version":1,"keys":{}}', "must have version and keys"),
    ('{"version":1,"keys":[],"more":1}', "must have version and keys"),
    ('{"version":1,"keys":[{}]}', r"keys\[0\].selector: missing"),
    (
        '{"version":1,"keys":[{"selector":"s","algorithm":"dsa","state":"next","since":1,"record":""}]}',
        r"keys\[0\].algorithm: must be one of ed25519, rsa",
    ),
    (
        '{"version":1,"keys":[{"selector":"s","algorithm":"rsa","state":"old","since":1,"record":""}]}',
        r"keys\[0\].state: must be one of next, active, retiring, gone",
    ),
]


@pytest.mark.parametrize(("text", "complaint"), BAD)
def test_a_damaged_file_is_refused(store: KeyStore, tmp_path: Path, text: str, complaint: str) -> None:
    store.make(DOMAIN, ED, NOW)
    (tmp_path / "dkim" / DOMAIN / "keys.json").write_text(text)
    for use in (store.read, store.active, lambda domain: store.make(domain, ED, NOW)):
        with pytest.raises(GrammarError, match=rf"keys\.json: .*{complaint}"):
            use(DOMAIN)


def test_damaged_keys_are_refused(store: KeyStore, tmp_path: Path) -> None:
    store.make(DOMAIN, ED, NOW)
    (key,) = activate(store)
    file = tmp_path / "dkim" / DOMAIN / f"{key.selector}.pem"
    file.write_bytes(b"nothing")
    with pytest.raises(GrammarError, match=r"20270115e\.pem: is not a private key"):
        store.active(DOMAIN)
    file.write_bytes(make_private_key(Algorithm.ED25519).pem)
    with pytest.raises(GrammarError, match="is not the key whose record"):
        store.active(DOMAIN)
    file.unlink()
    with pytest.raises(StorageError, match="20270115e.pem"):
        store.active(DOMAIN)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"precious")
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "elsewhere")
    for name in (path, link):
        with pytest.raises(AlreadyThere, match="never overwritten"):
            write_key_file(Disk(), str(name), make_private_key(Algorithm.ED25519))
    assert path.read_bytes() == b"precious"
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(StorageError, match="No such file"):
        write_key_file(Disk(), str(tmp_path / "no" / "key.pem"), make_private_key(Algorithm.ED25519))


def test_a_key_file_that_cannot_be_written_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(Disk, "append", fail)
    with pytest.raises(StorageFull):
        write_key_file(Disk(), str(tmp_path / "key.pem"), make_private_key(Algorithm.ED25519))
    assert os.listdir(tmp_path) == []
