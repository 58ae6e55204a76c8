"""Messages of APPEND as they come: in pieces, never held."""

from mailsrv.imap import events
from mailsrv.imap.answers import Continue, Status, Word, ok
from mailsrv.imap.events import NEED_DATA
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Limits, Offer


def begin(announced: bytes) -> ServerSession:
    session = ServerSession(Limits(), Offer())
    session.next_event()
    session.answer(Status(Word.PREAUTH, "hello"))
    session.receive_data(announced)
    assert isinstance(session.next_event(), events.Command)
    session.answer(Continue())
    assert isinstance(session.next_event(), events.MessageStart)
    session.data_to_send()
    session.answer(Continue())
    return session


def test_octets_are_handed_on_as_they_are() -> None:
    session = begin(b"a APPEND x {1000000}\r\n")
    assert session.data_to_send() == [b"+ go ahead\r\n"]
    piece = bytes(250_000)
    for _ in range(4):
        session.receive_data(piece)
        chunk = session.next_event()
        assert isinstance(chunk, events.MessageChunk)
        assert chunk.octets is piece, "a piece is not copied"
        assert len(session._input) == 0
    assert session.next_event() == events.MessageEnd()
    assert session.next_event() is NEED_DATA
    session.receive_data(b"\r\n")
    assert session.next_event() == events.AppendEnd()
    session.answer(ok("stored", "APPENDUID 1 2"))
    assert session.data_to_send() == [b"a OK [APPENDUID 1 2] stored\r\n"]


def test_what_is_behind_a_message_waits_for_the_answer() -> None:
    session = begin(b"a APPEND x {3+}\r\nabc\r\nb NOOP\r\n")
    assert session.next_event() == events.MessageChunk(b"abc")
    assert session.next_event() == events.MessageEnd()
    assert session.next_event() == events.AppendEnd()
    assert session.next_event() is events.NEED_ANSWER
    session.answer(Status(Word.NO, "full", "OVERQUOTA"))
    assert isinstance(session.next_event(), events.Command)
    assert session.data_to_send() == [b"a NO [OVERQUOTA] full\r\n"]
