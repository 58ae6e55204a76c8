"""RCPT: who is taken, and what each recipient stands for."""

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.directory.accounts import Directory
from mailsrv.errors import StorageError
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.envelope import DsnRequest, MailParameters
from mailsrv.receive import recipient
from mailsrv.receive.recipient import (
    ELSEWHERE, LOOP, NO_RELAY, NOT_FULL_NAME, OK, OVER_QUOTA, TOO_MANY, UNKNOWN, answer_rcpt,
)
from mailsrv.receive.space import STORAGE_FAILED
from mailsrv.receive.state import Transaction
from mailsrv.smtp.events import Kind, Rcpt
from tests.fakes.clock import FakeClock
from tests.mailsrv.receive.fakes import make_config, make_house
from tests.mailsrv.receive.test_sender import make_state


def begin(house=None, kind=Kind.SMTP, account="", size=0):
    state = make_state(house, kind, account)
    state.transaction = Transaction("SESSION0", 0.0, None, MailParameters(size=size))
    return state


def rcpt(state, text: str):
    address = Address(text, "") if "@" not in text else parse_address(text)
    return answer_rcpt(state, Rcpt(address, DsnRequest()))


@pytest.mark.parametrize(
    ("kind", "account", "address", "reply"),
    [
        (Kind.SMTP, "", "alice@example.org", OK),
        (Kind.SMTP, "", "Alice+tag@EXAMPLE.net", OK),
        (Kind.SMTP, "", "nobody@example.org", UNKNOWN),
        (Kind.SMTP, "", "x@far.example", NO_RELAY),
        (Kind.SMTP, "", "alice@[192.0.2.1]", NO_RELAY),
        (Kind.SMTP, "", "loop0@example.org", LOOP),
        (Kind.SMTP, "", "away@example.org", OK),
        (Kind.SMTP, "", "Postmaster", OK),
        (Kind.SMTP, "", "postmaster@example.org", OK),
        (Kind.SUBMISSION, "alice", "x@far.example", OK),
        (Kind.SUBMISSION, "alice", "x@[192.0.2.1]", OK),
        (Kind.SUBMISSION, "alice", "x@localhost", NOT_FULL_NAME),
        (Kind.SUBMISSION, "alice", "nobody@example.org", UNKNOWN),
        (Kind.LMTP, "", "team@example.org", OK),
        (Kind.LMTP, "", "away@example.org", ELSEWHERE),
        (Kind.LMTP, "", "gone@example.org", ELSEWHERE),
        (Kind.LMTP, "", "x@far.example", NO_RELAY),
        (Kind.LMTP, "", "nobody@example.org", UNKNOWN),
    ],
)
def test_who_is_taken(kind, account, address, reply) -> None:
    assert rcpt(begin(kind=kind, account=account), address) == reply


def recipients(state) -> list[tuple[str, str, str]]:
    return [(str(one.address), one.account, str(one.original or "")) for one in state.transaction.recipients]


def test_each_account_once_whatever_the_address() -> None:
    state = begin()
    for address in ("alice+a@example.org", "alice@example.net", "team@example.org", "postmaster@example.org"):
        assert rcpt(state, address) == OK
    assert recipients(state) == [
        ("alice+a@example.org", "alice", ""),
        ("bob@example.org", "bob", "team@example.org"),
    ]
    assert [len(accounts) for _, accounts in state.transaction.forward_paths] == [1, 1, 2, 1]


def test_remote_members_of_aliases_and_relayed_recipients_once() -> None:
    state = begin(kind=Kind.SUBMISSION, account="bob")
    for address in ("away@example.org", "A@FAR.example", "a@far.example", "gone@example.org"):
        assert rcpt(state, address) == OK
    assert recipients(state) == [
        ("alice@example.org", "alice", "away@example.org"),
        ("a@far.example", "", "away@example.org"),
        ("b@far.example", "", "gone@example.org"),
    ]


def test_the_request_for_reports_goes_along() -> None:
    state = begin()
    dsn = DsnRequest(("FAILURE",), "rfc822;alice@example.org")
    answer_rcpt(state, Rcpt(parse_address("away@example.org"), dsn))
    assert [one.dsn for one in state.transaction.recipients] == [dsn, dsn]


def test_refusals_are_logged_and_kept_for_the_record() -> None:
    house = make_house()
    state = begin(house)
    rcpt(state, "nobody@example.org")
    assert house.log.of("refused")[0]["to"] == "nobody@example.org"
    assert [(str(path), rule, reply) for path, rule, _, reply in state.transaction.asked] == [
        ("nobody@example.org", "unknown", UNKNOWN)
    ]


def test_refusals_that_are_kept_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(recipient, "_ASKED", 2)
    state = begin()
    for _ in range(5):
        rcpt(state, "nobody@example.org")
    assert rcpt(state, "alice@example.org") == OK
    assert len(state.transaction.asked) == 3


def quota_house(used: dict[str, int]):
    house = make_house(config=make_config(limits=LimitsConfig(quota_bytes=10_000)))
    house.quota.used = used
    return house


def test_full_mailbox() -> None:
    house = quota_house({"alice": 10_000, "bob": 9_000})
    assert rcpt(begin(house), "alice@example.org") == OVER_QUOTA
    assert rcpt(begin(house), "bob@example.org") == OK
    assert rcpt(begin(house, size=1_000), "bob@example.org") == OK
    assert rcpt(begin(house, size=1_001), "bob@example.org") == OVER_QUOTA


def test_a_quota_that_the_configuration_does_not_know() -> None:
    house = make_house()
    asked = []
    house.quota.room = lambda account, limit, size: asked.append((account, limit, size))
    assert rcpt(begin(house, size=7), "alice@example.org") == OVER_QUOTA
    assert asked == [("alice", 0, 7)]


def test_a_full_member_does_not_stop_an_alias() -> None:
    house = quota_house({"alice": 10_000})
    assert rcpt(begin(house), "team@example.org") == OK
    assert rcpt(begin(house), "away@example.org") == OK
    house.quota.used["bob"] = 10_000
    assert rcpt(begin(house), "team@example.org") == OVER_QUOTA


def test_a_quota_that_cannot_be_read() -> None:
    house = quota_house({})

    def broken(account, limit, size):
        raise StorageError("input/output error")

    house.quota.room = broken
    assert rcpt(begin(house), "alice@example.org") == STORAGE_FAILED
    assert house.log.of("storage")


def test_recipients_after_expansion_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(recipient, "_EXPANSION", 1)
    state = begin(make_house(config=make_config(limits=LimitsConfig(recipients=1))))
    assert rcpt(state, "team@example.org") == OK
    assert rcpt(state, "mute@example.org") == TOO_MANY


def test_a_rewritten_sender_is_reached_by_reports_only():
    config = make_config(srs_secret="sixteen characters at least")
    house = make_house(config=config, directory=Directory.from_config(config, FakeClock()))
    rewritten = house.directory.srs.forward(parse_address("x@far.example"), "example.org")
    state = begin(house)
    assert rcpt(state, str(rewritten)) is OK
    assert [str(one.address) for one in state.transaction.recipients] == ["x@far.example"]
    state = begin(house)
    state.transaction.reverse_path = parse_address("spammer@elsewhere.example")
    assert rcpt(state, str(rewritten)) is UNKNOWN
