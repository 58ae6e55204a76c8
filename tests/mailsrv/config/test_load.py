"""Loading: what happens to the file itself; tests/cases/config has what is said about its contents."""

from pathlib import Path

import pytest

from mailsrv.config.load import load, load_with_warnings
from mailsrv.errors import ConfigError

BASE = 'hostname = "mail.example.org"\ndata_dir = "/d"\n'


def write(tmp_path: Path, text: str | bytes, mode: int = 0o600) -> str:
    file = tmp_path / "mailsrv.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return str(file)


def complain(path: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(path, {})
    return raised.value.complaints


def test_a_good_file(tmp_path: Path) -> None:
    path = write(tmp_path, BASE, 0o644)
    config, warnings = load_with_warnings(path, {})
    assert config.hostname == "mail.example.org"
    assert config.source == path
    assert warnings == [f"{path}:1: listeners: warning: there are none, so nothing will be served"]


def test_ports_are_filled_in_by_kind(tmp_path: Path) -> None:
    kinds = ("smtp", "lmtp")
    text = (
        BASE
        + "".join(f'[[listeners]]\nkind = "{kind}"\n' for kind in kinds)
        + '[[listeners]]\nkind = "smtp"\nport = 99\n'
    )
    config = load(write(tmp_path, text + '[[listeners]]\nkind = "lmtp"\naddr = "/run/x"\n'), {})
    assert [listener.port for listener in config.listeners] == [25, 24, 99, 0]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    assert complain(missing) == [
        f"{missing}: cannot be read: No such file or directory; name another file with --config"
    ]
    assert "Is a directory" in complain(str(tmp_path))[0]


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode() + b"x = 1\r\n")
    assert complain(path)[0].startswith(f"{path}:3: x: is not known")


def test_what_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, BASE.encode() + b'domains = ["b\xfccher.example"]\n')
    assert complain(path) == [f"{path}:3: is not UTF-8 text, TOML must be"]


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 50_000, "a = 1\n" + "a." * 5 + "b", 'a = "\x01"', "[a", "a = 1\na = 2", "\0"]
)
def test_any_syntax_error_is_one_line_of_text(tmp_path: Path, text: str) -> None:
    complaints = complain(write(tmp_path, text))
    assert len(complaints) == 1
    assert complaints[0].isprintable()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_secrets_are_for_the_owner_only(tmp_path: Path, mode: int) -> None:
    text = BASE + '[[accounts]]\nname = "a"\naddresses = ["a@b.example"]\nscram_sha_256 = "x"\n'
    assert any(f"(mode {mode:04o})" in complaint for complaint in complain(write(tmp_path, text, mode)))
    assert not any("(mode" in complaint for complaint in complain(write(tmp_path, text, 0o600)))
    assert not any("(mode" in complaint for complaint in complain(write(tmp_path, text.replace('"x"', '""'), mode)))
    assert not any("(mode" in complaint for complaint in complain(write(tmp_path, text.replace('"x"', '"${X}"'), mode)))


def test_many_accounts_load_in_reasonable_time(tmp_path: Path) -> None:
    accounts = "".join(f'[[accounts]]\nname = "u{i}"\naddresses = ["u{i}@x.example"]\n' for i in range(3000))
    text = f'{BASE}domains = ["x.example"]\n[catch_all]\n"x.example" = "u0"\n{accounts}'
    assert len(load(write(tmp_path, text), {}).accounts) == 3000
