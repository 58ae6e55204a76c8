"""The message that carries a report, as another program reads it."""

import gzip
from email import message_from_bytes, policy

from mailsrv.authn.aggregate_xml import read_report
from mailsrv.deliver.feedback_letter import Letterhead, write_letter
from mailsrv.mail.address import Address
from mailsrv.mail.header import scan
from mailsrv.store.feedback import is_candidate
from tests.mailsrv.authn.test_aggregate_xml import REPORT

HEAD = Letterhead(
    "ID1", "mx.here.example", Address("postmaster", "here.example"),
    [Address("a", "example.org"), Address("b c", "other.example")], 1_700_000_000.0,
)  # fmt: skip


def test_a_report_arrives():
    octets = write_letter(REPORT, HEAD)
    assert octets.count(b"\n") == octets.count(b"\r\n")
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    message = message_from_bytes(octets, policy=policy.default)
    assert not message.defects
    assert message["From"] == "postmaster@here.example"
    assert message["To"] == 'a@example.org, "b c"@other.example'
    assert message["Subject"] == ("Report Domain: example.org Submitter: mx.here.example Report-ID: <1@here.example>")
    assert message["Message-ID"] == "<1@here.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    words, file = message.iter_parts()
    assert "DMARC aggregate report about example.org" in words.get_content()
    assert file.get_content_type() == "application/gzip"
    assert file.get_filename() == "mx.here.example!example.org!1!2.xml.gz"
    assert read_report(gzip.decompress(file.get_content())) == REPORT


def test_the_same_report_is_the_same_message():
    assert write_letter(REPORT, HEAD) == write_letter(REPORT, HEAD)


def test_our_own_report_would_be_seen_as_one():
    header = scan(write_letter(REPORT, HEAD), True)
    assert header is not None
    assert is_candidate(header)
