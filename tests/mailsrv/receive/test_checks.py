"""Which sessions are checked."""

import dataclasses

import pytest

from mailsrv.receive.checks import is_checked
from mailsrv.receive.house import Peer
from mailsrv.receive.state import State
from mailsrv.smtp.events import Kind
from tests.fakes.dns import FakeResolver
from tests.mailsrv.receive.fakes import make_house


@pytest.mark.parametrize(
    ("kind", "client", "account", "checked"),
    [
        (Kind.SMTP, "192.0.2.7", "", True),
        (Kind.SMTP, "2001:db8::7", "", True),
        (Kind.SMTP, "127.0.0.1", "", False),
        (Kind.SMTP, "::1", "", False),
        (Kind.SMTP, "192.0.2.7", "alice", False),
        (Kind.SUBMISSION, "192.0.2.7", "", False),
        (Kind.LMTP, "192.0.2.7", "", False),
        (Kind.LMTP, "local", "", False),
    ],
)
def test_whose_mail_is_checked(kind: Kind, client: str, account: str, checked: bool) -> None:
    house = dataclasses.replace(make_house(), lookups=lambda: FakeResolver().query)
    state = State(Peer("SESSION", kind, client), house)
    state.account = account
    assert is_checked(state) is checked


def test_without_a_way_to_the_dns_nobody_is() -> None:
    assert not is_checked(State(Peer("SESSION", Kind.SMTP, "192.0.2.7"), make_house()))
