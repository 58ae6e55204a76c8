"""mailsrv dkim-keygen and mailsrv dkim: from no keys to a whole rotation, with a fake DNS that the postmaster fills."""

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.authn.keys import Algorithm, parse_private_key, parse_record
from mailsrv.authn.keystore import KeyStore
from mailsrv.cli import dkim
from mailsrv.cli.mailsrv import COMMANDS, Command, main
from mailsrv.serve.privileges import Identity
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeDnsServer

NOW = 1_800_000_000  # 2027-01-15
DAY = 86400
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock(NOW)
    monkeypatch.setattr(SystemClock, "now", staticmethod(fake.now))
    monkeypatch.setitem(COMMANDS, "dkim-keygen", Command("make DKIM keys", "mailsrv.cli.dkim", "keygen"))
    monkeypatch.setitem(COMMANDS, "dkim", Command("show or rotate DKIM keys", "mailsrv.cli.dkim"))
    return fake


@pytest.fixture(autouse=True)
def dns() -> Iterator[FakeDnsServer]:
    with FakeDnsServer() as server:
        yield server


@pytest.fixture
def config(tmp_path: Path, dns: FakeDnsServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dkim, "choose", lambda _config: Identity(os.geteuid(), os.getegid(), "x", False))
    return write_config(tmp_path, dns, "example.com", "bücher.example")


def write_config(directory: Path, dns: FakeDnsServer, *domains: str) -> Path:
    addresses = ", ".join(f'"postmaster@{domain}"' for domain in domains)
    names = ", ".join(f'"{domain}"' for domain in domains)
    account = f'[[accounts]]\nname = "ada"\naddresses = [{addresses}]\n' if domains else ""
    path = directory / "mailsrv.toml"
    path.write_text(
        f'hostname = "mail.example.com"\ndata_dir = "{directory}/data"\ndomains = [{names}]\n'
        f'[dns]\nnameservers = ["{dns.nameserver}"]\n[dkim]\nretire_days = 6\n{account}',
        encoding="utf-8",
    )
    return path


def run(config: Path, *arguments: str) -> int:
    return main(["--config", str(config), *arguments])


def publish(dns: FakeDnsServer, output: str) -> None:
    """Put the printed records into the DNS, as a postmaster pastes them into a zone file."""
    lines = []
    for name, strings in re.findall(r'^(\S+)\. IN TXT \(?((?:\s*"[^"]*")+)', output, re.MULTILINE):
        texts = re.findall('"([^"]*)"', strings)
        assert all(len(text) <= 255 for text in texts)
        lines.append(f"{name} TXT {' '.join(quote(text) for text in texts)}")
    dns.zone = type(dns.zone)("\n".join(lines))


def quote(text: str) -> str:
    return f'"{text}"'


def states(config: Path) -> dict[str, str]:
    store = KeyStore(Disk(), str(config.parent / "data"))
    return {key.selector: key.state.value for key in store.read("example.com")}


def test_keygen_makes_both_kinds_for_every_domain(config: Path, capsys: Output) -> None:
    assert run(config, "dkim-keygen") == 0
    output = capsys.readouterr()
    assert output.err == ""
    names = re.findall(r"^(\S+)\. IN TXT", output.out, re.MULTILINE)
    assert names == [
        f"20270115{letter}._domainkey.{domain}"
        for domain in ("example.com", "xn--bcher-kva.example")
        for letter in "er"
    ]
    assert all(line.startswith((";", "    ")) or " IN TXT " in line for line in output.out.splitlines())
    assert states(config) == {"20270115e": "next", "20270115r": "next"}


def test_keygen_for_one_domain_selector_and_kind(config: Path, capsys: Output) -> None:
    assert run(config, "dkim-keygen", "--domain", "BÜCHER.example", "--selector", "s", "--algorithm", "rsa") == 0
    assert capsys.readouterr().out.splitlines()[1] == "sr._domainkey.xn--bcher-kva.example. IN TXT ("
    assert run(config, "dkim-keygen", "--domain", "bücher.example", "--selector", "s", "--algorithm", "rsa") == 1
    assert "has a key with the selector sr already" in capsys.readouterr().err
    assert run(config, "dkim-keygen", "--domain", "mail.example.com") == 0  # the host's own name
    assert run(config, "dkim-keygen", "--domain", "example.net") == 69
    assert "example.net is not in the domains of" in capsys.readouterr().err


def test_a_configuration_without_domains(tmp_path: Path, dns: FakeDnsServer, capsys: Output) -> None:
    config = write_config(tmp_path, dns)
    assert run(config, "dkim-keygen") == 69
    assert "has no domains; name one with --domain" in capsys.readouterr().err


def test_one_key_into_a_file(config: Path, tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "dkim.pem"
    assert run(config, "dkim-keygen", "--out", str(file), "--domain", "example.org", "--selector", "mail") == 0
    path, instruction, record = capsys.readouterr().out.splitlines()
    assert path == str(file)
    assert "mail._domainkey.example.org" in instruction
    assert record.startswith("v=DKIM1; k=ed25519; p=")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    octets = file.read_bytes()
    assert parse_private_key(octets).public == parse_record(record.encode())
    assert run(config, "dkim-keygen", "--out", str(file)) == 1
    complaint = f"mailsrv: {file}: exists already, a key is never overwritten; name another file\n"
    assert capsys.readouterr() == ("", complaint)
    assert file.read_bytes() == octets
    assert not (tmp_path / "data").exists()


def test_the_name_comes_from_the_configuration_if_there_is_one(config: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(config, "dkim-keygen", "--out", str(tmp_path / "1.pem"), "--algorithm", "rsa") == 0
    output = capsys.readouterr().out
    assert "20270115r._domainkey.example.com:" in output
    assert "20270115r._domainkey.xn--bcher-kva.example:" in output
    assert parse_private_key((tmp_path / "1.pem").read_bytes()).algorithm is Algorithm.RSA
    assert run(tmp_path / "none.toml", "dkim-keygen", "--out", str(tmp_path / "2.pem"), "--selector", "s") == 0
    assert "s._domainkey.<your-domain>:" in capsys.readouterr().out
    (tmp_path / "bad.toml").write_text("nothing")
    assert run(tmp_path / "bad.toml", "dkim-keygen", "--out", str(tmp_path / "3.pem")) == 78
    assert not (tmp_path / "3.pem").exists()


def test_a_key_from_elsewhere_is_taken_over(
    config: Path, tmp_path: Path, dns: FakeDnsServer, capsys: Output
) -> None:
    file = tmp_path / "old.pem"
    run(config, "dkim-keygen", "--out", str(file))
    record = capsys.readouterr().out.splitlines()[-1]
    take = ("dkim-keygen", "--domain", "example.com", "--key", str(file))
    assert run(config, *take) == 2
    assert capsys.readouterr().err == "mailsrv: --key needs --selector, and no --algorithm\n"
    assert run(config, *take, "--selector", "old") == 0
    assert f'old._domainkey.example.com. IN TXT "{record}"' in capsys.readouterr().out
    assert (tmp_path / "data/dkim/example.com/old.pem").read_bytes() == file.read_bytes()
    dns.zone = type(dns.zone)(f"old._domainkey.example.com TXT {record}")
    assert run(config, "dkim", "rotate", "--domain", "example.com") == 0
    assert states(config) == {"old": "active"}
    assert run(config, *take, "--selector", "old") == 1
    file.write_text("nothing")
    capsys.readouterr()
    assert run(config, *take, "--selector", "new") == 1
    assert capsys.readouterr().err == f"mailsrv: {file}: is not a private key in PEM without a password\n"


def test_status_before_and_after(config: Path, dns: FakeDnsServer, capsys: Output) -> None:
    assert run(config, "dkim", "status") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{domain}: no keys, its mail is not signed; `mailsrv dkim-keygen --domain {domain}` makes some"
        for domain in ("example.com", "xn--bcher-kva.example")
    ]
    assert not (config.parent / "data").exists()
    run(config, "dkim-keygen", "--domain", "example.com", "--algorithm", "ed25519")
    made = capsys.readouterr().out
    assert run(config, "dkim", "status", "--domain", "example.com") == 0
    name = "20270115e._domainkey.example.com"
    lines = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["RECORD", "STATE", "SINCE", "DNS", "TO DO"],
        [name, "next", "2027-01-15", "no", f"publish {name}, then `mailsrv dkim rotate`"],
    ]
    publish(dns, made)
    assert run(config, "dkim", "status", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row.pop("record") in made
    assert row == {
        "domain": "example.com",
        "selector": "20270115e",
        "algorithm": "ed25519",
        "state": "next",
        "since": NOW,
        "name": name,
        "dns": "yes",
        "advice": "`mailsrv dkim rotate` makes it active",
    }


def test_a_whole_rotation(config: Path, dns: FakeDnsServer, clock: FakeClock, capsys: Output) -> None:
    rotate = ("dkim", "rotate", "--domain", "example.com")
    status = ("dkim", "status", "--domain", "example.com")
    assert run(config, *rotate) == 0  # no keys: the next ones are made
    first = capsys.readouterr().out
    assert states(config) == {"20270115e": "next", "20270115r": "next"}

    assert run(config, *rotate) == 75  # not published yet: the records are shown again
    again = capsys.readouterr().out
    assert "20270115e waits, DNS shows its record: no" in again
    assert first.splitlines()[1] in again
    assert states(config) == {"20270115e": "next", "20270115r": "next"}

    publish(dns, first)
    assert run(config, *rotate) == 0
    assert "20270115e next -> active: DNS shows its record" in capsys.readouterr().out
    assert states(config) == {"20270115e": "active", "20270115r": "active"}
    assert run(config, *status) == 0
    assert capsys.readouterr().out.count("nothing") == 2

    clock.advance(90 * DAY)
    assert run(config, *rotate) == 0
    second = capsys.readouterr().out
    assert states(config) == dict.fromkeys(("20270115e", "20270115r"), "active") | {
        "20270415e": "next",
        "20270415r": "next",
    }

    publish(dns, first + second)
    assert run(config, *rotate) == 0
    assert "20270115r active -> retiring: another key of its algorithm" in capsys.readouterr().out
    assert states(config) == {
        "20270115e": "retiring",
        "20270115r": "retiring",
        "20270415e": "active",
        "20270415r": "active",
    }
    assert run(config, *status) == 0
    assert "keep 20270115e._domainkey.example.com until 2027-04-21" in capsys.readouterr().out

    publish(dns, second)  # too early
    assert run(config, *status) == 1
    assert "mail on its way fails: keep 20270115e._domainkey.example.com until" in capsys.readouterr().out

    publish(dns, first + second)
    clock.advance(6 * DAY)
    assert run(config, *status) == 0
    assert "remove 20270115e._domainkey.example.com from the DNS" in capsys.readouterr().out
    assert run(config, *rotate) == 0
    assert "retiring -> gone" in capsys.readouterr().out
    assert states(config)["20270115e"] == "gone"
    assert not (config.parent / "data/dkim/example.com/20270115e.pem").exists()

    publish(dns, second)
    run(config, *rotate)
    assert "gone -> forgotten: DNS shows its record no more" in capsys.readouterr().out
    assert set(states(config)) == {"20270415e", "20270415r", "20270421e", "20270421r"}


def test_a_vanished_record_is_an_alarm(config: Path, dns: FakeDnsServer, capsys: Output) -> None:
    run(config, "dkim-keygen")
    publish(dns, capsys.readouterr().out)
    run(config, "dkim", "rotate")
    publish(dns, "")
    capsys.readouterr()
    assert run(config, "dkim", "status") == 1
    assert "signatures fail: publish 20270115e._domainkey.example.com again" in capsys.readouterr().out
    assert run(config, "dkim", "rotate", "--domain", "example.com") == 0
    assert states(config)["20270115e"] == "active"  # it is replaced only by a key that DNS shows


def test_every_nameserver_must_show_a_key(config: Path, dns: FakeDnsServer, capsys: Output) -> None:
    run(config, "dkim-keygen", "--domain", "example.com")
    publish(dns, capsys.readouterr().out)
    with FakeDnsServer("FAIL 20270115e._domainkey.example.com") as other:
        servers = ("--nameserver", dns.nameserver, "--nameserver", other.nameserver)
        assert run(config, "dkim", "rotate", "--domain", "example.com", *servers) == 75
        output = capsys.readouterr()
        assert "20270115e waits, DNS shows its record: no answer" in output.out
        assert "20270115r waits, DNS shows its record: no\n" in output.out
        assert output.err.startswith("mailsrv: 20270115e._domainkey.example.com TXT: ")
    assert run(config, "dkim", "rotate", "--domain", "example.com", "--nameserver", "nowhere") == 1
    assert '"nowhere" is no IP address' in capsys.readouterr().err
    assert states(config) == {"20270115e": "next", "20270115r": "next"}


def test_rotation_moves_the_keys_of_the_host_too(config: Path, capsys: Output) -> None:
    assert run(config, "dkim-keygen", "--domain", "mail.example.com", "--algorithm", "ed25519") == 0
    assert run(config, "dkim", "rotate") == 75
    output = capsys.readouterr().out
    assert "; mail.example.com: 20270115e waits" in output
    assert "; example.com: new keys" in output


def test_keys_of_domains_that_were_taken_out_are_still_shown(config: Path, dns: FakeDnsServer, capsys: Output) -> None:
    run(config, "dkim-keygen", "--domain", "example.com", "--algorithm", "ed25519")
    write_config(config.parent, dns, "example.org")
    capsys.readouterr()
    assert run(config, "dkim", "status") == 0
    output = capsys.readouterr().out
    assert "20270115e._domainkey.example.com" in output
    assert "example.org: no keys" in output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_makes_keys_that_the_service_user_can_read(dns: FakeDnsServer, capsys: Output) -> None:
    directory = Path(tempfile.mkdtemp(prefix="mailsrv-test-", dir="/var/tmp"))  # where the service user may go
    try:
        directory.chmod(0o755)
        config = write_config(directory, dns, "example.com")
        (directory / "data").mkdir()
        os.chown(directory / "data", 61184, 61185)
        assert run(config, "dkim-keygen", "--domain", "example.com") == 0
        assert run(config, "dkim", "rotate", "--domain", "example.com") == 75
        found = [directory / "data" / "dkim", *(directory / "data" / "dkim").rglob("*")]
        assert len(found) == 6
        assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(61184, 61185)}
        assert (os.geteuid(), os.getegid()) == (0, 0)
        capsys.readouterr()
    finally:
        shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_gives_no_directory_away_that_was_there_before(dns: FakeDnsServer, capsys: Output) -> None:
    directory = Path(tempfile.mkdtemp(prefix="mailsrv-test-", dir="/var/tmp"))
    try:
        directory.chmod(0o755)
        config = write_config(directory, dns, "example.com")
        (directory / "data").mkdir()
        assert run(config, "dkim-keygen", "--domain", "example.com") == 0
        assert (directory / "data").stat().st_uid == 0
        assert (directory / "data" / "dkim").stat().st_uid != 0
        capsys.readouterr()
    finally:
        shutil.rmtree(directory)
