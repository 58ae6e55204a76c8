"""mailsrv verify: silent and 0, or a line for each fault and 1; --repair."""

import io
from pathlib import Path

import pytest

from mailsrv.cli.mailsrv import main
from mailsrv.store.readers import Readers
from mailsrv.store.values import Incoming
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk


@pytest.fixture(autouse=True)
def nobody_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsrv.cli.verify.become_service_user", lambda config: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "mail.toml").write_text(f'hostname = "mail.example.org"\ndata_dir = "{tmp_path}/data"\n')
    for account in ("alice", "bob"):
        box = Readers(Disk(), f"{tmp_path}/data", SystemClock(), "h").reader(account).open("INBOX")
        file = box.new_file()
        file.write([b"x"])
        box.append([Incoming(file)])
    return tmp_path


def run(data: Path, *arguments: str) -> int:
    return main(["verify", *arguments, "--config", str(data / "mail.toml")])


def break_counts(data: Path) -> None:
    index = Readers(Disk(), f"{data}/data", SystemClock(), "h").reader("bob")._index
    with index.write() as writing:
        writing.execute("UPDATE mailbox SET unseen = 7")


def test_all_is_well(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data) == 0
    assert run(data, "--repair") == 0
    assert capsys.readouterr().out == ""


def test_a_fault_is_told_and_repaired(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_counts(data)
    assert run(data, "alice") == 0
    assert run(data) == 1
    assert capsys.readouterr().out == "bob: INBOX: unseen: counts 7, and there are 1\n"
    assert run(data, "--repair", "bob") == 0
    assert capsys.readouterr().out == "bob: repaired: INBOX: unseen: counts 7, and there are 1\n"
    assert run(data) == 0


def test_an_account_without_mail(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "carol") == 69
    assert "carol: has no directory" in capsys.readouterr().err
    assert not (data / "data/accounts/carol").exists()


def test_what_is_no_account_is_passed_over(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "data/accounts/lost+found").mkdir()
    (data / "data/accounts/Some Thing").mkdir()
    (data / "data/accounts/notes").write_text("x")
    assert run(data) == 0
    assert run(data, "lost+found") == 69
    assert "lost+found: has no directory" in capsys.readouterr().err
    assert not list((data / "data/accounts/lost+found").iterdir())


def test_nobody_has_mail(tmp_path: Path) -> None:
    (tmp_path / "mail.toml").write_text(f'hostname = "mail.example.org"\ndata_dir = "{tmp_path}/data"\n')
    assert run(tmp_path) == 0


def spoil(data: Path) -> str:
    (path,) = (data / "data/accounts/bob/cur").iterdir()
    path.chmod(0o600)
    path.write_bytes(b"y")
    return path.name


def test_files_are_read_unless_it_is_to_be_quick(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readers = Readers(Disk(), f"{data}/data", SystemClock(), "h")
    while readers.filler("bob").work():
        pass
    name = spoil(data)
    assert run(data, "--quick") == 0
    assert run(data) == 1
    assert capsys.readouterr().out.startswith(f"bob: INBOX: UID 1: its file cur/{name} has the checksum ")
    assert run(data, "--repair", "--quick") == 0
    assert capsys.readouterr().out == ""
    assert run(data, "--repair") == 0
    assert capsys.readouterr().out.endswith("; it is UID 2 now\n")
    assert run(data) == 0


def test_a_bar_on_a_terminal(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert run(data, "--repair") == 0
    assert "alice, repair" in terminal.getvalue() and "bob " in terminal.getvalue()
    assert "0/1" in terminal.getvalue() and terminal.getvalue().endswith(" \r")


def test_a_damaged_index(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("", "-wal", "-shm"):
        path = data / f"data/accounts/bob/index.sqlite3{suffix}"
        path.unlink(missing_ok=True)
    (data / "data/accounts/bob/index.sqlite3").write_bytes(b"no database at all" * 300)
    assert run(data) == 1
    assert run(data, "--repair") == 0
    assert "set aside as" in capsys.readouterr().out
    assert run(data) == 0
