"""An aggregate report as a message (RFC 9990 section 3.5): words for people, and the XML, packed with gzip.

The same report under the same ID is the same message but for its Date, its file name and Report-ID included, so that
whoever gets it twice sees that. Nothing is decided here about who gets it.

Diagnostics: raises nothing.
"""

import binascii
import gzip
from collections.abc import Sequence
from dataclasses import dataclass

from mailsrv.authn.aggregate import AggregateReport
from mailsrv.authn.aggregate_xml import write_report
from mailsrv.mail.address import Address
from mailsrv.mail.date import format_date

_LINE = 57  # octets that make a line of base64


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who writes, to whom and when: `moment` in seconds since the epoch; `identifier` is the message's ID."""

    identifier: str
    hostname: str
    author: Address
    to: Sequence[Address]
    moment: float


def write_letter(report: AggregateReport, head: Letterhead) -> bytes:
    """The whole message with CRLF line ends."""
    metadata, domain = report.metadata, report.policy.domain
    file_name = f"{head.hostname}!{domain}!{metadata.begin}!{metadata.end}.xml.gz"
    # No line of base64 or of the words begins with two hyphens.
    boundary = f"report.{head.identifier}"
    text = (
        f"This is a DMARC aggregate report about {domain}, made by {head.hostname}.\r\n"
        f"It covers the day from {format_date(metadata.begin)} on: {report.messages} messages.\r\n"
        f"The attached file is for programs.\r\n"
    )
    fields = [
        f"From: {head.author}",
        "To: " + ",\r\n ".join(str(address) for address in head.to),
        f"Subject: Report Domain: {domain}\r\n Submitter: {head.hostname}\r\n Report-ID: <{metadata.report_id}>",
        f"Date: {format_date(head.moment)}",
        f"Message-ID: <{metadata.report_id}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed;\r\n boundary="{boundary}"',
    ]
    text_part = f"--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}"
    file_part = (
        f"--{boundary}\r\n"
        f'Content-Type: application/gzip;\r\n name="{file_name}"\r\n'
        f'Content-Disposition: attachment;\r\n filename="{file_name}"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
    )
    head_octets = "\r\n".join([*fields, "", text_part, file_part, ""]).encode()
    packed = gzip.compress(write_report(report), mtime=0)
    return b"%b%b\r\n--%b--\r\n" % (head_octets, _base64(packed), boundary.encode())


def _base64(octets: bytes) -> bytes:
    lines = (binascii.b2a_base64(octets[at : at + _LINE], newline=False) for at in range(0, len(octets), _LINE))
    return b"\r\n".join(lines)
