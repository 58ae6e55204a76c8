"""Debian's rspamd and opendkim judge messages: by the door alone, and through a whole mailsrv."""

import re
import signal
import smtplib

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mailsrv.config.schema import FilterConfig
from mailsrv.receive.filter import Action, Scan
from mailsrv.receive.filter_kinds import make_filter
from mailsrv.system.clock import SystemClock

from tests.fakes.dns import FakeDnsServer
from tests.mailsrv.receive.filter_message import new_message
from tests.peers.filters import start_opendkim, start_rspamd
from tests.peers.house import DOMAIN, House

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
SEEN = (
    b"X-Seen: ip=192.0.2.1\r\n name=mx.example\r\n helo=helo.example\r\n user=\r\n id=4xyz\r\n"
    b" from=from@example.org\r\n rcpt=a@here.example\r\n rcpt=b@here.example\r\n size=%d\r\n received=1\r\n"
)
# As it stands on top of a message: rspamd reads the field of ours as any other hop's.
PREFIX = b"Received: from helo.example (mx.example [192.0.2.1])\r\n\tby here.example with ESMTP id 4xyz;\r\n"
PREFIX += b"\tSun, 22 Nov 2026 10:00:00 +0000\r\n"


@pytest.fixture(scope="module")
def rspamd(peer, tmp_path_factory):
    started = start_rspamd(peer("rspamd"), tmp_path_factory.mktemp("rspamd"))
    yield started
    started.stop()


def ask(message=None, **config):
    return make_filter(FilterConfig(**config), SystemClock()).scan(message or text())


def text(fields=b"", body=b"Hello.\r\n", **more):
    head = b"From: Jo <from@example.org>\r\nTo: a@here.example\r\nSubject: hello\r\n"
    return new_message(head + fields + b"\r\n" + body, PREFIX, **more)


def worker(rspamd):
    return {"rspamd": f"http://127.0.0.1:{rspamd.ports[0]}"}


def milter(rspamd):
    return {"milter": f"inet:127.0.0.1:{rspamd.ports[2]}"}


def test_rspamd_is_told_all(rspamd):
    message = text()
    finding = ask(message, **worker(rspamd))
    assert (finding.scan, finding.action, finding.reply) == (Scan.DONE, Action.ACCEPT, None), finding
    assert finding.fields == SEEN % message.octets.size
    assert (finding.score, finding.required) == (0.25, 15.0)
    assert finding.symbols == ("SEEN(0.25)",)
    assert finding.ignored == ()


def test_rspamd_is_told_of_a_null_reverse_path_and_a_login(rspamd):
    message = text(reverse_path="", account="alice", client="2001:db8::1", client_name="",
                   recipients=('"a b"@here.example',))  # fmt: skip
    words = ask(message, **worker(rspamd)).fields.split(b"\r\n")
    assert words[0] == b"X-Seen: ip=2001:db8::1"
    assert words[3] == b" user=alice"
    assert words[5:7] == [b" from=", b" rcpt=a b@here.example"]


def test_rspamd_refuses_spam(rspamd):
    finding = ask(text(body=GTUBE), **worker(rspamd))
    assert finding.scan is Scan.DONE
    assert finding.action is Action.REJECT
    assert str(finding.reply) == "550 5.7.1 Gtube pattern"


def test_rspamd_takes_a_large_message(rspamd):
    message = text(body=b"0123456789abcdef 0123456789abcdef 0123456789abcdef\r\n" * 80_000)
    finding = ask(message, **worker(rspamd))
    assert finding.fields == SEEN % message.octets.size
    assert ask(message, **worker(rspamd), size_bytes=1_000_000).scan is Scan.SKIPPED


@pytest.mark.parametrize(
    ("fields", "action", "reply"),
    [
        (b"X-Want: soft reject\r\n", Action.DEFER, "451 4.7.1 as wanted"),
        (b"X-Want: reject\r\n", Action.REJECT, "550 5.7.1 as wanted"),
        (b"X-Want: add header\r\n", Action.JUNK, ""),
        (b"X-Want: rewrite subject\r\n", Action.JUNK, ""),
        (b"X-Want: quarantine\r\n", Action.JUNK, ""),
        (b"X-Want: discard\r\n", Action.JUNK, ""),
        (b"X-Score: 7.5\r\n", Action.JUNK, ""),
    ],
)
def test_actions_of_rspamd(rspamd, fields, action, reply):
    finding = ask(text(fields), **worker(rspamd))
    assert (finding.scan, finding.action, str(finding.reply or "")) == (Scan.DONE, action, reply)
    assert bool(finding.fields) == (action is Action.JUNK)


def test_many_recipients_are_no_way_around_rspamd(rspamd):
    recipients = tuple(f"a+{number:060d}@{'here' * 15}.example" for number in range(1000))
    finding = ask(text(b"X-Want: reject\r\n", recipients=recipients, helo="h" * 4000), **worker(rspamd))
    assert (finding.scan, finding.action) == (Scan.DONE, Action.REJECT), finding


def test_the_controller_wants_its_password(rspamd):
    url = f"http://127.0.0.1:{rspamd.ports[1]}"
    assert ask(rspamd=url, password="secret").scan is Scan.DONE
    finding = ask(rspamd=url, password="wrong", on_failure="defer")
    assert (finding.scan, finding.action) == (Scan.FAILED, Action.DEFER)
    assert "401" in finding.reason


def test_who_speaks_another_protocol_fails(rspamd):
    swapped = {"rspamd": f"http://127.0.0.1:{rspamd.ports[2]}"}, {"milter": f"inet:127.0.0.1:{rspamd.ports[0]}"}
    for config in swapped:
        finding = ask(**config, timeout_seconds=2)
        assert (finding.scan, finding.action) == (Scan.FAILED, Action.ACCEPT), finding


@pytest.mark.parametrize("mode", ["accept", "defer"])
def test_an_rspamd_that_stands_still(rspamd, mode):
    rspamd.send_all(signal.SIGSTOP)
    try:
        finding = ask(**worker(rspamd), timeout_seconds=1, on_failure=mode)
    finally:
        rspamd.send_all(signal.SIGCONT)
    assert (finding.scan, finding.action) == (Scan.FAILED, Action(mode))
    assert "not done within 1 s" in finding.reason


def test_rspamd_as_a_milter(rspamd):
    finding = ask(text(), **milter(rspamd))
    assert (finding.scan, finding.action) == (Scan.DONE, Action.ACCEPT), finding
    # It counts the size of what it has put together again.
    assert re.sub(rb"size=\d+", b"size=0", finding.fields) == SEEN % 0


@pytest.mark.parametrize(
    ("message", "action", "reply"),
    [
        ({"body": GTUBE}, Action.REJECT, "Gtube pattern"),
        ({"fields": b"X-Want: soft reject\r\n"}, Action.DEFER, "as wanted"),
        ({"fields": b"X-Want: quarantine\r\n"}, Action.JUNK, ""),
        ({"fields": b"X-Want: discard\r\n"}, Action.JUNK, ""),
    ],
)
def test_decisions_of_rspamd_as_a_milter(rspamd, message, action, reply):
    finding = ask(text(**message), **milter(rspamd))
    assert (finding.scan, finding.action) == (Scan.DONE, action), finding
    assert reply in str(finding.reply or "")


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def opendkim(peer, tmp_path_factory, key):
    root = tmp_path_factory.mktemp("opendkim")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    record = "v=DKIM1; k=rsa; p=" + "".join(public.splitlines()[1:-1])
    (root / "keys").write_text(f"s._domainkey.example.org {record}\n")
    settings = f"TestPublicKeys {root}/keys\nAuthservID milter.example\nOn-BadSignature reject\nAlwaysAddARHeader yes\n"
    started = start_opendkim(peer("opendkim"), root, settings)
    yield started
    started.stop()


def signed(key, canonical):
    """A message whose every octet counts: folds, spaces at ends and beginnings, and more than one chunk of body."""
    message = (
        b"From:   Jo  <from@example.org>\r\nTo:a@here.example\r\nSubject:  folded\r\n\t more \r\n  and more\r\n"
        b"X-Empty:\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n" + b"0123456789  abcdef \r\n" * 10_000 + b"\r\n\r\n"
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    form = canonical.encode()
    names = [b"From", b"To", b"Subject", b"X-Empty", b"Date"]
    field = dkim.sign(message, b"s", b"example.org", private, canonicalize=(form, form), include_headers=names)
    return field + message


@pytest.mark.parametrize("canonical", ["simple", "relaxed"])
def test_opendkim_sees_every_octet(opendkim, key, canonical):
    where = f"inet:127.0.0.1:{opendkim.ports[0]}"
    octets = signed(key, canonical)
    finding = ask(new_message(octets, PREFIX), milter=where)
    assert (finding.scan, finding.action) == (Scan.DONE, Action.ACCEPT), finding
    assert re.match(rb"Authentication-Results: milter\.example;\r\n[ \t]+dkim=pass ", finding.fields), finding
    changed = octets.replace(b"abcdef \r\n", b"abcdeF \r\n", 1)
    finding = ask(new_message(changed, PREFIX), milter=where)
    assert (finding.action, finding.reply and finding.reply.code) == (Action.REJECT, 550), finding
    assert finding.fields == b""


def test_opendkim_of_an_unsigned_message(opendkim):
    finding = ask(text(), milter=f"inet:localhost:{opendkim.ports[0]}")
    assert (finding.scan, finding.action) == (Scan.DONE, Action.ACCEPT), finding
    assert finding.fields.startswith(b"Authentication-Results: milter.example; dkim=none"), finding


@pytest.mark.parametrize(
    "field",
    [
        b"X-Long: " + b"x" * 100_000,
        b"X-Folded: x" + b"\r\n yyyyyyyy" * 50_000,
        b"\r\n".join([b"X: y"] * 15_000),
    ],
    ids=["long", "folded", "many"],
)
def test_a_large_header_is_no_way_around_a_milter(opendkim, field):
    finding = ask(text(field + b"\r\n"), milter=f"inet:localhost:{opendkim.ports[0]}")
    assert finding.scan is Scan.DONE, finding


@pytest.fixture(scope="module")
def filtered(rspamd):
    """A mailsrv that checks mail from loopback and asks rspamd."""
    with FakeDnsServer(f"{DOMAIN} A 127.0.0.1\nexample.net A 127.0.0.1\n") as dns:
        house = House(
            f'[checks]\nexempt = []\n\n[dns]\nnameservers = ["{dns.nameserver}"]\n\n'
            f'[filter]\nrspamd = "http://127.0.0.1:{rspamd.ports[0]}"\n\n[bans]\nallow = ["127.0.0.0/8"]\n'
        )
        house.start()
        yield house
        assert house.stop() == 0


def send(house, marker, fields="", body="Hello.\r\n"):
    octets = f"From: jo@example.net\r\nTo: bob@{DOMAIN}\r\nSubject: {marker}\r\n{fields}\r\n{body}"
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"], "client.example.net", timeout=30) as client:
        client.sendmail("jo@example.net", [f"bob@{DOMAIN}"], octets)


def test_mailsrv_delivers_with_the_fields_of_rspamd_on_top(filtered, marker):
    send(filtered, marker)
    octets = filtered.expect_one("bob", marker)
    assert b"\r\nX-Seen: ip=127.0.0.1\r\n" in octets
    assert b"\r\n from=jo@example.net\r\n rcpt=bob@example.org\r\n" in octets
    assert octets.index(b"X-Seen: ") < octets.index(b"From: ")


@pytest.mark.parametrize(
    ("fields", "body", "code", "said"),
    [("", GTUBE.decode(), 550, b"5.7.1 Gtube pattern"), ("X-Want: soft reject\r\n", "", 451, b"4.7.1 as wanted")],
)
def test_mailsrv_refuses_in_the_words_of_rspamd(filtered, marker, fields, body, code, said):
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(filtered, marker, fields, body)
    assert refused.value.smtp_code == code
    assert refused.value.smtp_error.startswith(said)
    assert not [octets for octets in filtered.delivered("bob") if marker.encode() in octets]


def test_mailsrv_puts_spam_into_junk(filtered, marker):
    send(filtered, marker, "X-Score: 7.5\r\n")
    assert not [octets for octets in filtered.delivered("bob") if marker.encode() in octets]
    junk = filtered.root / "data" / "accounts" / "bob" / ".Junk" / "new"
    assert [path for path in junk.iterdir() if marker.encode() in path.read_bytes()]
