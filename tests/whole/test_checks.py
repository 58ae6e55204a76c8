"""The checks of a sender in a real server: real processes, a DNS server on loopback, and the mail of strangers."""

import json
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailsrv.authn.dkim import FieldNames, SigningKey, hash_body, select_fields, sign
from mailsrv.authn.keys import Algorithm, make_private_key
from mailsrv.mail.header import scan
from tests.fakes.dns import FakeDnsServer
from tests.whole.running import DEADLINE, wait_until

CLIENT = "127.0.0.7"
KEY = SigningKey("far.example", "s1", make_private_key(Algorithm.RSA))
ZONE = f"""\
far.example TXT v=spf1 ip4:{CLIENT} -all
s1._domainkey.far.example TXT {KEY.private.public.record}
_dmarc.far.example TXT v=DMARC1; p=reject; rua=mailto:d@far.example
soft.example TXT v=spf1 -all exp=why.soft.example
_dmarc.soft.example TXT v=DMARC1; p=quarantine
alone.example TXT v=spf1 ip4:192.0.2.1 -all exp=why.alone.example
why.alone.example TXT ask %{{s}} who %{{i}} is
7.0.0.127.in-addr.arpa PTR mx.far.example
mx.far.example A {CLIENT}
FAIL broken.example
FAIL _dmarc.broken.example
"""
CHECKS = """
[checks]
exempt = []
seconds = 2

[dns]
nameservers = ["{nameserver}"]
timeout_seconds = 1

[dmarc]
report = true
"""


def write(domain, signed=False, more=""):
    header = f"From: a@{domain}\r\nSubject: from {domain}\r\n{more}".encode()
    body = b"hello\r\n"
    if signed:
        fields = FieldNames((b"from", b"subject"), ())
        header = sign(select_fields(scan(header, True), fields), hash_body([body]), [KEY], 1_000_000_000) + header
    return header + b"\r\n" + body


def send(server, message, sender, client=CLIENT):
    """(code, text) of the reply that decided."""
    with smtplib.SMTP("127.0.0.1", server.port, "client.example", DEADLINE, (client, 0)) as talk:
        talk.ehlo()
        for verb in (lambda: talk.mail(sender), lambda: talk.rcpt("alice@example.test"), lambda: talk.data(message)):
            code, text = verb()
            if code >= 400:
                break
        return code, text.decode()


@pytest.fixture
def checked(make_server):
    """A server that checks everybody, and its DNS."""
    with FakeDnsServer(ZONE) as dns:
        server = make_server(more=CHECKS.format(nameserver=dns.nameserver) + "[limits]\nworkers = 2\n")
        server.start()
        yield server, dns


def test_what_becomes_of_strangers_mail(checked):
    server, _ = checked
    assert send(server, write("far.example"), "a@far.example")[0] == 250
    (text,) = server.messages()
    assert "spf=pass" in text and "dmarc=pass" in text and "iprev=pass" in text
    # forwarded: SPF fails, the signature does not
    assert send(server, write("far.example", signed=True), "x@lists.example", "127.0.0.8")[0] == 250
    code, text = send(server, write("far.example"), "a@far.example", "127.0.0.8")
    assert (code, text[:6]) == (550, "5.7.1 ") and "far.example" in text
    code, text = send(server, write("alone.example"), "a@alone.example")
    assert (code, text[:7]) == (550, "5.7.23 ") and f"ask a@alone.example who {CLIENT} is" in text
    assert send(server, write("broken.example"), "a@broken.example")[0] == 451
    assert send(server, write("x.example"), "a@[127.0.0.7]")[0] == 250
    assert len(server.messages()) == 3


def test_quarantine_reaches_junk_and_its_reason_stands_in_three_places(checked):
    server, _ = checked
    code, text = send(server, write("soft.example"), "a@elsewhere.example")
    assert code == 250
    identifier = text.split()[-1]
    stored = server.wait_for_junk("from soft.example")
    assert "X-Mailsrv-Reasons: " in stored and "sender=junk" in stored
    server.wait("attempt", id=identifier, mailbox="Junk", status="delivered")
    records = [json.loads(line) for line in (server.data / "decisions/current.jsonl").read_text().splitlines()]
    (record,) = [one for one in records if one["id"] == identifier]
    assert {"stage": "data", "rule": "sender", "input": "soft.example", "result": "junk"} in record["rules"]
    assert server.messages() == []


def test_a_resolver_that_is_silent_holds_no_message_longer_than_it_may(checked):
    server, dns = checked
    dns.misbehave = {"*": "silent"}
    began = time.monotonic()
    with ThreadPoolExecutor(4) as several:
        replies = list(
            several.map(lambda n: send(server, write(f"d{n}.example", signed=True), f"a@d{n}.example"), range(4))
        )
    assert [code for code, _ in replies] == [451] * 4
    assert time.monotonic() - began < DEADLINE / 2
    dns.misbehave = {}
    wait_until(lambda: send(server, write("far.example"), "a@far.example")[0] == 250, "the answer is heard again")


HOSTILE = [
    b"",
    b"\r\n" * 1000,
    b"From: " + b"a@b.example, " * 4000 + b"x\r\n\r\n",
    b"From: \xff\xfe@\xff\r\n\r\n",
    b"From: a@" + b"x." * 126 + b"example\r\n\r\n",
    b"DKIM-Signature: v=1; a=rsa-sha256; d=far.example; s=s1; h=" + b"from:" * 10000 + b"; bh=; b=\r\n\r\n",
    b"DKIM-Signature: " + b"\r\n ;" * 10000 + b"\r\nFrom: a@far.example\r\n\r\n",
    (b"DKIM-Signature: v=1; a=ed25519-sha256; d=far.example; s=s1; h=from; bh=AA==; b=AA==\r\n" * 500) + b"\r\n",
    b"".join(
        b"ARC-Seal: i=%d; a=rsa-sha256; d=far.example; s=s1; cv=pass; b=AA==\r\n"
        b"ARC-Message-Signature: i=%d; a=rsa-sha256; d=far.example; s=s1; h=from; bh=AA==; b=AA==\r\n"
        b"ARC-Authentication-Results: i=%d; x; dmarc=pass\r\n" % (n, n, n)
        for n in range(1, 60)
    )
    + b"From: a@far.example\r\n\r\n",
    b"Authentication-Results: " + b"(" * 50000 + b"\r\n\r\n",
]


def test_hostile_messages_are_answered_and_leave_no_traceback(checked):
    server, _ = checked
    for message in HOSTILE:
        assert send(server, message, "a@unknown.example")[0] in (250, 451, 550, 552)
    assert server.events("bug") == []
    assert send(server, write("far.example"), "a@far.example")[0] == 250
