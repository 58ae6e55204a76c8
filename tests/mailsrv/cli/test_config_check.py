"""mailsrv config-check: the verdict on standard output, the reasons on standard error, 0 or 1."""

from pathlib import Path

import pytest

from mailsrv.cli.mailsrv import main

SEED = """\
hostname = "mail.example.org"
data_dir = "/var/lib/mail"
domains = ["example.org"]
[[accounts]]
name = "alice"
addresses = ["alice@example.org", "postmaster@example.org"]
[[listeners]]
kind = "smtp"
"""


def run(tmp_path: Path, text: str) -> int:
    (tmp_path / "mail.toml").write_text(text)
    return main(["config-check", "--config", str(tmp_path / "mail.toml")])


def test_the_quick_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, SEED) == 0
    assert capsys.readouterr() == ("configuration is valid\n", "")


def test_warnings_leave_it_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, SEED + 'addr = "0.0.0.0"\n') == 0
    output = capsys.readouterr()
    assert output.out == "configuration is valid\n"
    assert ":8: listeners.kind: warning: " in output.err


def test_all_faults_in_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, SEED.replace("mail.example.org", "mail").replace("smtp", "imap")) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert [line.split(": ")[1] for line in output.err.splitlines()] == ["hostname", "listeners.kind"]


def test_variables_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SEED.replace("mail.example.org", "${MAILSRV_TEST_HOST}")
    assert run(tmp_path, text) == 1
    monkeypatch.setenv("MAILSRV_TEST_HOST", "mail.example.org")
    assert run(tmp_path, text) == 0


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config-check", "--config", str(tmp_path / "none")]) == 1
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config-check", "file"]) == 2
