"""sendmail: what programs give it, where it goes, and its exit codes."""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mailsrv.cli import sendmail, sendmail_ways
from mailsrv.cli.program import NotPermitted
from mailsrv.cli.sendmail import SendmailExit, main, read_message
from mailsrv.errors import GrammarError
from mailsrv.mail.envelope import Envelope
from mailsrv.spool.drop import decode_request
from mailsrv.spool.format import decode_envelope
from tests.others import reason_not_to
from tests.house.manual import find_tags
from tests.mailsrv.cli.queue_house import House, build

TOP = Path(__file__).resolve().parents[3]
USER = 54321

Output = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


@pytest.fixture
def send(house: House, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Run it with this on standard input."""

    def call(message: bytes, *arguments: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))
        return main(["-C", str(house.config), *arguments])

    return call


def read_queue(house: House) -> tuple[Envelope, bytes]:
    """The only message, taken out."""
    (identifier,) = house.names("queue")
    path = Path(house.layout.queue, identifier)
    line, _, message = path.read_bytes().partition(b"\n")
    path.unlink()
    return decode_envelope(line), message


def test_a_message_with_a_header(house: House, send) -> None:  # type: ignore[no-untyped-def]
    assert send(b"Subject: x\nFrom: me@example.com\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\nline\n.\nnot read\n",
                "-oi", "-f", "ada@example.com", "bob@example.net") == 0  # fmt: skip
    envelope, message = read_queue(house)
    assert str(envelope.reverse_path) == "ada@example.com"
    assert [str(one.address) for one in envelope.recipients] == ["bob@example.net"]
    assert (envelope.client, envelope.account, envelope.size) == ("local", "", len(message))
    header, _, body = message.partition(b"\r\n\r\n")
    assert header.startswith(b"Received: from localhost (uid %d)" % os.getuid())
    assert b"\r\nMessage-ID: <%s@mail.example.com>\r\n" % envelope.id.encode() in header
    assert header.count(b"From:") == header.count(b"Date:") == 1
    assert body == b"line\r\n.\r\nnot read\r\n"


def test_a_dot_ends_the_message(house: House, send) -> None:  # type: ignore[no-untyped-def]
    assert send(b"Subject: x\n\nline\n.\nnot read\n", "bob@example.net") == 0
    assert read_queue(house)[1].endswith(b"\r\n\r\nline\r\n")


def test_text_without_a_header(house: House, send) -> None:  # type: ignore[no-untyped-def]
    assert send(b"just text\nmore", "-F", "Cr\xf6n \"D\"", "bob@example.net") == 0
    message = read_queue(house)[1]
    header, _, body = message.partition(b"\r\n\r\n")
    assert body == b"just text\r\nmore\r\n"
    assert b"From: =?utf-8?b?" in header


def test_recipients_from_the_header(house: House, send) -> None:  # type: ignore[no-untyped-def]
    text = b"To: postmaster, Bob <bob@example.net>\nCc: (x) eve@example.org\n"
    text += b"Bcc: secret@example.org,\n bob@example.net\n\n"
    assert send(text, "-ti", "extra@example.org") == 0
    envelope, message = read_queue(house)
    assert [str(one.address) for one in envelope.recipients] == [
        "extra@example.org", "postmaster@example.com", "bob@example.net", "eve@example.org", "secret@example.org",
    ]  # fmt: skip
    assert envelope.recipients[1].account == "ada"
    assert b"secret" not in message
    assert b"\r\nCc: (x) eve@example.org\r\n" in message


def test_what_is_asked_for_about_reports(house: House, send) -> None:  # type: ignore[no-untyped-def]
    arguments = ["-N", "failure,delay", "-R", "hdrs", "-V", "x1", "-f", "<>", "bob@example.net"]
    assert send(b"\nhi\n", *arguments) == 0
    envelope, _ = read_queue(house)
    assert envelope.reverse_path is None
    assert envelope.recipients[0].dsn.notify == ("FAILURE", "DELAY")
    assert (envelope.parameters.ret, envelope.parameters.envid) == ("HDRS", "x1")


@pytest.mark.parametrize(
    ("arguments", "code", "saying"),
    [
        ([], SendmailExit.USAGE, "no recipients"),
        (["-Q", "a@example.net"], SendmailExit.USAGE, "there is no option -Q"),
        (["-bd"], SendmailExit.USAGE, "-bd is nothing"),
        (["-N", "often", "a@example.net"], SendmailExit.USAGE, "-N often"),
        (["-R", "all", "a@example.net"], SendmailExit.USAGE, "-R all"),
        (["-f"], SendmailExit.USAGE, "-f needs a value"),
        (["nobody@example.com"], SendmailExit.NOUSER, "no such user"),
        (["a b@example.net"], SendmailExit.DATAERR, "sendmail: the address"),
        (["-t"], SendmailExit.DATAERR, "there is no recipient"),
        (["-bi"], SendmailExit.OK, ""),
    ],
)
def test_exit_codes(house: House, send, arguments, code, saying, capsys: Output) -> None:  # type: ignore[no-untyped-def]
    assert send(b"Subject: x\n\nhi\n", *arguments) == code
    assert saying in capsys.readouterr().err
    assert house.names("queue") == set()


def test_a_disk_that_refuses_is_a_temporary_failure(house: House, send) -> None:  # type: ignore[no-untyped-def]
    Path(house.layout.queue).rmdir()
    assert send(b"\nhi\n", "bob@example.net") == SendmailExit.UNAVAILABLE
    house.config.write_text("nonsense")
    assert send(b"\nhi\n", "bob@example.net") == SendmailExit.CONFIG


def test_an_unprivileged_user(house: House, send, monkeypatch, capsys: Output) -> None:  # type: ignore[no-untyped-def]
    def refuse(_path: str) -> None:
        raise NotPermitted("no")

    monkeypatch.setattr(sendmail_ways, "open_place", refuse)
    assert send(b"\nhi\n", "bob@example.net") == SendmailExit.NOPERM
    assert "drop directory" in capsys.readouterr().err
    drop = house.directory / "drop"
    drop.mkdir()
    monkeypatch.setenv("MAILSRV_DROP", str(drop))
    before = os.umask(0o077)
    try:
        assert send(b"Subject: x\r\n\r\nhi\n", "-v", "Bob <bob@example.net>, root") == 0
        assert send(b"\nhi\n", "no address@") == SendmailExit.DATAERR
    finally:
        os.umask(before)
    (path,) = drop.iterdir()
    assert path.stat().st_mode & 0o777 == 0o640
    line, _, message = path.read_bytes().partition(b"\n")
    assert decode_request(line).recipients == ("bob@example.net", "root")
    assert message == b"Subject: x\r\n\r\nhi\r\n"
    assert f"accepted as {path.name}" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_users_who_do_not_trust_each_other(house: House) -> None:
    """With the real permissions: one user leaves a message, another can neither read it nor take it away."""
    script = TOP / "bin" / "sendmail"
    if reason := reason_not_to(USER, str(script)):
        pytest.skip(reason)
    place = tempfile.mkdtemp(dir="/tmp")  # pytest's own directories are closed to other users
    try:
        os.chmod(place, 0o755)
        drop = Path(place, "drop")
        drop.mkdir()
        os.chmod(drop, 0o3777)

        def run(user: int, *command: str) -> "subprocess.CompletedProcess[bytes]":
            environment = {"PATH": os.defpath, "MAILSRV_DROP": str(drop)}
            return subprocess.run(
                command, user=user, group=user, extra_groups=[], env=environment, input=b"Subject: x\n\nhi\n",
                capture_output=True, check=False, cwd="/",
            )  # fmt: skip

        done = run(USER, sys.executable, str(script), "-C", "/nonexistent", "root")
        assert (done.returncode, done.stderr) == (0, b"")
        (path,) = drop.iterdir()
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (USER, drop.stat().st_gid, 0o640)
        assert run(USER + 1, "cat", str(path)).returncode != 0
        assert run(USER + 1, "rm", "-f", str(path)).returncode != 0
        assert path.exists()
    finally:
        shutil.rmtree(place)


def test_the_queue_through_sendmail(house: House, send, capsys: Output) -> None:  # type: ignore[no-untyped-def]
    assert send(b"", "-bp") == 0
    assert send(b"", "-q") == 0
    assert capsys.readouterr().out == "Mail queue is empty\n0 messages are tried now\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", b""),
        (b"a\nb\r\nc\rd\n", b"a\r\nb\r\nc\r\nd\r\n"),
        (b"a\0b\n\n", b"ab\r\n\r\n"),
        (b"From root Mon Jan  1\nSubject: x\n", b"Subject: x\r\n"),
        (b".\nafter\n", b""),
        (b"..\n.\r\nafter\n", b"..\r\n"),
        (b"no end", b"no end\r\n"),
    ],
)
def test_line_ends(given: bytes, expected: bytes) -> None:
    assert read_message(io.BytesIO(given), False, 1000) == expected


def test_a_message_that_is_too_long() -> None:
    with pytest.raises(GrammarError, match="more than 10 octets"):
        read_message(io.BytesIO(b"12345\n" * 3), True, 10)


def test_every_exit_code_is_documented() -> None:
    assert set(find_tags("sendmail.8", "EXIT STATUS")) == {str(int(code)) for code in SendmailExit}
    assert set(sendmail.EXITS.values()) <= set(SendmailExit)
