"""mailsrv config: effective values on standard output, 78 when there are none."""

import tomllib
from pathlib import Path

import pytest

from mailsrv.cli.mailsrv import main

BASE = 'hostname = "mail.example.org"\ndata_dir = "/d"\n'


def run(tmp_path: Path, text: str, *options: str) -> int:
    (tmp_path / "mail.toml").write_text(text)
    return main(["config", *options, "--config", str(tmp_path / "mail.toml")])


def test_effective_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, BASE + "limits.recipients = 7\n") == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert (shown["limits"]["recipients"], shown["limits"]["errors"]) == (7, 20)


def test_only_what_was_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, BASE + 'limits.recipients = 7\nlog.level = "info"\n', "-n") == 0
    assert capsys.readouterr().out == BASE + "\n[limits]\nrecipients = 7\n"


def test_a_wrong_configuration_is_not_effective(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, BASE + "x = 1\n") == 78
    output = capsys.readouterr()
    assert output.out == ""
    assert ":3: x: is not known" in output.err
