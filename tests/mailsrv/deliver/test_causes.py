"""Causes: each code and each common reply leads to the paragraph that helps its sender."""

import pytest

from mailsrv.deliver.causes import _CODES, _WORDS, CANCELLED, find_cause
from mailsrv.deliver.templates import CAUSES
from mailsrv.mail.outcome import Outcome, Status

MX = "mx.remote.example [192.0.2.1]"


def cause(dsn, reply="", host=MX):
    return find_cause(Outcome(0, Status.DELAYED if dsn[0] == "4" else Status.FAILED, dsn, reply, host))


def test_every_row_names_a_cause_and_every_cause_is_used():
    named = set(_CODES.values()) | {row[1] for row in _WORDS}
    assert named <= set(CAUSES)
    assert set(CAUSES) - named == {"other", "cancelled"}


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("5.1.0", "unknown-address"),
        ("5.1.1", "unknown-address"),
        ("5.1.2", "no-domain"),
        ("4.1.2", "no-domain"),
        ("5.1.6", "moved"),
        ("5.1.8", "bad-sender"),
        ("5.1.10", "no-mail"),
        ("5.2.1", "disabled"),
        ("4.2.1", "disabled"),
        ("4.2.2", "full-mailbox"),
        ("5.2.2", "full-mailbox"),
        ("5.2.3", "too-large"),
        ("5.3.4", "too-large"),
        ("4.3.2", "busy"),
        ("5.3.0", "other"),
        ("5.4.1", "unknown-address"),
        ("4.4.1", "unreachable"),
        ("4.4.2", "unreachable"),
        ("4.4.3", "dns"),
        ("5.4.4", "no-domain"),
        ("4.4.4", "dns"),
        ("5.4.6", "loop"),
        ("4.4.7", "unreachable"),
        ("5.5.3", "too-many-recipients"),
        ("4.5.3", "too-many-recipients"),
        ("5.5.2", "protocol"),
        ("5.6.0", "content"),
        ("5.6.3", "conversion"),
        ("5.6.7", "international-address"),
        ("5.7.1", "blocked"),
        ("5.7.0", "blocked"),
        ("4.7.1", "busy"),
        ("4.7.5", "tls"),
        ("5.7.10", "tls"),
        ("5.7.30", "tls"),
        ("5.7.23", "sender-authentication"),
        ("5.7.26", "sender-authentication"),
        ("5.7.27", "bad-sender"),
        ("5.7.8", "here"),
        ("5.0.0", "other"),
        ("4.0.0", "other"),
        ("5.9.9", "other"),
        ("nonsense", "other"),
    ],
)
def test_code(dsn, expected):
    assert cause(dsn) == expected


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("4.3.0", "here"),
        ("5.3.5", "here"),
        ("4.2.0", "here"),
        ("5.3.4", "too-large"),
        ("4.2.2", "full-mailbox"),
        ("4.4.1", "unreachable"),
    ],
)
def test_what_this_server_found_itself(dsn, expected):
    assert cause(dsn, "no room on the disk here", "") == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550 No such user here", "unknown-address"),
        ("550 Requested action not taken: mailbox unavailable", "unknown-address"),
        ("550 The recipient bob@remote.example does not exist", "unknown-address"),
        ("550 User bob@remote.example unknown", "unknown-address"),
        ("552 Mailbox full", "full-mailbox"),
        ("552 The mailbox is over quota", "full-mailbox"),
        ("552 message too large", "too-large"),
        ("552 Message size exceeds fixed limit", "too-large"),
        ("554 Your message looks like spam", "blocked"),
        ("554 Service unavailable; client host [192.0.2.1] blocked using zen.example", "blocked"),
        ("550 SPF check failed", "sender-authentication"),
        ("550 DMARC policy of sender.example", "sender-authentication"),
        ("530 Must issue a STARTTLS command first", "tls"),
        ("554 too many hops", "loop"),
        ("550 account suspended", "disabled"),
        ("452 Too many recipients", "too-many-recipients"),
        ("554 virus found", "content"),
        ("450 Greylisted for 5 minutes", "busy"),
        ("550 go away", "other"),
    ],
)
def test_words_where_the_code_says_nothing(reply, expected):
    assert cause("5.0.0", reply) == expected
    assert cause("4.0.0", reply) == expected


def test_words_do_not_overrule_a_code_that_says_something():
    assert cause("5.2.2", "552 5.2.2 blocked as spam") == "full-mailbox"
    assert cause("5.7.1", "550 5.7.1 no such user") == "unknown-address"
    assert cause("5.4.1", "550 5.4.1 Recipient address rejected: Access denied") == "unknown-address"


def test_only_this_server_cancels():
    assert cause("5.7.1", f"{CANCELLED}: spam run", "") == "cancelled"
    assert cause("5.0.0", CANCELLED) == "other"


def test_a_long_reply_costs_little():
    assert cause("5.0.0", "user " * 100_000 + "unknown") == "other"
