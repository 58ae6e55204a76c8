"""Messages of local programs made ready: whose they are, where they go, and what is added to them."""

import pytest

from mailsrv.config.schema import AccountConfig, Config
from mailsrv.directory.accounts import Directory
from mailsrv.errors import GrammarError
from mailsrv.receive.handover import HEADER_LIMIT, Handover, NoSuchUser, User
from mailsrv.spool.drop import Request
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Scratch
from tests.fakes.clock import FakeClock

CONFIG = Config(
    hostname="mail.example.com", data_dir="/data", domains=["example.com"],
    accounts=[
        AccountConfig("ada", ["ada@example.com", "postmaster@example.com"]), AccountConfig("eve", ["eve@example.com"]),
    ],
    aliases={"all@example.com": ["ada", "eve", "away@example.org"]},
)  # fmt: skip
ID = QueueIds(FakeClock(), 0).new() + "0"
USER = User(1000, "daemon", "The Daemon")


def make(message: bytes, *recipients: str, check: bool = False, config: Config = CONFIG, **more):  # type: ignore[no-untyped-def]
    """Envelope and octets."""
    handover = Handover(config, Directory.from_config(config))
    with Scratch(Disk(), "", 1 << 24, MemoryBudget(1 << 24)) as scratch:
        scratch.write(message)
        envelope, octets = handover.make(ID, Request(recipients or ("bob@example.net",), **more), USER, scratch, check)
        assert envelope.size == octets.size
        return envelope, octets.prefix + scratch.head(1 << 24)[octets.skip :]


def test_the_sender() -> None:
    assert str(make(b"\r\n")[0].reverse_path) == "daemon@example.com"
    assert str(make(b"\r\n", sender="root")[0].reverse_path) == "root@example.com"
    assert str(make(b"\r\n", sender="x@example.org")[0].reverse_path) == "x@example.org"
    assert make(b"\r\n", sender="<>")[0].reverse_path is None
    config = Config(hostname="mail.example.com", data_dir="/data")
    assert str(make(b"\r\n", config=config)[0].reverse_path) == "daemon@mail.example.com"


def test_recipients() -> None:
    envelope, _ = make(b"\r\n", "ada", "all", "ada+x@example.com", "nobody", "bob@example.net", "BOB@example.net")
    rows = [(str(one.address), one.account, str(one.original or "")) for one in envelope.recipients]
    assert rows == [
        ("ada@example.com", "ada", ""), ("eve@example.com", "eve", "all@example.com"),
        ("away@example.org", "", "all@example.com"), ("nobody@example.com", "", ""), ("bob@example.net", "", ""),
    ]  # fmt: skip
    with pytest.raises(NoSuchUser):
        make(b"\r\n", "nobody", check=True)
    for recipients in (("a b@example.net",), ("@",), ("",)):
        with pytest.raises(GrammarError):
            make(b"\r\n", *recipients)
    with pytest.raises(GrammarError, match="more than 1000"):
        make(b"\r\n", *(f"u{number}@example.net" for number in range(1001)))


@pytest.mark.parametrize("asked", [{"notify": ("SOON",)}, {"notify": ("NEVER", "DELAY")}, {"ret": "SOME"}])
def test_what_cannot_be_asked_for(asked: dict[str, object]) -> None:
    with pytest.raises(GrammarError):
        make(b"\r\n", **asked)


FULL = b"From: a@b\r\nDate: x\r\nMessage-ID: <y>\r\n"


@pytest.mark.parametrize(
    ("message", "rest"),
    [
        (FULL + b"\r\nbody\r\n", FULL + b"\r\nbody\r\n"),
        (FULL, FULL + b"\r\n"),
        (FULL + b"Bcc: s@x,\r\n t@x\r\nReturn-Path: <z>\r\n\r\nb", FULL + b"\r\nb"),
        (FULL + b"no field here\r\n\r\nb", FULL + b"\r\nno field here\r\n\r\nb"),
    ],
)
def test_a_whole_header_stays(message: bytes, rest: bytes) -> None:
    octets = make(message)[1]
    trace = b"Received: from localhost (uid 1000)\r\n\tby mail.example.com with local id "
    assert octets.startswith(trace + ID.encode())
    assert octets.endswith(b"+0000\r\n" + rest)


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (b"", b""), (b"just text\r\nmore: x\r\n", b"just text\r\nmore: x\r\n"), (b"\r\nb\r\n", b"b\r\n"),
        (b" x\r\n\r\ny", b" x\r\n\r\ny"),
    ],
)
def test_text_without_a_header(message: bytes, body: bytes) -> None:
    header, _, rest = make(message)[1].partition(b"\r\n\r\n")
    assert rest == body
    names = [line.partition(b":")[0] for line in header.split(b"\r\n") if line[:1] not in b" \t"]
    assert names == [b"Received", b"From", b"Date", b"Message-ID"]
    assert b'From: "The Daemon" <daemon@example.com>\r\n' in header


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ('A "B" \\', b'From: "A \\"B\\" \\\\" <daemon@example.com>\r\n'),
        ("J\xfcrgen", b"From: =?utf-8?b?SsO8cmdlbg==?= <daemon@example.com>\r\n"),
        ("x\r\nBcc: y", b'From: "xBcc: y" <daemon@example.com>\r\n'),
    ],
)
def test_full_names(name: str, field: bytes) -> None:
    assert field in make(b"\r\n", full_name=name)[1]


def test_a_long_full_name_becomes_several_words() -> None:
    octets = make(b"\r\n", full_name="\xfc" * 60)[1]
    lines = octets[octets.index(b"From:") :].split(b"\r\n")
    assert max(map(len, lines)) <= 78 + len(" <daemon@example.com>")
    assert lines[1].startswith(b" =?utf-8?b?")


def test_a_blind_copy_is_not_named() -> None:
    assert b"for <bob@example.net>" in make(b"\r\n")[1]
    assert b"for <" not in make(b"\r\n", "a@x.example", "b@x.example")[1]


def test_smtputf8_is_asked_for_where_it_is_needed() -> None:
    assert make(b"\r\n", "j\xfcrgen@example.net")[0].parameters.smtputf8
    assert not make(b"\r\n")[0].parameters.smtputf8


def test_a_header_without_end() -> None:
    with pytest.raises(GrammarError, match="has no end"):
        make(b"X: y\r\n" * (HEADER_LIMIT // 6 + 10))
    text = b"no header\r\n" * (HEADER_LIMIT // 11 + 10)
    assert make(text)[1].endswith(b"\r\n\r\n" + text)
