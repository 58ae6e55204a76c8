"""From octets to events, where dialogs do not look: counters and modes."""

from mailsrv.imap import events
from mailsrv.imap.answers import ok
from mailsrv.imap.events import NEED_DATA
from mailsrv.imap.reading import MAX_LITERALS, READERS
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Limits, Offer
from mailsrv.imap.skipping import Mode


def begin() -> ServerSession:
    session = ServerSession(Limits(), Offer(login=True))
    session.next_event()
    session.answer(ok("hello"))
    session.data_to_send()
    return session


def test_every_mode_is_read() -> None:
    assert set(READERS) == set(Mode)


def test_commands_are_counted_once_each() -> None:
    session = begin()
    session.receive_data(b"a NOOP\r\nb LOGIN {1+}\r\nx {1+}\r\ny\r\nc FOO\r\n\r\n")
    while isinstance(event := session.next_event(), events.Command):
        session.answer(ok("x"))
    assert event is NEED_DATA
    assert session.commands == 4


def test_literals_of_a_command_are_counted() -> None:
    session = begin()
    session.receive_data(b"a LOGIN x y\r\n")
    session.next_event()
    session.answer(ok("x"))
    session.data_to_send()
    session.receive_data(b"b SEARCH" + b" {0+}\r\n" * MAX_LITERALS)
    assert session.next_event() is NEED_DATA
    assert session.data_to_send() == [b"b BAD SEARCH: select a mailbox first\r\n"]
    session.receive_data(b"\r\nc CREATE" + b" {0+}\r\n" * (MAX_LITERALS + 1))
    assert session.next_event() is NEED_DATA
    assert session.data_to_send() == [b"c BAD [TOOBIG] the literal is too large\r\n"]
