"""DMARC reports of a real server, both ways: a day that has ended reaches who wants to hear of it, and what others send
is read and shown."""

import gzip
import json
import os
import smtplib
import time
from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from mailsrv.authn.aggregate_xml import read_report
from mailsrv.deliver.feedback_letter import Letterhead, write_letter
from mailsrv.mail.address import Address
from mailsrv.store.feedback_layout import day_of
from mailsrv.store.feedback_lines import write_row
from tests.fakes.dns import FakeDnsServer
from tests.fakes.mx import FakeMx
from tests.mailsrv.authn.test_aggregate_xml import REPORT
from tests.mailsrv.store.test_feedback_lines import ROW
from tests.whole.running import DEADLINE, wait_until

CLIENT = "127.0.0.7"
ZONE = f"""\
far.example TXT v=spf1 ip4:{CLIENT} -all
far.example MX 10 mx.far.example
mx.far.example A 127.0.0.1
_dmarc.far.example TXT v=DMARC1; p=reject; rua=mailto:dmarc@far.example
"""
RECORD = "v=DMARC1; p=reject; rua=mailto:dmarc@far.example"
MORE = """
[checks]
exempt = []
[dns]
nameservers = ["{nameserver}"]
[queue]
port = {port}
[dmarc]
report = true
organization = "Example & Söhne"
[limits]
workers = 2
"""
RUNNER = {"build": "mailsrv.serve.processes:build", "options": {"has_runner": True}}
DAY = day_of(time.time() - 2 * 86_400)


@pytest.fixture
def mx():
    with FakeMx() as made:
        yield made


@pytest.fixture
def server(make_server, mx):
    with FakeDnsServer(ZONE) as dns:
        yield make_server(more=MORE.format(nameserver=dns.nameserver, port=mx.port))


def leave_rows(server, *rows):
    """A server that collected these rows two days ago, and was killed."""
    server.start(**RUNNER)
    directory = server.data / "feedback" / "out"
    wait_until(directory.exists, "the first round")
    kill(server)
    file = directory / f"{DAY}.jsonl"
    file.write_bytes(b"".join(write_row(row) + b"\n" for row in rows))
    os.chown(file, directory.stat().st_uid, directory.stat().st_gid)


def kill(server):
    server.process.kill()
    server.process.wait(DEADLINE)


def shown(server, kind):
    lines = server.run("reports", "--json").stdout.splitlines()
    return [value for value in map(json.loads, lines) if value["kind"] == kind]


def test_a_day_that_has_ended_is_reported_once(server, mx):
    row = replace(ROW, header_from="far.example", record_domain="far.example", record=RECORD, client="192.0.2.7")
    leave_rows(server, row, row, replace(row, client="2001:db8::7"))
    server.start(**RUNNER)
    (message,) = mx.wait_for(1)
    assert message.recipients == ["dmarc@far.example"]
    assert message.reverse_path == "postmaster@example.test"
    letter = message_from_bytes(message.octets, policy=policy.default)
    assert letter["From"] == "postmaster@example.test"
    assert letter["Subject"].startswith("Report Domain: far.example Submitter: mx.example.test Report-ID: <")
    _words, file = letter.iter_parts()
    report = read_report(gzip.decompress(file.get_content()))
    assert report.metadata.organization == "Example & Söhne"
    assert [(one.source, one.count) for one in report.records] == [("192.0.2.7", 2), ("2001:db8::7", 1)]
    (sent,) = wait_until(lambda: [one for one in shown(server, "sent") if one["state"] == "queued"], "it is queued")
    assert (sent["day"], sent["domain"], sent["messages"]) == (DAY, "far.example", 3)
    assert sent["to"] == ["dmarc@far.example"]
    wait_until(lambda: not list((server.data / "spool" / "queue").iterdir()), "the queue is empty")
    ledger = server.data / "feedback" / "sent" / f"{DAY}.jsonl"
    wait_until(lambda: b'"done"' in ledger.read_bytes(), "the day is done")
    # Once more from the beginning: nothing is sent again.
    before = ledger.read_bytes()
    kill(server)
    waiting = server.data / "feedback" / "in" / "dZJjly8m601"
    waiting.write_bytes(b"Subject: Report Domain: x\r\n\r\nnothing\r\n")
    os.chown(waiting, ledger.stat().st_uid, ledger.stat().st_gid)
    server.start(**RUNNER)
    wait_until(lambda: not waiting.exists(), "a round")
    assert ledger.read_bytes() == before
    assert len(mx.accepted) == 1
    assert not server.events("bug") and not server.events("storage")


def send(server, octets, sender):
    with smtplib.SMTP("127.0.0.1", server.port, "mx.far.example", DEADLINE, (CLIENT, 0)) as talk:
        return talk.sendmail(sender, ["alice@example.test"], octets)


def test_mail_of_today_is_collected_and_reports_of_others_are_shown(server):
    server.start(**RUNNER)
    send(server, b"From: a@far.example\r\nSubject: x\r\n\r\nhello\r\n", "a@far.example")
    here = Address("dmarc", "far.example")
    letter = write_letter(REPORT, Letterhead("ID", "mx.far.example", here, [Address("alice", "example.test")], 1.0))
    send(server, letter, "dmarc@far.example")
    (seen,) = wait_until(lambda: shown(server, "aggregate"), "the report is read")
    assert (seen["reporter"], seen["domain"], seen["messages"], seen["passed"]) == ("Here", "example.org", 8, 1)
    (sent,) = shown(server, "sent")
    assert (sent["domain"], sent["state"], sent["messages"]) == ("far.example", "collected", 2)
    assert len(server.messages()) == 2
    assert list((server.data / "feedback" / "in").iterdir()) == []
    table = server.run("reports").stdout
    assert "far.example  collected" in table
    assert "2001:db8::1" in table
