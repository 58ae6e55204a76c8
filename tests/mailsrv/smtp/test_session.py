"""The session as the pump uses it. What clients say and hear is in tests/cases/smtp; here are the edges of the
interface."""

import pytest

from mailsrv.mail.reply import Reply
from mailsrv.smtp import events
from mailsrv.smtp.commands import State
from mailsrv.smtp.events import NEED_ANSWER, NEED_DATA, Kind, Limits, Offer
from mailsrv.smtp.session import ServerSession

OK = Reply(250, "2.0.0", "ok")
NOTHING = Offer()


def begin(kind: Kind = Kind.SMTP, offer: Offer = NOTHING, **limits: int) -> ServerSession:
    """A session behind its EHLO."""
    session = ServerSession(kind, "mx.example", "ID", Limits(**limits), offer)
    assert session.next_event() == events.Connected()
    session.answer(Reply(220, "", "hello"))
    say(session, b"LHLO a.example\r\n" if kind is Kind.LMTP else b"EHLO a.example\r\n", Reply(250, "", "mx.example"))
    session.data_to_send()
    return session


def say(session: ServerSession, octets: bytes, *answers: Reply) -> list[object]:
    """Send octets, answer the events in turn, give them."""
    session.receive_data(octets)
    given: list[object] = []
    replies = list(answers)
    while not isinstance(event := session.next_event(), events.Need):
        given.append(event)
        if isinstance(event, events.Closed | events.FramingFault):
            break
        if not isinstance(event, events.DataChunk):
            session.answer(replies.pop(0) if replies else OK)
    return given


def begin_data(session: ServerSession) -> None:
    say(session, b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", OK, OK, Reply(354, "", "go"))
    session.data_to_send()


def test_events_wait_for_their_answers() -> None:
    session = ServerSession(Kind.SMTP, "mx.example", "ID", Limits(), Offer())
    assert session.next_event() == events.Connected()
    assert session.next_event() is NEED_ANSWER
    assert session.data_to_send() == b""
    session.answer(Reply(220, "", "hello"))
    assert session.data_to_send() == b"220 hello\r\n"
    assert session.next_event() is NEED_DATA
    with pytest.raises(ValueError, match="waits"):
        session.answer(OK)


def test_pipelined_commands_are_given_one_by_one() -> None:
    session = begin()
    session.receive_data(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n")
    assert isinstance(session.next_event(), events.Mail)
    assert session.next_event() is NEED_ANSWER
    session.answer(OK)
    assert isinstance(session.next_event(), events.Rcpt)
    session.answer(Reply(550, "5.1.1", "no"))
    assert isinstance(session.next_event(), events.Rcpt)
    session.answer(OK)
    assert session.next_event() is NEED_DATA
    assert session.data_to_send() == b"250 2.0.0 ok\r\n550 5.1.1 no id=ID\r\n250 2.0.0 ok\r\n"
    assert session.data_to_send() == b""
    assert (session.commands, session.refused, session.state) == (4, 1, State.RCPT)


def test_in_data_tells_what_is_awaited() -> None:
    session = begin()
    assert not session.in_data
    begin_data(session)
    assert session.in_data
    assert say(session, b"text") == [events.DataChunk(b"text")]
    assert session.in_data
    say(session, b"\r\n.\r\n")
    assert not session.in_data
    say(session, b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 5\r\n12")
    assert session.in_data
    say(session, b"345")
    assert not session.in_data
    say(session, b"RSET\r\nBDAT 5\r\n12")
    assert session.in_data
    say(session, b"345")
    assert not session.in_data


def test_a_received_piece_is_one_chunk() -> None:
    session = begin()
    begin_data(session)
    piece = b"line of a message\r\n" * 5000
    assert say(session, piece) == [events.DataChunk(piece[:-2])]
    assert say(session, b"end\r\n.\r\n") == [events.DataChunk(b"\r\nend\r\n"), events.DataEnd(len(piece) + 5, None)]


def test_lists_answer_the_end_of_data_in_lmtp_only() -> None:
    session = begin(Kind.LMTP)
    say(
        session,
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n",
        OK,
        OK,
        OK,
        Reply(354, "", "go"),
    )
    session.data_to_send()
    session.receive_data(b".\r\n")
    assert isinstance(session.next_event(), events.DataEnd)
    with pytest.raises(ValueError, match="each accepted recipient"):
        session.answer([OK])
    session.answer([OK, Reply(452, "4.2.2", "full")])
    assert session.data_to_send() == b"250 2.0.0 ok\r\n452 4.2.2 full id=ID\r\n"
    session.receive_data(b"RSET\r\n")
    session.next_event()
    with pytest.raises(ValueError, match="list"):
        session.answer([OK])


def test_octets_behind_starttls_are_counted_and_thrown_away() -> None:
    session = begin(offer=Offer(starttls=True))
    assert not session.wants_tls
    assert say(session, b"STARTTLS\r\nRSET\r\n", Reply(220, "2.0.0", "go")) == [events.StartTls()]
    assert session.wants_tls
    assert session.talked_ahead == 1
    session.tls_started(Offer(mechanisms=("PLAIN",)))
    assert not session.wants_tls
    assert session.discarded == 6
    assert session.next_event() is NEED_DATA
    assert session.state is State.START
    say(session, b"EHLO a.example\r\n", Reply(250, "", "mx.example"))
    assert b"250 AUTH PLAIN\r\n" in session.data_to_send()


def test_the_offer_may_change() -> None:
    session = begin(Kind.SUBMISSIONS, Offer(mechanisms=("PLAIN",)))
    assert session.offer == Offer(mechanisms=("PLAIN",))
    session.offer = Offer(mechanisms=("LOGIN",))
    assert say(session, b"AUTH PLAIN\r\n") == []
    assert say(session, b"AUTH LOGIN\r\n", Reply(235, "2.7.0", "ok")) == [events.Auth("LOGIN", None)]
    assert session.authenticated


def test_the_end_of_input() -> None:
    session = begin()
    session.receive_data(b"MAIL FROM:<a@b.example>\r\nRCP")
    session.eof()
    assert isinstance(session.next_event(), events.Mail)
    session.answer(OK)
    assert session.next_event() == events.Closed()
    assert session.closed


def test_the_end_of_input_inside_a_message() -> None:
    session = begin()
    begin_data(session)
    session.eof()
    assert say(session, b"half a mess") == [events.DataChunk(b"half a mess"), events.Closed()]


def test_after_the_end_nothing_is_looked_at() -> None:
    session = begin()
    assert say(session, b"QUIT\r\nNOOP\r\n", Reply(221, "2.0.0", "bye")) == [events.Quit(), events.Closed()]
    session.receive_data(b"NOOP\r\n")
    assert session.next_event() == events.Closed()
    assert session.data_to_send() == b"221 2.0.0 bye\r\n"


def test_a_framing_fault_is_final() -> None:
    session = begin()
    begin_data(session)
    assert say(session, b"a\nb") == [events.DataChunk(b"a"), events.FramingFault("bare LF")]
    session.receive_data(b"\r\n.\r\nNOOP\r\n")
    assert session.next_event() == events.Closed()
    assert session.data_to_send().startswith(b"554 5.5.2 ")
    assert session.closed


def test_why_an_exchange_ended_is_known_to_the_core() -> None:
    session = begin(Kind.SUBMISSIONS, Offer(mechanisms=("PLAIN",)))
    assert say(session, b"AUTH PLAIN\r\n*\r\n", Reply(334, "", ""), Reply(501, "5.0.0", "policy's words"))[-1] == (
        events.AuthCancelled(Reply(501, "5.7.0", "authentication cancelled"))
    )
    assert session.data_to_send() == b"334 \r\n501 5.7.0 authentication cancelled id=ID\r\n"
    say(session, b"AUTH PLAIN\r\n*\r\n", Reply(334, "", ""), Reply(421, "4.7.0", "enough"))
    assert session.closed
