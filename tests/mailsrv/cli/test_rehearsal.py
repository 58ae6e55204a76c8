"""mailsrv test: cases of whole rehearsals and of single checks, and the arguments.

tests/cases/authn/message-NN-*/ and check-NN-*/: `zone` for tests/fakes/dns.py; `message` as a mail program saves it;
`arguments` behind `mailsrv test`; sometimes `mailsrv.toml`, tables that are put below CONFIG; and `expected`, all that
is printed, with the exit code as the last line. The messages are signed and sealed with the keys of dkim-00-rfc8463.
When words that are printed change everywhere, MAILSRV_REWRITE_CASES=1 writes `expected` anew, to be read as a diff.
"""

import io
import json
import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailsrv.cli import rehearsal, rehearsal_input
from mailsrv.cli.mailsrv import main
from mailsrv.cli.rehearsal import ACTIONS
from mailsrv.config.schema import GreylistConfig
from mailsrv.errors import Exit
from mailsrv.serve.privileges import Identity
from mailsrv.store.senders import Senders
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from tests.fakes.dns import FakeResolver
from tests.fakes.rspamd import FakeRspamd
from tests.mailsrv.receive.fakes import Lines

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
        self.became: list[tuple[int, int]] = []
        monkeypatch.setattr(rehearsal, "drop_privileges", lambda uid, gid: self.became.append((uid, gid)))
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
    if os.environ.get("MAILSRV_REWRITE_CASES"):
        (case / "expected").write_text(f"{printed}exit {code}\n")
    assert f"{printed}exit {code}\n" == (case / "expected").read_text()
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert list(rehearsals.data.iterdir()) == []


def test_there_are_cases() -> None:
    assert len(CASES) > 60


FAR = ("--ip", "192.0.2.7", "--helo", "mx.far.example", "--from", "a@far.example")
ZONE = "far.example TXT v=spf1 ip4:192.0.2.7 -all\n_dmarc.far.example TXT v=DMARC1; p=reject\n"
MESSAGE = b"From: a@far.example\nSubject: \x1b[2J\n\nhi\n"


def test_json(rehearsals: Rehearsals) -> None:
    words = ("message", *FAR, "--rcpt", "away@example.org", "--json")
    code, printed = rehearsals.run(*words, message=b"X-Mailsrv-Reasons: \x1b\n" + MESSAGE, zone=ZONE)
    assert code == Exit.OK
    assert printed.isascii() and "\x1b" not in printed
    found = json.loads(printed)
    assert [*found] == [
        "version", "verdict", "reply", "session", "decision", "dns", "added", "removed", "mailboxes", "notes",
    ]  # fmt: skip
    assert found["verdict"] == found["decision"]["verdict"] == "accept"
    assert found["reply"] == "250 2.0.0 accepted as TEST"
    assert {(one["check"], one["name"]) for one in found["dns"]} >= {("spf", "far.example")}
    assert found["added"][0].startswith("Return-Path: <a@far.example>")
    assert found["removed"] == ["X-Mailsrv-Reasons: \x1b\r\n"]
    assert found["mailboxes"] == [
        {"recipient": "bob@example.org", "original": "away@example.org", "account": "bob", "mailbox": "INBOX"},
        {"recipient": "a@far.example", "original": "away@example.org", "account": "", "mailbox": ""},
    ]


def test_json_of_one_that_never_began(rehearsals: Rehearsals) -> None:
    (rehearsals.data / "bans").write_text("192.0.2.7 2999-01-01T00:00:00Z noise\n")
    code, printed = rehearsals.run("message", *FAR, "--json", message=MESSAGE, zone=ZONE)
    found = json.loads(printed)
    assert code == Exit.UNAVAILABLE
    assert found["decision"] is None
    assert [one["command"] for one in found["session"]] == ["connect"]
    assert found["reply"].startswith("554 5.7.1 ")
    assert "192.0.2.7 is banned, as 192.0.2.7 in the file bans: it would not be served" in found["notes"]
    assert found["mailboxes"] == found["dns"] == []


def test_who_is_allowed_is_not_banned(rehearsals: Rehearsals) -> None:
    rehearsals.configure('[bans]\nallow = ["192.0.2.0/24"]\n')
    (rehearsals.data / "bans").write_text("192.0.2.7 2999-01-01T00:00:00Z noise\n")
    code, printed = rehearsals.run("message", *FAR, message=MESSAGE, zone=ZONE)
    assert code == Exit.OK
    assert "is in bans.allow" in printed and "is banned" not in printed


def test_known_senders_are_not_greylisted(rehearsals: Rehearsals) -> None:
    rehearsals.configure("[greylist]\nenabled = true\n")
    words = ("message", *FAR)
    assert rehearsals.run(*words, message=MESSAGE, zone=ZONE)[0] == Exit.TEMPFAIL
    assert list(rehearsals.data.iterdir()) == []
    (rehearsals.data / "run").mkdir()
    senders = Senders(Disk(), str(rehearsals.data), GreylistConfig(True), SystemClock(), Lines())
    senders.passed("192.0.2.0/24", "far.example")
    senders.close()
    code, printed = rehearsals.run(*words, message=MESSAGE, zone=ZONE)
    assert code == Exit.OK
    assert "exempt: has passed DMARC" in printed


@pytest.mark.parametrize("asked", [True, False])
def test_the_content_filter(rehearsals: Rehearsals, asked: bool) -> None:
    with FakeRspamd({"action": "reject", "score": 20, "messages": {"smtp_message": "no \x1b[2J"}}) as rspamd:
        rehearsals.configure(f'[filter]\nrspamd = "{rspamd.url}"\n')
        more = () if asked else ("--no-filter",)
        code, printed = rehearsals.run("message", *FAR, *more, message=MESSAGE, zone=ZONE)
        assert len(rspamd.requests) == asked
    assert code == (Exit.UNAVAILABLE if asked else Exit.OK)
    assert ("the content filter was not asked" in printed) is not asked
    assert "\x1b" not in printed


def test_nameservers_are_the_given_ones(rehearsals: Rehearsals) -> None:
    rehearsals.configure('[dns]\nnameservers = ["192.0.2.53"]\n')
    rehearsals.run("spf", *FAR)
    assert rehearsals.servers == ["192.0.2.53"]
    rehearsals.run("dmarc", "--domain", "far.example", "--nameserver", "192.0.2.54", "--nameserver", "192.0.2.55")
    assert rehearsals.servers == ["192.0.2.54", "192.0.2.55"]


@pytest.mark.parametrize("place", ["before", "between", "behind"])
def test_the_configuration_may_be_named_anywhere(rehearsals: Rehearsals, place: str) -> None:
    missing, words = "/nowhere/mailsrv.toml", ["test", "spf", *FAR]
    words[{"before": 0, "between": 1, "behind": 2}[place] : 0] = ["--config", missing]
    assert main(words) == Exit.CONFIG


def test_checks_need_no_configuration(
    rehearsals: Rehearsals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    nowhere = str(tmp_path / "nowhere.toml")
    monkeypatch.setattr(rehearsal_input, "DEFAULT_CONFIG", nowhere)
    rehearsals.config = Path(nowhere)
    code, printed = rehearsals.run("spf", *FAR, zone=ZONE)
    assert (code, rehearsals.errors) == (Exit.OK, "")
    assert printed.endswith("SPF: pass\n")
    assert rehearsals.run("message", *FAR, message=MESSAGE, zone=ZONE)[0] == Exit.CONFIG


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("mail",),
        ("message",),
        ("message", "--ip", "192.0.2.7"),
        ("message", "--ip", "far.example", "--from", "a@far.example"),
        ("message", "--ip", "192.0.2.7", "--from", "a"),
        ("message", *FAR, "--rcpt", "postmaster"),
        ("message", *FAR, "--time", "now"),
        ("spf", "--ip", "192.0.2.7"),
        ("dkim", "--ip", "192.0.2.7"),
        ("dmarc",),
        ("dmarc", "--ip", "192.0.2.7"),
        ("dmarc", "--from", "a@far.example"),
        ("dmarc", "--domain", "far.example", "--ip", "192.0.2.7"),
        ("dmarc", "--domain", "far.example", *FAR),
        ("arc", "--rcpt", "alice@example.org"),
    ],
)
def test_wrong_usage(rehearsals: Rehearsals, words: tuple[str, ...]) -> None:
    code, printed = rehearsals.run(*words)
    assert (code, printed) == (Exit.USAGE, "")
    assert rehearsals.errors


@pytest.mark.parametrize("words", [("message", *FAR), ("dkim",)])
def test_root_becomes_the_service_user(
    rehearsals: Rehearsals, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(rehearsal, "choose", lambda _config: Identity(12, 34, "x", True))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    rehearsals.run(*words, message=MESSAGE)
    assert rehearsals.became == [(12, 34)]
    monkeypatch.setattr(os, "geteuid", lambda: 12)
    rehearsals.run(*words, message=MESSAGE)
    assert rehearsals.became == [(12, 34)]


def test_nobody_to_send_to(rehearsals: Rehearsals) -> None:
    rehearsals.config.write_text(f'hostname = "mx.example.org"\ndata_dir = "{rehearsals.data}"\n')
    assert rehearsals.run("message", *FAR, message=MESSAGE)[0] == Exit.USAGE
    assert "--rcpt" in rehearsals.errors
    code, printed = rehearsals.run("message", *FAR, "--rcpt", "a@example.org", message=MESSAGE)
    assert code == Exit.UNAVAILABLE
    assert "relaying denied" in printed


def test_each_action_is_documented() -> None:
    page = (Path(__file__).parents[3] / "man" / "mailsrv.8").read_text()
    words = {word for line in page.splitlines() if line.startswith(".It Ic test ") for word in line.split()}
    assert set(ACTIONS) <= words
