import os
import stat
import tempfile
from pathlib import Path

import pytest

from mailsrv.config.load import load
from mailsrv.errors import Refused
from mailsrv.cli import try_place
from mailsrv.cli.try_place import choose_directory, prepare, write_config

PORTS = {"smtp": 2525, "submission": 2587, "submissions": 2465, "lmtp": 2424}
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="files of another user need root")


@pytest.fixture
def directory():
    """A short path, which a unix socket's name needs, and one that is not closed to others."""
    with tempfile.TemporaryDirectory(prefix="mailsrv-test-") as path:
        os.chmod(path, 0o755)
        yield Path(path) / "try"


def test_the_configuration_is_right_and_has_every_listener(directory):
    place = prepare(str(directory))
    config = load(write_config(place, PORTS), {})
    listeners = [(listener.kind, listener.addr, listener.port) for listener in config.listeners]
    assert listeners == [*((kind, "127.0.0.1", port) for kind, port in PORTS.items()), ("lmtp", place.lmtp_socket, 0)]
    assert config.data_dir == str(directory / "data")
    assert [account.name for account in config.accounts] == ["alice", "bob"]
    assert all(account.password_hash and account.scram_sha_256 for account in config.accounts)


def test_names_that_toml_would_take_for_something_else(directory):
    odd = directory.parent / 'a "b" \\c ${HOME} \té'
    place = prepare(str(odd))
    assert load(write_config(place, PORTS), {}).data_dir == f"{odd}/data"


def test_a_path_too_long_for_a_socket_has_none(directory):
    long = directory.parent / ("x" * 100)
    place = prepare(str(long))
    assert place.lmtp_socket == ""
    assert [listener.kind for listener in load(write_config(place, PORTS), {}).listeners] == list(PORTS)


def test_what_is_there_is_kept(directory):
    first = prepare(str(directory))
    kept = {name: (directory / name).read_bytes() for name in ("passwords", "cert.pem", "key.pem", "message.eml")}
    assert prepare(str(directory)) == first
    assert {name: (directory / name).read_bytes() for name in kept} == kept


def test_half_a_certificate_is_made_anew(directory):
    prepare(str(directory))
    before = (directory / "cert.pem").read_bytes()
    (directory / "key.pem").unlink()
    place = prepare(str(directory))
    assert (directory / "cert.pem").read_bytes() != before
    load(write_config(place, PORTS), {})


def test_passwords_are_many_and_closed_to_others(directory):
    place = prepare(str(directory))
    assert set(place.passwords) == {"alice", "bob"}
    assert len(set(place.passwords.values())) == 2
    for name in ("passwords", "key.pem"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600


def test_the_example_is_a_message(directory):
    prepare(str(directory))
    octets = (directory / "message.eml").read_bytes()
    assert octets.startswith(b"From: alice@example.test\r\nTo: bob@example.test\r\n")
    assert octets.count(b"\n") == octets.count(b"\r\n")


def test_messages_are_counted_where_they_lie(directory):
    place = prepare(str(directory))
    assert place.messages("bob") == [] and place.queued() == []
    for path in ("data/accounts/bob/new/1", "data/accounts/bob/cur/2:2,S", "data/spool/queue/3"):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text("x")
    assert [Path(path).name for path in place.messages("bob")] == ["1", "2:2,S"]
    assert place.queued() == [str(directory / "data/spool/queue/3")]


def test_an_empty_directory_is_taken_and_another_is_not(directory):
    directory.mkdir()
    prepare(str(directory))
    other = directory.parent / "other"
    other.mkdir()
    (other / "thesis").write_text("x")
    with pytest.raises(Refused, match="has other things in it"):
        prepare(str(other))
    file = directory.parent / "file"
    file.write_text("x")
    with pytest.raises(Refused, match="is no directory"):
        prepare(str(file))
    link = directory.parent / "link"
    link.symlink_to(directory)
    with pytest.raises(Refused, match="is no directory"):
        prepare(str(link))


@ROOT_ONLY
def test_a_directory_of_somebody_else_is_not_taken(directory):
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    with pytest.raises(Refused, match="belongs to another user"):
        prepare(str(directory))


def test_the_default_is_below_the_current_directory(directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    assert choose_directory("") == (str(directory.parent / "mailsrv-try"), "")
    assert choose_directory("here") == (str(directory.parent / "here"), "")


def test_root_needs_a_place_that_others_can_enter(directory, monkeypatch):
    directory.mkdir(mode=0o700)
    monkeypatch.chdir(directory)
    monkeypatch.setattr(try_place.os, "geteuid", lambda: 0)
    reason = f"{directory} is closed to all but root, and the workers never run as root"
    monkeypatch.delenv("TMPDIR", raising=False)
    assert choose_directory("") == ("/var/tmp/mailsrv-try", reason)
    monkeypatch.setenv("TMPDIR", str(directory.parent))
    assert choose_directory("") == (str(directory.parent / "mailsrv-try"), reason)
    with pytest.raises(Refused, match=f"{reason}: choose"):
        choose_directory("below")
    monkeypatch.setenv("TMPDIR", str(directory))
    with pytest.raises(Refused, match=f"{reason}: choose"):
        choose_directory("")
    monkeypatch.setattr(try_place.os, "geteuid", lambda: 1000)
    assert choose_directory("below") == (str(directory / "below"), "")
