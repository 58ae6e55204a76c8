"""The steps of an exchange are values, and every mechanism has the two verbs."""

from mailsrv.sasl.login import Login
from mailsrv.sasl.mechanism import Challenge, Credentials, Mechanism
from mailsrv.sasl.plain import Plain
from mailsrv.sasl.scram import Scram


def test_mechanisms_begin_without_an_initial_response() -> None:
    mechanisms: list[Mechanism] = [Plain(), Login(), Scram(lambda name: None, b"secret", b"nonce")]
    for mechanism in mechanisms:
        assert isinstance(mechanism.start(None), Challenge)


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Credentials("", "alice", "hunter2"))
