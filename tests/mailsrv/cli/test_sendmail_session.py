"""sendmail -bs: a whole dialogue, and errors of messages as replies."""

import pytest

from mailsrv.cli.sendmail_session import LocalSession
from mailsrv.errors import GrammarError, MailsrvError, StorageError
from mailsrv.mail.address import Address
from mailsrv.receive.handover import NoSuchUser
from mailsrv.spool.drop import Request


class FakeWay:
    """Keeps what is sent."""

    hostname = "mail.example.com"
    limit = 1000

    def __init__(self) -> None:
        self.sent: list[tuple[Request, bytes]] = []
        self.error: MailsrvError | None = None

    def send(self, request: Request, message: bytes) -> str:
        if self.error is not None:
            raise self.error
        self.sent.append((request, message))
        return "ID"

    def knows(self, address: Address) -> bool:
        return address.local_part != "nobody"


def talk(way: FakeWay, *lines: str) -> list[str]:
    """The replies to these lines."""
    out: list[bytes] = []
    pending = [f"{line}\r\n".encode() for line in lines]
    session = LocalSession(way, lambda: pending.pop(0) if pending else b"", out.append)
    assert session.run() == 0
    return b"".join(out).decode().splitlines()


BEGIN = ("EHLO x", "MAIL FROM:<ada@example.com>", "RCPT TO:<bob@example.net>", "DATA", "Subject: x", "", "..hi", ".")


def test_a_dialogue() -> None:
    way = FakeWay()
    replies = talk(
        way, "HELO x", "MAIL FROM:<>", "RCPT TO:<nobody@example.com>", "RCPT TO:<Postmaster>",
        "RCPT TO:<bob@example.net>", "DATA", "Subject: x", "", "..hi", ".", "QUIT",
    )  # fmt: skip
    assert [reply[:3] for reply in replies] == ["220", "250", "250", "550", "250", "250", "354", "250", "221"]
    assert way.sent == [(Request(("Postmaster", "bob@example.net"), "<>"), b"Subject: x\r\n\r\n.hi\r\n")]
    assert "accepted as ID" in replies[-2]


def test_two_messages_and_an_end_without_quit() -> None:
    way = FakeWay()
    talk(way, *BEGIN, "RSET", *BEGIN[1:])
    assert [request.recipients for request, _ in way.sent] == [("bob@example.net",)] * 2
    assert way.sent[0][0].sender == "ada@example.com"


@pytest.mark.parametrize(
    ("error", "code"), [(NoSuchUser("x"), "550"), (GrammarError("x"), "554"), (StorageError("x"), "451")]
)
def test_errors_are_replies(error: MailsrvError, code: str) -> None:
    way = FakeWay()
    way.error = error
    assert talk(way, *BEGIN)[-1].startswith(code)


def test_a_message_that_is_too_long() -> None:
    way = FakeWay()
    replies = talk(way, *BEGIN[:4], "x" * 900, "y" * 900, ".")
    assert replies[-1].startswith("552")
    assert way.sent == []


def test_no_tls_and_no_login() -> None:
    replies = talk(FakeWay(), "EHLO x", "STARTTLS", "AUTH PLAIN", "QUIT")
    assert not any("STARTTLS" in line or "AUTH" in line for line in replies if line.startswith("250"))
    assert all(line[0] in "45" for line in replies[-3:-1])
