"""The Received field follows greeting, TLS, login and SMTPUTF8."""

from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import MailParameters
from mailsrv.receive.house import Peer
from mailsrv.receive.stamp import stamp, with_protocol
from mailsrv.receive.state import State, Transaction
from mailsrv.smtp.events import Kind
from tests.mailsrv.receive.fakes import make_house
from tests.mailsrv.receive.test_login import TLS


def field(state: State, *, smtputf8: bool = False) -> bytes:
    transaction = Transaction("ID", 0.0, None, MailParameters(smtputf8=smtputf8))
    transaction.forward_paths.append((parse_address("alice@example.org"), ("alice",)))
    return stamp(state, transaction, 0.0).replace(b"\r\n\t", b" ")


def test_changes_of_the_session_are_seen() -> None:
    state = State(Peer("S", Kind.SUBMISSION, "2001:db8::7"), make_house())
    state.helo, state.extended = "one.example", False
    assert b"from one.example ([IPv6:2001:db8::7]) by mx.example.org with SMTP id ID" in field(state)
    assert field(state) == field(state)
    state.helo, state.extended, state.tls = "two.example", True, TLS
    state.identity_changed()
    assert b"from two.example" in field(state)
    assert b"with ESMTPS (TLS1.3 TLS_AES_256_GCM_SHA384) id ID" in field(state)
    assert b"with UTF8SMTPS (TLS1.3" in field(state, smtputf8=True)
    state.account = "alice"
    state.identity_changed()
    assert b"from localhost by mx.example.org with ESMTPSA" in field(state)


def test_protocol_of_lmtp() -> None:
    state = State(Peer("S", Kind.LMTP, "local"), make_house())
    state.extended = True
    assert with_protocol(state, False) == "LMTP"
