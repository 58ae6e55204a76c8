"""Who gets which reply, and how many commands are on their way."""

from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_events import Phase
from mailsrv.smtp.client_exchange import WINDOW, Exchange

OK = Reply(250, "", "ok")


def fill(exchange: Exchange, count: int) -> list[int]:
    """Put commands; gives the list into which the replies' numbers go."""
    answered: list[int] = []
    for number in range(count):
        exchange.put(b"%d\r\n" % number, Phase.RCPT, lambda reply, number=number: answered.append(number))
    return answered


def reply(exchange: Exchange) -> None:
    handler = exchange.take_handler()
    assert handler is not None
    handler(OK)
    exchange.refill()


def test_one_after_another() -> None:
    exchange = Exchange()
    answered = fill(exchange, 3)
    assert exchange.take_output() == b"0\r\n"
    assert exchange.take_output() == b""
    reply(exchange)
    assert exchange.take_output() == b"1\r\n"
    reply(exchange)
    reply(exchange)
    assert answered == [0, 1, 2] and exchange.is_idle and exchange.phase is Phase.IDLE
    assert exchange.take_handler() is None


def test_many_at_once_but_not_all() -> None:
    exchange = Exchange()
    exchange.pipelining = True
    answered = fill(exchange, WINDOW + 5)
    assert exchange.take_output().count(b"\r\n") == WINDOW
    reply(exchange)
    assert exchange.take_output() == b"%d\r\n" % WINDOW
    exchange.drop_unsent()
    for _ in range(WINDOW):
        reply(exchange)
    assert answered == list(range(WINDOW + 1)) and exchange.is_idle


def test_what_is_forgotten_is_not_sent() -> None:
    exchange = Exchange()
    fill(exchange, 2)
    exchange.send(b"text")
    exchange.forget()
    assert exchange.take_output() == b"" and exchange.is_idle


def test_one_block_is_not_copied() -> None:
    exchange = Exchange()
    block = b"x" * 100
    exchange.send(block)
    assert exchange.take_output() is block


def test_a_reply_without_a_command_is_waited_for() -> None:
    exchange = Exchange()
    seen: list[Reply] = []
    exchange.expect(Phase.GREETING, seen.append)
    assert exchange.phase is Phase.GREETING
    reply(exchange)
    assert seen == [OK]
