"""The command: finding subcommands, exit codes for every kind of error, and nothing imported without need."""

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv import __version__
from mailsrv.cli import mailsrv as command
from mailsrv.errors import Busy, ConfigError, Exit, MailsrvError, Refused, StorageError, StorageFull

TOP = Path(__file__).resolve().parents[3]
SELF = "tests_command"


class Double:
    """Stands in for the module of a command."""

    error: BaseException | None = None
    given: argparse.Namespace | None = None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("-x", action="store_true")

    def run(self, arguments: argparse.Namespace) -> int:
        self.given = arguments
        if self.error is not None:
            raise self.error
        return 5

    add_arguments_twin = add_arguments

    def run_twin(self, arguments: argparse.Namespace) -> int:
        return 6


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    module = Double()
    monkeypatch.setitem(sys.modules, SELF, module)  # type: ignore[arg-type]
    monkeypatch.setattr(
        command,
        "COMMANDS",
        {
            "serve": command.Command("run", SELF),
            "twin": command.Command("run the other", SELF, "twin"),
            "plain": command.Command("read nothing", SELF, reads_config=False),
            "status": command.Command("never imported", "no.such.module"),
        },
    )
    yield module


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_has_its_functions(name: str) -> None:
    row = command.COMMANDS[name]
    module = importlib.import_module(row.module)
    suffix = f"_{row.suffix}" if row.suffix else ""
    assert callable(getattr(module, f"run{suffix}"))
    assert callable(getattr(module, f"add_arguments{suffix}"))
    assert command.main([name, "--help"]) == Exit.OK


def test_arguments_reach_the_command(double: Double) -> None:
    assert command.main(["serve", "-x"]) == 5
    assert double.given is not None
    assert double.given.x is True
    assert double.given.config == "/etc/mailsrv/mailsrv.toml"
    assert command.main(["twin"]) == 6


@pytest.mark.parametrize(
    "argv",
    [
        ["--config", "F", "serve"],
        ["serve", "--config", "F"],
        ["--config=F", "serve"],
        ["--config", "G", "serve", "--config=F"],
    ],
)
def test_config_before_and_behind_the_command(double: Double, argv: list[str]) -> None:
    assert command.main(argv) == 5
    assert double.given is not None
    assert double.given.config == "F"


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "no command is given"),
        (["--config", "F"], "no command is given"),
        (["srve"], "did you mean serve?"),
        (["qqq"], "the commands are serve,"),
        (["serve", "--nonsense"], "--nonsense"),
        (["serve", "extra"], "extra"),
        (["plain", "--config", "F"], "--config"),
        (["serve", "--config"], "--config"),
        (["--nonsense", "serve"], "--nonsense"),
    ],
)
def test_usage_errors(double: Double, argv: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(argv) == Exit.USAGE
    output = capsys.readouterr()
    assert output.out == ""
    assert part in output.err
    assert double.given is None


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mailsrv {__version__}\n"
    assert command.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in command.COMMANDS)


ERRORS = [
    (MailsrvError("x"), Exit.FAILED, "mailsrv: x\n"),
    (Busy("x"), Exit.TEMPFAIL, "mailsrv: x\n"),
    (StorageError("x"), Exit.FAILED, "mailsrv: x\n"),
    (StorageFull("x"), Exit.TEMPFAIL, "mailsrv: x\n"),
    (Refused("x"), Exit.UNAVAILABLE, "mailsrv: x\n"),
    (ConfigError(["f:1: a", "f:2: b"]), Exit.CONFIG, "f:1: a\nf:2: b\n"),
    (FileNotFoundError(2, "No such file or directory", "/f"), Exit.FAILED, "mailsrv: /f: No such file or directory\n"),
    (PermissionError(13, "Permission denied", "/f"), Exit.NOPERM, "mailsrv: /f: Permission denied\n"),
    (OSError("odd"), Exit.FAILED, "mailsrv: odd\n"),
    (KeyboardInterrupt(), 130, ""),
]


@pytest.mark.parametrize(("error", "code", "said"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_are_sentences(
    double: Double, error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    double.error = error
    assert command.main(["serve"]) == code
    assert capsys.readouterr() == ("", said)


def test_a_bug_is_not_hidden(double: Double) -> None:
    double.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        command.main(["serve"])


def test_nobody_reads_the_output(tmp_path: Path) -> None:
    config = tmp_path / "mailsrv.toml"
    config.write_text(f'hostname = "mx.example.org"\ndata_dir = "{tmp_path}/data"\n')
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, TOP / "bin" / "mailsrv", "config", "--config", config]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert ended.stderr == b""
    assert ended.returncode == 141


def test_only_the_module_of_the_command_is_imported() -> None:
    program = (
        "import sys; from mailsrv.cli.mailsrv import main; main(['config', '--help']);"
        "print([name for name in sys.modules if name.startswith('mailsrv.serve') or name == 'cryptography'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=TOP, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
