"""Reports as octets: every expected report of tests/cases/dsn has the form of RFC 3464, 6522 and 6533, and nothing
that a stranger says changes that form."""

import base64
import quopri
import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.dsn import Imprint, Letter, Original, build_report, clean_status, is_reply, is_returnable, named
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.mail.outcome import Outcome, Status
from tests.cases.dsn import case

REPORTS = [name for name in case.names() if case.expected(name) is not None]
HEADER = b"From: anna@sender.example\r\nSubject: Lunch\r\nMessage-ID: <1@sender.example>\r\n"
DAEMON = Address("MAILER-DAEMON", "mx.sender.example")
IMPRINT = Imprint("mx.sender.example", DAEMON, "r1@mx.sender.example", 0.0, "b/1")
LETTER = Letter("Mail server", "Not delivered", "Hello\n\nbye\n")
ENVELOPE = Envelope(
    "q1", 1_700_000_000.0, parse_address("anna@sender.example"), (Recipient(parse_address("bob@remote.example")),)
)


def build(outcome=None, *, envelope=ENVELOPE, original=None, letter=LETTER, imprint=IMPRINT):
    outcome = outcome or Outcome(0, Status.FAILED, "5.1.1", "550 5.1.1 no", "mx.remote.example [192.0.2.1]", 5.0)
    return build_report(envelope, [outcome], original or Original(HEADER), letter, imprint)


def split(report):
    """The report's header and its parts as (type, encoding, decoded octets), with nothing but the boundary."""
    header, _, body = report.partition(b"\r\n\r\n")
    boundary = re.search(rb'boundary="([^"]+)"', header)[1]
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    parts = []
    for piece in pieces[1:-1]:
        head, _, octets = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        encoding = fields["Content-Transfer-Encoding"]
        decode = {"base64": base64.b64decode, "quoted-printable": quopri.decodestring}.get(encoding, bytes)
        parts.append((fields["Content-Type"].split(";")[0], encoding, decode(octets)))
    return header, parts


def groups(octets):
    """The groups of fields of a delivery status as lists of (name, value)."""
    text = octets.decode("utf-8")
    assert text.endswith("\r\n")
    found = []
    for group in text.removesuffix("\r\n").split("\r\n\r\n"):
        found.append([tuple(line.split(": ", 1)) for line in group.replace("\r\n ", " ").split("\r\n")])
    return found


PER_RECIPIENT = (
    "Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date",
    "Will-Retry-Until",
)  # fmt: skip
TYPED = {"Original-Recipient", "Final-Recipient", "Remote-MTA", "Diagnostic-Code", "Reporting-MTA"}


def check_form(report):
    """What holds for every report, whatever was in the message and in the replies."""
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\x00", report) is None
    assert max(map(len, report.split(b"\r\n"))) <= 998
    header, parts = split(report)
    names = [line.split(b":")[0].decode() for line in re.sub(rb"\r\n[ \t]", b" ", header).split(b"\r\n")]
    assert names[:5] == ["From", "To", "Subject", "Date", "Message-ID"]
    assert len(names) == len(set(names)) <= 11
    assert "Auto-Submitted: auto-replied" in header.decode()
    assert len(parts) == 3
    assert parts[0][0] == "text/plain"
    assert parts[1][0] in ("message/delivery-status", "message/global-delivery-status")
    message, *recipients = groups(parts[1][2])
    assert [name for name, _ in message if name != "Original-Envelope-Id"] == [
        "Reporting-MTA", "Arrival-Date", "X-Mailsrv-Queue-ID",
    ]  # fmt: skip
    for group in recipients:
        names = [name for name, _ in group]
        assert names == [name for name in PER_RECIPIENT if name in names]  # the order of the grammar, none twice
        assert {"Final-Recipient", "Action", "Status"} <= set(names)
        fields = dict(group)
        assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", fields["Status"])
        assert all(re.match(r"[A-Za-z0-9-]+; \S", fields[name]) for name in TYPED & set(names))
    if parts[1][0] == "message/delivery-status":
        assert parts[1][2].isascii() and parts[1][1] == "7bit"
    else:
        assert parts[1][1] == "quoted-printable"
    return parts


@pytest.mark.parametrize("name", REPORTS)
def test_form(name):
    report = case.expected(name)
    parts = check_form(report)
    loaded = case.load(name)
    due = loaded.due()
    _, *recipients = groups(parts[1][2])
    assert [dict(group)["Action"] for group in recipients] == [outcome.status.value for outcome in due.outcomes]


@pytest.mark.parametrize("name", REPORTS)
def test_the_standard_library_reads_it(name):
    report = case.expected(name)
    message = message_from_bytes(report, policy=policy.compat32)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert not message.defects
    first, second, third = message.get_payload()
    assert first.get_payload(decode=True).decode("utf-8").strip()
    assert str(make_header(decode_header(message["Subject"]))).isprintable()
    if second.get_content_type() == "message/delivery-status":
        blocks = second.get_payload()
        assert blocks[0]["Reporting-MTA"] == "dns; mx.sender.example"
        assert len(blocks) == 1 + len(case.load(name).due().outcomes)
    if third.get_content_type() == "message/rfc822":
        assert third.get_payload(0)["Subject"]


def test_all_media_types_are_shown_by_a_case():
    seen = {kind for name in REPORTS for kind, _, _ in split(case.expected(name))[1]}
    assert seen == {
        "text/plain", "message/delivery-status", "message/global-delivery-status", "text/rfc822-headers",
        "message/global-headers", "message/rfc822", "message/global",
    }  # fmt: skip


def test_the_original_comes_back_octet_for_octet():
    loaded = case.load("05-ret-full")
    assert split(case.expected("05-ret-full"))[1][2] == ("message/rfc822", "7bit", loaded.message)
    loaded = case.load("10-utf8-header-ret-full")
    assert split(case.expected("10-utf8-header-ret-full"))[1][2] == ("message/global", "base64", loaded.message)
    loaded = case.load("21-eight-bit-ret-full")
    assert split(case.expected("21-eight-bit-ret-full"))[1][2] == ("message/rfc822", "8bit", loaded.message)
    loaded = case.load("12-hostile-header")
    header = loaded.message.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert split(case.expected("12-hostile-header"))[1][2] == ("text/rfc822-headers", "quoted-printable", header)


def test_eight_bits_only_where_a_whole_message_has_them():
    eight_bit = [name for name in REPORTS if not case.expected(name).isascii()]
    assert eight_bit == ["09-utf8-sender-and-header", "21-eight-bit-ret-full"]
    header, _ = split(case.expected("09-utf8-sender-and-header"))
    assert b"Content-Transfer-Encoding" not in header  # the body is 7-bit; SMTPUTF8 is for the To field
    header, _ = split(case.expected("21-eight-bit-ret-full"))
    assert header.endswith(b"\r\nContent-Transfer-Encoding: 8bit")


def test_envid_and_orcpt_are_returned_as_they_were():
    message, recipient = groups(split(case.expected("04-envid-and-orcpt"))[1][1][2])
    assert message[0] == ("Original-Envelope-Id", "QQ 314=159+x")
    assert recipient[0] == ("Original-Recipient", "rfc822; Bob+Lunch@Remote.Example")


def test_no_field_that_nobody_gave():
    message, recipient = groups(split(case.expected("01-unknown-address"))[1][1][2])
    assert "Original-Envelope-Id" not in dict(message)
    assert "Original-Recipient" not in dict(recipient)
    assert "Will-Retry-Until" not in dict(recipient)
    _, recipient, *_ = groups(split(case.expected("18-no-host-was-asked"))[1][1][2])
    assert "Remote-MTA" not in dict(recipient)
    assert dict(recipient)["Diagnostic-Code"].startswith("x-mailsrv; ")


def test_a_retry_is_promised_for_delays_only():
    outcome = Outcome(0, Status.DELAYED, "4.4.1", "no answer", "", 5.0)
    late = replace(IMPRINT, retry_until=432_000.0)
    assert b"Will-Retry-Until: Tue, 6 Jan 1970 00:00:00 +0000\r\n" in build(outcome, imprint=late)
    assert b"Will-Retry-Until" not in build(outcome)
    assert b"Will-Retry-Until" not in build(imprint=late)


def test_an_alias_hides_what_stands_behind_it():
    alias = Recipient(Address("secret", "remote.example"), original=Address("info", "sender.example"))
    assert named(alias) == Address("info", "sender.example")
    report = build(envelope=replace(ENVELOPE, recipients=(alias,)))
    assert b"secret" not in report and b"Final-Recipient: rfc822; info@sender.example\r\n" in report


@pytest.mark.parametrize(
    ("status", "dsn", "expected"),
    [
        (Status.FAILED, "5.1.1", "5.1.1"),
        (Status.FAILED, "4.4.7", "4.4.7"),
        (Status.FAILED, "2.0.0", "5.0.0"),
        (Status.FAILED, "5.01.1", "5.0.0"),
        (Status.FAILED, "", "5.0.0"),
        (Status.FAILED, "5.1.1\r\nX: y", "5.0.0"),
        (Status.DELAYED, "4.7.1", "4.7.1"),
        (Status.DELAYED, "5.7.1", "4.0.0"),
        (Status.DELAYED, "4.1234.0", "4.0.0"),
        (Status.RELAYED, "2.6.0", "2.6.0"),
        (Status.DELIVERED, "250", "2.0.0"),
        (Status.EXPANDED, "", "2.0.0"),
    ],
)
def test_status(status, dsn, expected):
    assert clean_status(Outcome(0, status, dsn, "")) == expected


def test_what_a_reply_is():
    assert is_reply("550 no") and is_reply("451-wait\n451 more") and is_reply("421")
    assert not is_reply("connection timed out") and not is_reply("5500 things") and not is_reply("")


@pytest.mark.parametrize(
    "identifier", [b"<a b@c>", b"no-brackets@x", b"<a@b> <c@d>", b"<\xc3\xa4@b>", b"<" + b"a" * 400 + b"@b>", b""]
)
def test_a_message_id_that_is_none_is_not_referred_to(identifier):
    header = b"Message-ID: " + identifier + b"\r\n"
    report = build(original=Original(header))
    assert b"\r\nReferences:" not in report and b"\r\nIn-Reply-To:" not in report


def test_two_message_ids_are_none():
    assert b"\r\nReferences:" not in build(original=Original(HEADER + b"Message-Id: <2@x>\r\n"))
    assert b"\r\nReferences: <1@sender.example>\r\n" in build()


def test_long_names_are_folded_and_encoded():
    subject = "Nicht zugestellt: Grüße " * 10
    letter = replace(LETTER, author="Zustellung für alle " * 6, subject=subject, languages=("de",))
    report = build(letter=letter)
    header, parts = split(report)
    assert header.isascii() and max(map(len, header.split(b"\r\n"))) <= 78
    message = message_from_bytes(report)
    assert str(make_header(decode_header(message["Subject"]))) == letter.subject.strip()
    assert "Zustellung für alle Zustellung" in str(make_header(decode_header(message["From"])))
    assert b"Content-Language: de\r\n" in report


def test_a_message_that_cannot_be_returned_as_it_is():
    assert is_returnable(b"a: b\r\n\r\nx", b"a: b\r\n")
    assert is_returnable("ä: b\r\n\r\nx".encode(), "ä: b\r\n".encode())
    assert not is_returnable(b"a: \xff\r\n\r\nx", b"a: \xff\r\n")
    assert not is_returnable(b"a: b\r\n\r\n" + b"x" * 999, b"a: b\r\n")
    assert is_returnable(b"a: b\r\n\r\n" + b"x" * 998, b"a: b\r\n")
    report = build(original=Original(b"a: b\r\n", b"a: b\r\n\r\n" + b"x" * 999))
    assert split(report)[1][2][:2] == ("text/rfc822-headers", "7bit")


text = st.text(st.characters(codec=None), max_size=300)
pieces = ["\r\n", "\n", "\r", ": ", "--b/1", "=?utf-8?B?", "é", "\u202e", "550 ", "x" * 999]
hostile = st.lists(st.sampled_from(pieces) | text)


@given(reply=hostile.map("".join), host=text, dsn=text, envid=text, orcpt=text, header=st.binary(max_size=200))
def test_nothing_from_outside_changes_the_form(reply, host, dsn, envid, orcpt, header):
    recipient = Recipient(Address("bob", "remote.example"), DsnRequest(orcpt=f"rfc822;x{orcpt}"))
    envelope = replace(ENVELOPE, recipients=(recipient,), parameters=MailParameters(envid=envid))
    # The receiving core lets neither bare CR or LF nor NUL into a message.
    header = header.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    original = Original(b"Subject: " + header + b"\r\n")
    imprint = replace(IMPRINT, boundary="b/1-unpredictable")
    outcome = Outcome(0, Status.FAILED, dsn, reply, host, 5.0)
    check_form(build(outcome, envelope=envelope, original=original, imprint=imprint))
