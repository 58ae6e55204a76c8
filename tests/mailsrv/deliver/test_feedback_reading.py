"""Reports of others, as messages."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.aggregate import AggregateReport, Metadata, PolicyPublished, Record
from mailsrv.authn.aggregate_xml import write_report
from mailsrv.deliver import feedback_reading
from mailsrv.deliver.feedback_letter import Letterhead, write_letter
from mailsrv.deliver.feedback_reading import read_feedback
from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.store.feedback_received import AggregateSeen, FailureSeen, Source
from tests.mailsrv.deliver.test_feedback_parts import lines, zipped


def record(source, count, spf):
    return Record(source, count, "none", "fail", spf, "example.org")


REPORT = AggregateReport(
    Metadata("Some\x1b[31m Where", "a@there.example", "77", 10, 20),
    PolicyPublished("Example.org", "reject"),
    (record("192.0.2.1", 3, "fail"), record("192.0.2.2", 4, "pass"), record("192.0.2.1", 2, "pass")),
)
SEEN = AggregateSeen(
    *(5.0, "ID", "Some[31m Where", "a@there.example", "77", "example.org", "reject", 10, 20, 9, 6),
    (Source("192.0.2.1", 5, 2), Source("192.0.2.2", 4, 4)),
)


def test_an_aggregate_report_as_we_send_it():
    here = Address("postmaster", "here.example")
    letter = write_letter(REPORT, Letterhead("ID", "here.example", here, [here], 1.0))
    assert read_feedback("ID", letter, 5.0) == SEEN


@pytest.mark.parametrize("pack", [gzip.compress, zipped, bytes])
@pytest.mark.parametrize("kind", ["application/zip", "text/xml", "application/octet-stream"])
def test_a_report_that_is_the_whole_message(pack, kind):
    head = lines(f"Subject: Report Domain: example.org\nContent-Type: {kind}\n\n")
    assert read_feedback("ID", head + pack(write_report(REPORT)), 5.0) == SEEN


def test_only_so_many_sources_are_kept(monkeypatch):
    monkeypatch.setattr(feedback_reading, "MAX_SOURCES", 1)
    seen = read_feedback("ID", b"Content-Type: text/xml\r\n\r\n" + write_report(REPORT), 5.0)
    assert isinstance(seen, AggregateSeen)
    assert (seen.sources, seen.more, seen.messages) == ((Source("192.0.2.1", 5, 2),), 1, 9)


ARF = """From: feedback@there.example
Subject: FW: something
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is a report.
--b
Content-Type: message/feedback-report

{fields}
--b
Content-Type: text/rfc822-headers

From: ada@example.org
--b--
"""
FIELDS = """Feedback-Type: auth-failure
User-Agent: SomeGenerator/1.0
Version: 1
Auth-Failure: DMARC
Source-IP: 192.0.2.7
Reported-Domain: Example.ORG
Reporting-MTA: dns; mx.there.example
Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000
Delivery-Result: reject
Incidents: 12"""


def test_a_failure_report():
    assert read_feedback("ID", lines(ARF.format(fields=FIELDS)), 5.0) == FailureSeen(
        *(5.0, "ID", "mx.there.example", "auth-failure", "example.org", "192.0.2.7", "dmarc", "reject"),
        *("Tue, 14 Nov 2023 22:13:20 +0000", 12),
    )


@pytest.mark.parametrize("fields", ["Feedback-Type: abuse\nIncidents: many", "\nFeedback-Type:\n abuse"])
def test_a_failure_report_that_says_little(fields):
    seen = read_feedback("ID", lines(ARF.format(fields=fields)), 5.0)
    assert seen == FailureSeen(5.0, "ID", "feedback@there.example", "abuse")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Subject: Re: Report Domain: x\n\nThank you.\n", "there is no report in it"),
        (ARF.format(fields="Version: 1"), "without Feedback-Type"),
        ("Content-Type: application/gzip\n\nno gzip\n", "no XML"),
        ("Content-Type: application/tlsrpt+gzip\n\nx\n", "about TLS"),
        ("Content-Type: text/xml\n\n<html/>\n", "no aggregate report"),
        ("", "there is no report in it"),
    ],
)
def test_what_is_no_report_says_why(message, reason):
    with pytest.raises(GrammarError, match=reason):
        read_feedback("ID", lines(message), 5.0)


def test_only_so_many_files_of_a_message_are_tried(monkeypatch):
    tried = []

    def refuse(octets):
        tried.append(octets)
        raise GrammarError("no report")

    monkeypatch.setattr(feedback_reading, "read_report", refuse)
    part = "--x\nContent-Type: application/gzip\n\nfile\n"
    with pytest.raises(GrammarError):
        read_feedback("ID", lines("Content-Type: multipart/mixed; boundary=x\n\n" + part * 30), 5.0)
    assert len(tried) == 3


@given(st.binary(max_size=60), st.integers(0, 1000), st.integers(0, 100))
def test_a_mangled_report_raises_nothing_else(octets, at, length):
    here = Address("postmaster", "here.example")
    for message in (
        lines(ARF.format(fields=FIELDS)),
        write_letter(REPORT, Letterhead("ID", "here.example", here, [here], 1.0)),
        b"Content-Type: text/xml\r\n\r\n" + write_report(REPORT),
        b"Content-Type: application/zip\r\n\r\n" + zipped(write_report(REPORT)),
    ):
        try:
            read_feedback("ID", message[:at] + octets + message[at + length :], 5.0)
        except GrammarError:
            continue
