"""The letter: the right paragraphs, in each language, and foreign text only where it can be told from ours."""

from dataclasses import replace

import pytest

from mailsrv.deliver.letter import MAX_TOLD, Matter, write_letter
from mailsrv.deliver.templates import load_templates
from mailsrv.mail.address import Address
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.mail.header import scan
from mailsrv.mail.outcome import Outcome, Status

RECEIVED = 1_700_000_000.0
EN, DE = load_templates(["en", "de"])[0]
BOB = Recipient(Address("bob", "remote.example"))
REFUSED = Outcome(0, Status.FAILED, "5.1.1", "550 5.1.1 no\n550 really", "mx.remote.example [192.0.2.1]", RECEIVED + 2)


def matter(*outcomes, kind=Kind.FAILED, header=b"Subject: Lunch\r\n", waited=3.0, recipients=None):
    recipients = recipients or tuple(BOB for _ in outcomes)
    envelope = Envelope("q1", RECEIVED, Address("anna", "sender.example"), recipients)
    return Matter(
        kind, envelope, outcomes, scan(header + b"\r\n", True), False, RECEIVED + waited, RECEIVED + 432_000,
        "mx.sender.example", "postmaster@sender.example",
    )  # fmt: skip


def text(*outcomes, words=EN, **options):
    return write_letter(matter(*outcomes, **options), [words]).text


def test_a_failure_has_cause_advice_and_answer():
    told = text(REFUSED)
    assert (
        "bob@remote.example\n"
        "    There is no mailbox with this address.\n\n"
        "    Please look for a typing error. If there is none, the address may no\n"
        "    longer be in use: ask the recipient in another way.\n\n"
        "    The server mx.remote.example [192.0.2.1] answered:\n"
        "        550 5.1.1 no\n"
        "        550 really\n"
    ) in told
    assert "    Subject: Lunch\n    Sent:    2023-11-14 22:13 UTC\n" in told
    assert "postmaster@sender.example.\nThe header of your message is attached. Its queue ID is q1." in told


def test_a_delay_has_no_advice_but_a_promise():
    waiting = replace(REFUSED, status=Status.DELAYED, dsn="4.2.2", reply="452 4.2.2 full")
    told = text(waiting, kind=Kind.DELAYED, waited=14_400)
    assert "after 4 hours" in told
    assert "until 2023-11-19 22:13 UTC" in told
    assert "The recipient's mailbox is full.\n\n    The server" in told
    assert "given up" not in told


def test_giving_up_says_how_long_it_was_tried():
    told = text(replace(REFUSED, dsn="4.4.1", reply="connection timed out", at=RECEIVED + 431_000))
    assert "I tried for 5 days and have now given up." in " ".join(told.split())
    assert "This server noted about mx.remote.example [192.0.2.1]:\n        connection timed out\n" in told


def test_what_this_server_found_is_not_put_into_another_mouth():
    told = text(replace(REFUSED, reply="no such domain", host=""))
    assert "    This server noted:\n        no such domain\n" in told
    assert "said" not in told and "answered" not in told


def test_no_answer_no_line():
    assert "noted" not in text(replace(REFUSED, reply="", host=""))


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.RELAYED, Status.EXPANDED])
@pytest.mark.parametrize("words", [EN, DE])
def test_good_news(status, words):
    told = text(replace(REFUSED, status=status, reply="250 ok"), kind=Kind.SUCCEEDED, words=words)
    assert " ".join(words.sections[status.value].split()) in " ".join(told.split())
    assert "250 ok" not in told


@pytest.mark.parametrize(
    ("waited", "english", "german"),
    [
        (0, "one minute", "einer Minute"),
        (-5, "one minute", "einer Minute"),
        (3600, "60 minutes", "60 Minuten"),
        (7200, "2 hours", "2 Stunden"),
        (14_399, "4 hours", "4 Stunden"),
        (172_799, "48 hours", "48 Stunden"),
        (172_800, "2 days", "2 Tagen"),
    ],
)
def test_durations_are_told_as_people_do(waited, english, german):
    waiting = replace(REFUSED, status=Status.DELAYED)
    assert f"after {english}." in text(waiting, kind=Kind.DELAYED, waited=waited)
    assert f"seit {german}." in text(waiting, kind=Kind.DELAYED, waited=waited, words=DE)


def test_two_languages_follow_one_another():
    letter = write_letter(matter(REFUSED), [DE, EN])
    german, english = letter.text.split("\n\n" + "-" * 30 + "\n\n")
    assert german.startswith("Guten Tag,") and english.startswith("Hello,")
    assert letter.languages == ("de", "en")
    assert letter.subject == "Nicht zugestellt: Ihre Nachricht an bob@remote.example"
    assert letter.author == "Mailserver mx.sender.example"


def test_the_subject_counts_several():
    assert write_letter(matter(REFUSED, replace(REFUSED, recipient=1)), [EN]).subject.endswith("to 2 recipients")


def test_only_some_of_very_many_get_a_paragraph():
    outcomes = [replace(REFUSED, recipient=n) for n in range(MAX_TOLD + 5)]
    told = text(*outcomes)
    assert told.count("There is no mailbox") == MAX_TOLD
    assert "And 5 more;" in told


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (b"", "(no subject)"),
        (b"Subject:\r\n", "(no subject)"),
        (b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n", "Grüße"),
        (b"Subject: =?utf-8?Q?a=0A=0ADear_customer,?=\r\n", "a??Dear customer,"),
        (b"Subject: " + b"x" * 500 + b"\r\n", "x" * 147 + "..."),
    ],
)
def test_the_original_subject(header, shown):
    assert f"    Subject: {shown}\n" in text(REFUSED, header=header)


def test_a_reply_cannot_leave_its_margin():
    told = text(replace(REFUSED, reply="550 a\r\n\r\nDear customer,\nvisit " + "x" * 200 + " now", host="mx\nDear"))
    inside = told[told.index("answered:") : told.index("I will not try again")]
    assert all(line.startswith(" " * 8) for line in inside.split("\n")[1:] if line)
    assert "\nDear" not in told
