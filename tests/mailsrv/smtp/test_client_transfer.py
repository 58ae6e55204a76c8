"""One transaction by itself: its course and what it leaves behind. Whole dialogues are in test_client."""

import pytest

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import MailParameters, Recipient
from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_capabilities import Capabilities, read_capabilities
from mailsrv.smtp.client_events import Phase, Stage, Transaction
from mailsrv.smtp.client_exchange import Exchange
from mailsrv.smtp.client_replies import ReplyFault
from mailsrv.smtp.client_transfer import SMALL, Transfer

PIPED = read_capabilities(["PIPELINING"])
CHUNKS = read_capabilities(["PIPELINING", "CHUNKING"])


def begin(
    offered: Capabilities, *, size: int = 10, lmtp: bool = False, utf8: bool = False
) -> tuple[Transfer, Exchange]:
    exchange = Exchange()
    exchange.pipelining = "PIPELINING" in offered
    recipients = (Recipient(Address("c", "d.example")), Recipient(Address("e", "d.example")))
    transaction = Transaction(None, recipients, MailParameters(), size, utf8_header=utf8)
    transfer = Transfer(exchange, transaction, offered, lmtp)
    transfer.start()
    return transfer, exchange


def answer(transfer: Transfer, exchange: Exchange, *codes: int) -> None:
    for code in codes:
        handler = exchange.take_handler()
        assert handler is not None
        handler(Reply(code, "", "x"))
        transfer.proceed()
        exchange.refill()


def test_what_cannot_be_sent_is_done_at_once() -> None:
    transfer, exchange = begin(PIPED, utf8=True)
    assert transfer.is_empty and transfer.is_done and exchange.is_idle
    assert {one.stage for one in transfer.answers} == {Stage.NEEDS}


@pytest.mark.parametrize(
    ("codes", "needs_reset"),
    [((550, 503, 503, 503), False), ((250, 550, 550, 503), True), ((250, 250, 550, 451), True)],
)
def test_what_stays_open_needs_a_reset(codes: tuple[int, ...], needs_reset: bool) -> None:
    transfer, exchange = begin(PIPED)
    answer(transfer, exchange, *codes)
    assert transfer.is_done and transfer.needs_reset is needs_reset and exchange.is_idle


def test_a_finished_message_leaves_nothing() -> None:
    transfer, exchange = begin(PIPED)
    answer(transfer, exchange, 250, 250, 250, 354)
    assert transfer.wants_body and transfer.takes_body
    transfer.give(b"x\r\n")
    transfer.give_end()
    assert exchange.phase is Phase.DATA_END
    answer(transfer, exchange, 554)
    assert transfer.is_done and not transfer.needs_reset and not transfer.ruin


def test_big_chunks_are_not_sent_on_speculation() -> None:
    for size, early in ((SMALL, True), (SMALL + 1, False)):
        transfer, exchange = begin(CHUNKS, size=size)
        assert transfer.takes_body is early
        assert (b"BDAT" in exchange.take_output()) is early


def test_lmtp_has_data_only() -> None:
    transfer, exchange = begin(CHUNKS, lmtp=True)
    assert exchange.take_output().endswith(b"DATA\r\n") and not transfer.takes_body


def test_a_loss_is_doubtful_only_behind_the_message() -> None:
    for replies, complete, stage, doubtful in (
        ((), False, Stage.MAIL, False),
        ((250,), False, Stage.RCPT, False),
        ((250, 250, 250), False, Stage.DATA, False),
        ((250, 250, 250, 354), False, Stage.END, False),
        ((250, 250, 250, 354), True, Stage.END, True),
    ):
        transfer, exchange = begin(PIPED)
        answer(transfer, exchange, *replies)
        if complete:
            transfer.give_end()
        transfer.interrupt(Reply(451, "4.4.2", "lost"), by_peer=False)
        assert transfer.is_done
        assert {(one.stage, one.doubtful) for one in transfer.answers} == {(stage, doubtful)}


def test_a_pipelined_chunk_is_doubtful_before_any_reply() -> None:
    transfer, _ = begin(CHUNKS)
    transfer.give(b"0123456789")
    transfer.give_end()
    transfer.interrupt(Reply(451, "4.4.2", "lost"), by_peer=False)
    assert all(one.doubtful for one in transfer.answers)


def test_an_incomplete_message_cannot_be_accepted() -> None:
    transfer, exchange = begin(PIPED)
    answer(transfer, exchange, 250, 250, 250, 354)
    with pytest.raises(ReplyFault, match="not complete"):
        transfer.take_early(Reply(250, "", "ok"))
