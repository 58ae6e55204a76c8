"""State of sessions and transactions."""

import pytest

from mailsrv.mail.envelope import MailParameters
from mailsrv.receive.house import Peer
from mailsrv.receive.state import State, Transaction
from mailsrv.smtp.events import Kind
from tests.mailsrv.receive.fakes import make_house
from tests.mailsrv.receive.test_login import TLS, TLS_12


@pytest.mark.parametrize(
    ("kind", "lmtp", "submission"),
    [
        (Kind.SMTP, False, False), (Kind.LMTP, True, False), (Kind.SUBMISSION, False, True),
        (Kind.SUBMISSIONS, False, True),
    ],
)
def test_kinds(kind, lmtp, submission) -> None:
    state = State(Peer("S", kind, "192.0.2.7"), make_house())
    assert (state.is_lmtp, state.is_submission) == (lmtp, submission)


@pytest.mark.parametrize(
    ("tls", "text"), [(None, ""), (TLS, "TLS1.3 TLS_AES_256_GCM_SHA384"), (TLS_12, "TLS1.2 ECDHE")]
)
def test_tls_as_text(tls, text) -> None:
    assert State(Peer("S", Kind.SMTP, "192.0.2.7", tls=tls), make_house()).tls_text == text


def test_a_closed_transaction_holds_no_memory() -> None:
    house = make_house()
    transaction = Transaction("ID", 0.0, None, MailParameters())
    transaction.close()
    transaction.scratch = scratch = house.scratch()
    scratch.write(b"x")
    transaction.close()
    assert transaction.scratch is None
    assert scratch.size == 0
