"""A connection of SMTP: its last words after a bug, the versions of TLS, and the bounds of its core."""

import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.serve.handler import core_limits
from mailsrv.smtp.events import Limits
from tests.mailsrv.serve.smtp_server import SmtpServer, insecure


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    made = SmtpServer(tmp_path)
    yield made
    made.close()


def test_a_bug_ends_one_session_with_421_and_one_line(server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug for the test")

    monkeypatch.setattr("mailsrv.receive.recipient.answer_rcpt", fail)
    with server.client("smtp") as client:
        client.ehlo()
        client.mail("x@sender.example")
        assert client.rcpt("bob@example.org")[0] == 421
    [line] = server.log.wait_for("bug")
    assert "a bug for the test" in str(line["traceback"])


def test_old_tls_is_refused(server: SmtpServer) -> None:
    context = insecure()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.ports["submissions"]), timeout=20) as raw,
        pytest.raises(OSError),
        context.wrap_socket(raw),
    ):
        pass


def test_every_bound_of_the_core_comes_from_the_configuration() -> None:
    assert core_limits(LimitsConfig()) == Limits()
    changed = core_limits(LimitsConfig(message_size=5000, recipients=2, errors=3))
    assert (changed.message_size, changed.recipients, changed.errors) == (5000, 2, 3)
