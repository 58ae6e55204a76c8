"""Logins as IMAP words them; what they are is tested in tests/mailsrv/directory/test_logins."""

import pytest

from mailsrv.directory.logins import Outcome
from mailsrv.imapd.house import Peer
from mailsrv.imapd.login import _ANSWERS
from tests.mailsrv.imapd.test_connection import Services, make, talk_to


def talk(tmp_path, services=None, **limits):
    conversation, _, house = make(tmp_path, services, Peer("S1", "imap", "127.0.0.1", without_tls=True), **limits)
    _, say = talk_to(conversation, tls=False)
    say(b"")
    return say, conversation, house


def test_every_outcome_has_its_answer() -> None:
    assert set(_ANSWERS) == set(Outcome) - {Outcome.SUCCESS}


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"a LOGIN alice secret\r\n", "a OK [CAPABILITY "),
        (b"a LOGIN alice {6+}\r\nsecret\r\n", "a OK [CAPABILITY "),
        (b"a LOGIN alice wrong\r\n", "a NO [AUTHENTICATIONFAILED] "),
        (b"a LOGIN bob secret\r\n", "a NO [AUTHENTICATIONFAILED] "),
        (b'a LOGIN "" ""\r\n', "a NO [AUTHENTICATIONFAILED] "),
        (b"a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n", "a OK [CAPABILITY "),
        (b"a AUTHENTICATE LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n", "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\na OK "),
        (b"a AUTHENTICATE PLAIN\r\n*\r\n", "+ \r\na BAD "),
        (b"a AUTHENTICATE CRAM-MD5\r\n", "a NO [PRIVACYREQUIRED] "),
    ],
)
def test_ways_in(tmp_path, said, heard) -> None:
    say, _, _ = talk(tmp_path)
    assert say(said).startswith(heard)


def test_the_third_failure_ends_the_session(tmp_path) -> None:
    say, _, house = talk(tmp_path)
    for _ in range(2):
        assert say(b"a LOGIN alice wrong\r\n").startswith("a NO")
    assert say(b"a LOGIN alice wrong\r\n").startswith("* BYE too many failed logins")
    assert [event["kind"] for event in house.log.named("login")] == ["imap"] * 3


def test_too_many_sessions_of_an_account(tmp_path) -> None:
    services = Services(sessions=3)
    say, conversation, _ = talk(tmp_path, services, imap_sessions=2)
    assert say(b"a LOGIN alice secret\r\n") == "a NO [LIMIT] this account has too many sessions\r\n"
    assert (conversation.account, services.shown[-1]) == ("", "")
    services.sessions = 2
    assert say(b"b LOGIN alice secret\r\n").startswith("b OK")


def test_unauthenticate(tmp_path) -> None:
    say, conversation, _ = talk(tmp_path)
    say(b"a LOGIN alice secret\r\nb SELECT INBOX\r\n")
    assert say(b"c UNAUTHENTICATE\r\n").startswith("c OK")
    state = conversation._state
    assert (state.account, state.view, state.library) == ("", None, None)
    assert say(b"d SELECT INBOX\r\n").startswith("d BAD")
    assert say(b"e LOGIN alice secret\r\n").startswith("e OK")
