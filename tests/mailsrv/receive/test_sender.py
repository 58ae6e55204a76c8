"""MAIL: ownership, size, room."""

import pytest

from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import MailParameters
from mailsrv.receive.house import Peer
from mailsrv.receive.sender import NEEDS_LOGIN, NOT_OWNED, OK, TOO_BIG, TOO_MANY, answer_mail
from mailsrv.receive.space import NO_ROOM
from mailsrv.receive.state import State
from mailsrv.smtp.events import Kind, Mail
from tests.mailsrv.receive.fakes import make_house, with_limits


def make_state(house=None, kind=Kind.SMTP, account="") -> State:
    state = State(Peer("SESSION", kind, "192.0.2.7"), house or make_house())
    state.account = account
    return state


def mail(address: str | None, size: int = 0) -> Mail:
    return Mail(parse_address(address) if address else None, MailParameters(size=size))


@pytest.mark.parametrize("address", [None, "a@far.example", "alice@example.org"])
def test_anybody_may_send_on_port_25(address) -> None:
    state = make_state()
    assert answer_mail(state, mail(address)) == OK
    assert state.transaction.id == "SESSION0"


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        ("alice@example.org", OK),
        ("ALICE+news@example.org", OK),
        ("alice@example.net", OK),
        (None, OK),
        ("bob@example.org", NOT_OWNED),
        ("team@example.org", NOT_OWNED),
        ("alice@far.example", NOT_OWNED),
    ],
)
def test_an_account_sends_from_its_own_addresses(address, reply) -> None:
    house = make_house()
    state = make_state(house, Kind.SUBMISSION, "alice")
    assert answer_mail(state, mail(address)) == reply
    assert (state.transaction is None) is (reply is not OK)


def test_what_is_refused_is_logged_recorded_and_counted() -> None:
    house = make_house()
    answer_mail(make_state(house, Kind.SUBMISSION, "alice"), mail("bob@example.org"))
    assert house.log.of("refused") == [
        {
            "id": "SESSION0", "client": "192.0.2.7", "helo": "", "account": "alice", "stage": "mail",
            "from": "bob@example.org", "to": "", "reply": str(NOT_OWNED),
        }
    ]
    record = house.decisions.written[0]
    assert (record["verdict"], record["reply"]) == ("reject", str(NOT_OWNED))
    assert record["rules"] == [{"stage": "mail", "rule": "ownership", "input": "bob@example.org", "result": "reject"}]
    assert house.throttle.counts["replies_refused"] == 1


def test_submission_without_login() -> None:
    assert answer_mail(make_state(kind=Kind.SUBMISSION), mail("alice@example.org")) == NEEDS_LOGIN


def test_declared_size() -> None:
    house = make_house(config=with_limits(message_size=5000))
    assert answer_mail(make_state(house), mail("a@far.example", 5000)) == OK
    assert answer_mail(make_state(house), mail("a@far.example", 5001)) == TOO_BIG


def test_full_disk() -> None:
    house = make_house()
    house.space.free = 1000
    assert answer_mail(make_state(house), mail("a@far.example", 1000)) == OK
    assert answer_mail(make_state(house), mail("a@far.example", 1001)) == NO_ROOM
    assert house.decisions.written[0]["verdict"] == "defer"


def test_messages_of_one_session() -> None:
    state = make_state(make_house(config=with_limits(messages=2)))
    assert [answer_mail(state, mail("a@far.example")) for _ in range(3)] == [OK, OK, TOO_MANY]
