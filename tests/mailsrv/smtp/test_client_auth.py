"""AUTH by itself; mechanisms of its own. Whole dialogues are in test_client."""

import pytest

from mailsrv.errors import GrammarError
from mailsrv.smtp.client_auth import MAX_ROUNDS, Authentication
from mailsrv.smtp.client_events import AuthResult
from mailsrv.smtp.client_exchange import Exchange


class Mechanism:
    name = "TEST"

    def __init__(self, initial: bytes | None = None, complete: bool = True) -> None:
        self.initial = initial
        self.is_complete = complete
        self.challenges: list[bytes] = []

    def start(self) -> bytes | None:
        return self.initial

    def step(self, challenge: bytes) -> bytes:
        self.challenges.append(challenge)
        if challenge == b"bad":
            raise GrammarError("a bad challenge")
        return b"r"


def run(mechanism: Mechanism, *replies: bytes) -> tuple[bytes, list[AuthResult]]:
    """What is sent in all, and the results."""
    exchange, results = Exchange(), []
    Authentication(exchange, mechanism, results.append).start()
    sent = exchange.take_output()
    for octets in replies:
        exchange.reader.append(octets)
        reply, handler = exchange.reader.next_reply(), exchange.take_handler()
        assert reply is not None and handler is not None
        handler(reply)
        sent += exchange.take_output()
    return sent, results


@pytest.mark.parametrize(
    ("initial", "command"), [(None, b"AUTH TEST\r\n"), (b"", b"AUTH TEST =\r\n"), (b"abc", b"AUTH TEST YWJj\r\n")]
)
def test_initial_responses(initial: bytes | None, command: bytes) -> None:
    sent, results = run(Mechanism(initial), b"235 2.7.0 ok\r\n")
    assert sent == command
    assert [(result.reply.code, result.by_peer) for result in results] == [(235, True)]


def test_challenges_and_responses() -> None:
    mechanism = Mechanism()
    sent, results = run(mechanism, b"334 YWJj\r\n", b"334 \r\n", b"334\r\n", b"535 5.7.8 no\r\n")
    assert sent == b"AUTH TEST\r\n" + b"cg==\r\n" * 3
    assert mechanism.challenges == [b"abc", b"", b""]
    assert [(result.reply.enhanced, result.by_peer) for result in results] == [("5.7.8", True)]


@pytest.mark.parametrize("challenge", [b"334 YmFk\r\n", b"334 *\r\n", b"334-YQ==\r\n334 YQ==\r\n"])
def test_what_the_mechanism_does_not_take_is_cancelled(challenge: bytes) -> None:
    for reply in (b"501 5.0.0 cancelled\r\n", b"235 ok\r\n", b"334 go on\r\n"):
        sent, results = run(Mechanism(), challenge, reply)
        assert sent == b"AUTH TEST\r\n*\r\n"
        assert [(result.reply.code, result.by_peer) for result in results] == [(454, False)]


def test_challenges_without_end_are_cancelled() -> None:
    sent, results = run(Mechanism(), *[b"334 YWJj\r\n"] * (MAX_ROUNDS + 1), b"501 ok\r\n")
    assert sent.endswith(b"*\r\n") and len(results) == 1


def test_success_before_the_server_has_proved_itself_is_none() -> None:
    _, results = run(Mechanism(b"x", complete=False), b"235 2.7.0 ok\r\n")
    assert [(result.reply.code, result.by_peer) for result in results] == [(454, False)]
