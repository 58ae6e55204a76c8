"""Errors of programs as sentences and exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailsrv.cli.program import INTERRUPTED, NotPermitted, make_parser, run_program
from mailsrv.errors import Busy, ConfigError, MailsrvError, Refused, StorageError, StorageFull

TOP = Path(__file__).resolve().parents[3]
Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError(["f:1: a", "f:2: b"]), 78, "f:1: a\nf:2: b\n"),
        (Busy("taken"), 75, "x: taken\n"),
        (StorageFull("no room"), 75, "x: no room\n"),
        (StorageError("broken"), 1, "x: broken\n"),
        (Refused("no"), 69, "x: no\n"),
        (NotPermitted("not you"), 77, "x: not you\n"),
        (PermissionError(13, "Permission denied", "/f"), 77, "x: /f: Permission denied\n"),
        (MailsrvError("else"), 1, "x: else\n"),
        (KeyboardInterrupt(), INTERRUPTED, ""),
        (SystemExit(2), 2, ""),
    ],
)
def test_errors(error: BaseException, code: int, text: str, capsys: Output) -> None:
    def fail() -> int:
        raise error

    assert run_program("x", fail) == code
    assert capsys.readouterr().err == text


def test_codes_of_one_s_own() -> None:
    def fail() -> int:
        raise StorageError("x")

    assert run_program("x", fail, {StorageError: 75}, 70) == 75
    assert run_program("x", fail, {}, 70) == 70
    assert run_program("x", lambda: 5) == 5


def test_version_and_help(capsys: Output) -> None:
    assert run_program("x", lambda: bool(make_parser("x", "What.").parse_args(["--version"]))) == 0
    assert capsys.readouterr().out.startswith("x of mailsrv ")


@pytest.mark.parametrize("name", ["mailq", "mailrun"])
def test_the_programs_work_from_a_checkout(name: str) -> None:
    command = [sys.executable, str(TOP / "bin" / name), "--version"]
    done = subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_sendmail_works_from_a_checkout() -> None:
    command = [sys.executable, str(TOP / "bin" / "sendmail"), "-bi"]
    done = subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
