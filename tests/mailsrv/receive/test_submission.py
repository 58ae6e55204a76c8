"""Submission: whose message it is, what is added, what is removed, what is refused (RFC 6409 section 8)."""

import pytest

from mailsrv.smtp.events import Kind
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_house
from tests.mailsrv.receive.test_login import TLS

HEAD = b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@alice.example>\r\n"


def submit(message: bytes, sender: str = "alice@example.org", *recipients: str) -> tuple[list[str], bytes]:
    """Submit as alice; gives the replies and what was kept without its Received field."""
    dialogue = Dialogue(make_house(), Kind.SUBMISSION, TLS)
    dialogue.hello()
    assert dialogue.say("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==") == ["235 2.7.0 authentication successful"]
    replies = dialogue.send(message, sender, *recipients)
    kept = dialogue.house.delivery.kept
    return replies, kept[0][2].partition(b"22:13:20 +0000\r\n")[2] if kept else b""


def test_a_complete_message_stays_as_it_is() -> None:
    message = HEAD + b"From: Alice <alice@example.org>\r\nTo: x@far.example\r\n\r\nBcc: body\r\n"
    replies, kept = submit(message, "alice@example.org", "x@far.example")
    assert replies == ["250 2.0.0 accepted as SESSION0"]
    assert kept == message


def test_date_and_message_id_are_added() -> None:
    _, kept = submit(b"From: alice@example.org\r\n\r\nhi\r\n")
    assert kept == (
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <SESSION0@mx.example.org>\r\n"
        b"From: alice@example.org\r\n\r\nhi\r\n"
    )


def test_a_message_that_is_all_header() -> None:
    _, kept = submit(HEAD + b"From: alice@example.org\r\n")
    assert kept == HEAD + b"From: alice@example.org\r\n"


def test_blind_copies_are_removed() -> None:
    _, kept = submit(
        HEAD + b"Bcc: secret@far.example,\r\n\tmore@far.example\r\nFrom: alice@example.org\r\n"
        b"BCC : again@far.example\r\nResent-Bcc: x@far.example\r\nReturn-Path: <y@far.example>\r\n\r\nhi\r\n"
    )
    assert kept == HEAD + b"From: alice@example.org\r\n\r\nhi\r\n"


def test_results_under_our_name_are_removed() -> None:
    others = b"Authentication-Results: mx.far.example; dmarc=pass\r\n"
    _, kept = submit(
        HEAD + others + b"authentication-results :\r\n MX.example.ORG; dmarc=pass\r\n"
        b"X-Mailsrv-Reasons: sender=accept\r\nFrom: alice@example.org\r\n\r\nhi\r\n"
    )
    assert kept == HEAD + others + b"From: alice@example.org\r\n\r\nhi\r\n"


def test_sender_is_added_for_several_authors() -> None:
    authors = b"From: Alice <alice@example.org>, News <alice+news@example.net>\r\n"
    _, kept = submit(HEAD + authors + b"\r\n", "alice+out@example.org")
    assert kept == b"Sender: alice+out@example.org\r\n" + HEAD + authors + b"\r\n"
    _, kept = submit(HEAD + authors + b"\r\n", "")
    assert kept.startswith(b"Sender: alice@example.org\r\n")
    given = HEAD + authors + b"Sender: alice@example.net\r\n\r\n"
    assert submit(given)[1] == given


@pytest.mark.parametrize(
    "fields",
    [
        b"From: bob@example.org\r\n",
        b"From: alice@example.org, bob@example.org\r\n",
        b'From: "alice@example.org" <bob@example.org>\r\n',
        b"From: alice@far.example\r\n",
        b"From: undisclosed:;\r\n",
        b"From: alice@example.org\r\nSender: bob@example.org\r\n",
        b"From: team@example.org\r\n",
    ],
)
def test_authors_must_belong_to_the_account(fields: bytes) -> None:
    replies, kept = submit(HEAD + fields + b"\r\nhi\r\n")
    assert replies[0].startswith("550 5.7.1")
    assert not kept


@pytest.mark.parametrize(
    "message",
    [
        b"hello, no header\r\n",
        b"\r\nonly a body\r\n",
        HEAD + b"Subject: no author\r\n\r\nhi\r\n",
        HEAD + b"From: alice@example.org\r\nFrom: alice@example.org\r\n\r\nhi\r\n",
        HEAD + HEAD + b"From: alice@example.org\r\n\r\nhi\r\n",
        HEAD + b"From: alice@example.org\r\nSender: alice@example.org\r\nSender: alice@example.org\r\n\r\nhi\r\n",
        HEAD + b"From: alice\r\n\r\nhi\r\n",
        HEAD + b"From: Doe, Alice <alice@example.org>\r\n\r\nhi\r\n",
        HEAD + b"From: alice@example.org\r\nnot a field\r\n\r\nhi\r\n",
        b" folded first: line\r\nFrom: alice@example.org\r\n\r\nhi\r\n",
    ],
)
def test_malformed_headers_are_refused_with_the_reason(message: bytes) -> None:
    replies, kept = submit(message)
    assert replies[0].startswith("550 5.6.0 ")
    assert replies[0].endswith(" id=SESSION")
    assert not kept


def test_the_reason_names_the_line() -> None:
    replies, _ = submit(b"From: alice@example.org\r\nno field\r\n\r\n")
    assert "line 2 of the message" in replies[0]


def test_the_clients_address_is_not_told() -> None:
    dialogue = Dialogue(make_house(), Kind.SUBMISSION, TLS)
    dialogue.hello()
    dialogue.say("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==")
    dialogue.send(HEAD + b"From: alice@example.org\r\n\r\nhi\r\n", "alice@example.org", "x@far.example")
    envelope, _, stored = dialogue.house.delivery.kept[0]
    assert stored.replace(b"\r\n\t", b" ").startswith(
        b"Received: from localhost by mx.example.org with ESMTPSA (TLS1.3 TLS_AES_256_GCM_SHA384) id SESSION0"
        b" for <x@far.example>; "
    )
    assert b"192.0.2.7" not in stored
    assert b"client.example" not in stored
    assert envelope.account == "alice"
    assert envelope.recipients[0].account == ""


def test_unauthenticated_submission_is_refused_before_anything_else() -> None:
    dialogue = Dialogue(make_house(), Kind.SUBMISSION, TLS)
    dialogue.hello()
    assert dialogue.say("MAIL FROM:<alice@example.org>")[0].startswith("530 5.7.0")
    assert dialogue.say("RCPT TO:<nobody@example.org>")[0].startswith("503 5.5.1")
