"""What a rehearsal is given: arguments as values, messages as they were saved, configurations that are missing."""

import argparse
import io
import os
from pathlib import Path

import pytest

from mailsrv.cli import rehearsal_input
from mailsrv.cli.rehearsal_input import (
    RehearsalClock,
    open_resolver,
    read_address,
    read_config,
    read_domain,
    read_helo,
    read_ip,
    read_message,
    read_path,
    read_time,
)
from mailsrv.config.schema import Config, DnsConfig
from mailsrv.errors import ConfigError, GrammarError
from mailsrv.mail.address import Address
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeDnsServer

GOOD = [
    (read_ip, "192.0.2.7", "192.0.2.7"),
    (read_ip, "2001:DB8:0:0::7", "2001:db8::7"),
    (read_ip, "::ffff:192.0.2.7", "192.0.2.7"),
    (read_helo, "mx.far.example", "mx.far.example"),
    (read_helo, "[IPv6:2001:db8::7]", "[IPv6:2001:db8::7]"),
    (read_path, "<>", None),
    (read_path, "", None),
    (read_path, "<a@far.example>", Address("a", "far.example")),
    (read_path, "a@far.example", Address("a", "far.example")),
    (read_address, "jürgen@bücher.example", Address("jürgen", "bücher.example")),
    (read_domain, "BÜCHER.example.", "xn--bcher-kva.example"),
    (read_time, "1700000000", 1_700_000_000),
    (read_time, "2023-11-14T22:13:20", 1_700_000_000),
    (read_time, "2023-11-14T23:13:20+01:00", 1_700_000_000),
    (read_time, "2023-11-14", 1_699_920_000),
]
BAD = [
    (read_ip, "far.example"),
    (read_ip, "192.0.2.7/24"),
    (read_ip, "fe80::1%eth0"),
    (read_helo, ""),
    (read_helo, "a b"),
    (read_helo, "a\r\nMAIL FROM:<>"),
    (read_helo, "\x1b[2J"),
    (read_path, "a"),
    (read_path, "a@far.example>\r\nDATA"),
    (read_path, "<<>>"),
    (read_address, ""),
    (read_domain, "far..example"),
    (read_domain, "."),
    (read_time, "yesterday"),
    (read_time, "-1"),
]


@pytest.mark.parametrize(("read", "text", "value"), GOOD)
def test_arguments(read, text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), BAD)
def test_wrong_arguments(read, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as told:
        read(text)
    assert str(told.value).isprintable()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (b"", b""),
        (b"A: b\n\nc\n", b"A: b\r\n\r\nc\r\n"),
        (b"A: b\r\n\r\nc\r\n", b"A: b\r\n\r\nc\r\n"),
        (b"A: b\r\n\nc", b"A: b\r\n\r\nc\r\n"),
        (b"A: b\n\nc\rd\n", b"A: b\r\n\r\nc\rd\r\n"),
        (b"\n\n", b"\r\n\r\n"),
        (b"From a@far.example Tue\nA: b\n", b"A: b\r\n"),
        (b"From: a\n", b"From: a\r\n"),
        (b".\n..\n", b".\r\n..\r\n"),
    ],
)
def test_messages(given: bytes, taken: bytes) -> None:
    assert read_message(io.BytesIO(given)) == taken


def test_a_terminal_is_told_what_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    assert read_message(Terminal(b"A: b\n")) == b"A: b\r\n"
    assert "^D" in capsys.readouterr().err


def test_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeClock(5.0)
    monkeypatch.setattr(rehearsal_input.SystemClock, "now", staticmethod(fake.now))
    monkeypatch.setattr(rehearsal_input.SystemClock, "monotonic", staticmethod(fake.monotonic))
    assert RehearsalClock().now() == 5.0
    assert RehearsalClock(0.0).now() == 0.0
    assert RehearsalClock(7.0).monotonic() == 5.0


def test_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "mailsrv.toml")
    with pytest.raises(ConfigError):  # it was named, so it should be there
        read_config(path)
    monkeypatch.setattr(rehearsal_input, "DEFAULT_CONFIG", path)
    assert read_config(path) == Config(hostname=os.uname().nodename, data_dir="")
    assert capsys.readouterr().err == ""
    Path(path).write_text("hostname = 1\n")
    with pytest.raises(ConfigError):
        read_config(path)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert read_config(path).checks == Config("x", "").checks
    assert "cannot be read by this user" in capsys.readouterr().err


def test_nameservers() -> None:
    with FakeDnsServer("far.example A 192.0.2.7") as first, FakeDnsServer("far.example A 192.0.2.8") as second:
        config = Config("mx.example.org", "", dns=DnsConfig([first.nameserver]))
        for given, address in (([], "192.0.2.7"), ([second.nameserver], "192.0.2.8")):
            assert open_resolver(config, given, FakeClock()).query("far.example", "A").records == (address,)
    with pytest.raises(GrammarError):
        open_resolver(config, ["nobody"], FakeClock())
