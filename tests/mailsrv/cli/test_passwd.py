"""mailsrv passwd: two lines that the configuration takes and that fit the password, from a pipe and from a terminal."""

import getpass
import io
import tomllib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from mailsrv.cli.mailsrv import main
from mailsrv.config.check_accounts import explain_hash, explain_scram
from mailsrv.directory.passwords import Passwords
from mailsrv.sasl.scram import derive, parse_key

Type = Callable[[bytes], None]


@dataclass(frozen=True)
class Login:
    password_hash: str


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Type:
    return lambda octets: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(octets)))


def check(output: str, password: str) -> None:
    assert output.count("\n") == 2
    keys = tomllib.loads(output)
    assert list(keys) == ["password_hash", "scram_sha_256"]
    assert explain_hash(keys["password_hash"]) == explain_scram(keys["scram_sha_256"]) == ""
    assert Passwords(nullcontext()).check(Login(keys["password_hash"]), password)
    key = parse_key(keys["scram_sha_256"])
    assert derive(password, key.salt, key.iterations) == key


@pytest.mark.parametrize("octets", [b"secret", b"secret\n", b"secret\r\n", b"secret\nmore\n"])
def test_a_line_of_standard_input(pipe: Type, octets: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(octets)
    assert main(["passwd"]) == 0
    output = capsys.readouterr()
    check(output.out, "secret")
    assert output.err == ""


def test_spaces_and_other_scripts_belong_to_it(pipe: Type, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(" häß lich \n".encode())
    assert main(["passwd"]) == 0
    check(capsys.readouterr().out, " häß lich ")


@pytest.mark.parametrize("octets", [b"", b"\n", b"a\0b\n", b"\xff\n"])
def test_what_cannot_be_a_password(pipe: Type, octets: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(octets)
    assert main(["passwd"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("mailsrv: the password ")


def ask(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(io.BytesIO()))
    waiting = list(answers)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: waiting.pop(0))


def test_the_terminal_is_asked_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ask(monkeypatch, "secret", "secret")
    assert main(["passwd"]) == 0
    check(capsys.readouterr().out, "secret")


def test_two_entries_that_differ(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ask(monkeypatch, "secret", "secert")
    assert main(["passwd"]) == 1
    assert capsys.readouterr() == ("", "mailsrv: the two entries differ; nothing was made\n")


def test_no_password_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passwd", "secret"]) == 2
