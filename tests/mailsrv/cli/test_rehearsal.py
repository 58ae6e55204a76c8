"""mailsrv test: cases of whole rehearsals and of single checks, and the arguments.

tests/cases/authn/message-NN-*/ and check-NN-*/: `zone` for tests/fakes/dns.py; `message` as a mail program saves it;
`arguments` behind `mailsrv test`; sometimes `mailsrv.toml`, tables that are put below CONFIG; and `expected`, all that
is printed, with the exit code as the last line. The messages are signed and sealed with the keys of dkim-00-rfc8463.
"""

import io
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailsrv.cli import rehearsal_input
from mailsrv.cli.mailsrv import main
from mailsrv.errors import Exit
from tests.fakes.dns import FakeResolver

TOP = Path(__file__).parents[2] / "cases" / "authn"
CASES = sorted([*TOP.glob("message-*"), *TOP.glob("check-*")])
CONFIG = """\
hostname = "mx.example.org"
data_dir = "{data}"
domains = ["example.org"]

[aliases]
"team@example.org" = ["alice", "bob"]
"away@example.org" = ["bob", "a@far.example"]

[[accounts]]
name = "alice"
addresses = ["alice@example.org", "postmaster@example.org"]

[[accounts]]
name = "bob"
addresses = ["bob@example.org"]

[[listeners]]
kind = "smtp"
port = 25

"""
Output = pytest.CaptureFixture[str]


class Rehearsals:
    """`mailsrv test` in this process, its DNS a zone text. `servers`: the nameservers that were to be asked."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, output: Output) -> None:
        self.config = directory / "mailsrv.toml"
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        self.servers: list[str] = []
        self._output = output
        self._monkeypatch = monkeypatch
        self.errors = ""
        self.configure()

    def configure(self, more: str = "") -> None:
        self.config.write_text(CONFIG.format(data=self.data) + more)
        self.config.chmod(0o600)

    def run(self, *words: str, message: bytes = b"", zone: str = "") -> tuple[int, str]:
        """Exit code and standard output."""

        def make(servers, *_more, **_other):
            self.servers = list(servers)
            return FakeResolver(zone)

        self._monkeypatch.setattr(rehearsal_input, "DnsResolver", make)
        self._monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(message)))
        code = main(["--config", str(self.config), "test", *words])
        printed = self._output.readouterr()
        self.errors = printed.err
        return code, printed.out


@pytest.fixture
def rehearsals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> Rehearsals:
    return Rehearsals(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case: Path, rehearsals: Rehearsals) -> None:
    more = case / "mailsrv.toml"
    rehearsals.configure(more.read_text() if more.exists() else "")
    words = shlex.split((case / "arguments").read_text())
    code, printed = rehearsals.run(*words, message=(case / "message").read_bytes(), zone=(case / "zone").read_text())
    assert rehearsals.errors == ""
    assert printed + f"exit {code}\n" == (case / "expected").read_text()
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert list(rehearsals.data.iterdir()) == []
