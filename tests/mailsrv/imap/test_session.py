"""The session as the pump and floor 4 use it. What clients say and hear is in tests/cases/imap; here are the edges of
the interface, and what random clients do."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.imap import events
from mailsrv.imap.answers import Answer, Continue, Segment, Status, Word, bye, no, ok
from mailsrv.imap.events import NEED_ANSWER, NEED_DATA, Need
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Limits, Offer, State

OFFER = Offer(starttls=True, login=True, mechanisms=("PLAIN",), compress=True)
UNANSWERED = (events.MessageChunk, events.MessageEnd, events.Aborted, events.Closed)


def begin(state: State = State.SELECTED, **limits: int) -> ServerSession:
    session = ServerSession(Limits(**limits), OFFER)
    assert session.next_event() == events.Connected()
    session.answer(ok("hello") if state is State.NOT_AUTHENTICATED else Status(Word.PREAUTH, "hello"))
    if state is State.SELECTED:
        session.receive_data(b"0 SELECT INBOX\r\n")
        session.next_event()
        session.answer(ok("selected"))
    session.data_to_send()
    return session


def hear(session: ServerSession) -> bytes:
    return b"".join(piece for piece in session.data_to_send() if isinstance(piece, bytes))


def test_untagged_data_goes_before_the_answer() -> None:
    session = begin()
    session.receive_data(b"a NOOP\r\nb NOOP\r\n")
    assert isinstance(session.next_event(), events.Command)
    assert session.next_event() is NEED_ANSWER
    session.send(b"* 5 EXISTS\r\n")
    session.answer(ok("one"))
    assert isinstance(session.next_event(), events.Command)
    session.answer(ok("two"))
    assert session.next_event() is NEED_DATA
    assert session.data_to_send() == [b"* 5 EXISTS\r\na OK one\r\nb OK two\r\n"]
    assert session.data_to_send() == []


def test_segments_keep_their_place() -> None:
    session = begin()
    session.receive_data(b"a UID FETCH 1 BODY[]\r\n")
    session.next_event()
    first, second = Segment("file", 0, 10), Segment("file", 10, 5)
    session.send(b"* 1 FETCH (")
    session.send(b"BODY[] {10}\r\n")
    session.send_segment(first)
    session.send_segment(second)
    session.send(b")\r\n")
    session.answer(ok("done"))
    assert session.data_to_send() == [b"* 1 FETCH (BODY[] {10}\r\n", first, second, b")\r\na OK done\r\n"]


def test_wrong_answers_are_faults_of_the_caller() -> None:
    session = begin()
    with pytest.raises(ValueError, match="no event waits"):
        session.answer(ok("x"))
    session.receive_data(b"a NOOP\r\nb APPEND x {1+}\r\na\r\n")
    session.next_event()
    with pytest.raises(ValueError, match="answered with a Status"):
        session.answer(Continue())
    session.answer(ok("x"))
    session.next_event()
    with pytest.raises(ValueError, match="let in with Continue"):
        session.answer(ok("x"))
    session.answer(Continue())
    session.next_event()
    with pytest.raises(ValueError, match="let in with Continue"):
        session.answer(ok("x"))
    session.answer(no("x"))
    assert session.next_event() == events.Aborted()


def test_modes_that_the_pump_sees() -> None:
    session = begin(State.AUTHENTICATED)
    assert not (session.idling or session.in_message or session.wants_tls or session.wants_compression)
    session.receive_data(b"a IDLE\r\n")
    session.next_event()
    session.answer(Continue())
    assert session.idling
    session.send(b"* 6 EXISTS\r\n")
    assert hear(session) == b"+ idling\r\n* 6 EXISTS\r\n"
    assert session.next_event() is NEED_DATA
    session.receive_data(b"DONE\r\nb APPEND x {5+}\r\nab")
    assert session.next_event() == events.IdleEnd()
    session.answer(ok("x"))
    session.next_event()
    session.answer(Continue())
    session.next_event()
    session.answer(Continue())
    assert session.in_message
    assert session.next_event() == events.MessageChunk(b"ab")
    assert session.next_event() is NEED_DATA


def test_tls_forgets_what_came_in_clear() -> None:
    session = begin(State.NOT_AUTHENTICATED)
    session.receive_data(b"a STARTTLS\r\nb LOGIN evil evil\r\n")
    session.next_event()
    session.answer(ok("go"))
    assert session.wants_tls
    assert session.next_event() is NEED_DATA
    session.tls_started(Offer(login=True))
    assert session.discarded == 19
    assert session.next_event() is NEED_DATA
    assert session.offer == Offer(login=True)
    assert "STARTTLS" not in session.capabilities()


def test_compression_gives_back_what_came_behind() -> None:
    session = begin(State.AUTHENTICATED)
    session.receive_data(b"a COMPRESS DEFLATE\r\n\x01\x02")
    session.next_event()
    session.answer(ok("go"))
    assert session.wants_compression
    assert session.next_event() is NEED_DATA
    assert session.compression_started() == b"\x01\x02"
    assert not session.wants_compression
    assert "COMPRESS" not in session.capabilities()


def test_what_floor_4_changes() -> None:
    session = begin()
    assert session.state is State.SELECTED
    session.enable("CONDSTORE")
    assert session.enabled == {"CONDSTORE"}
    assert not session.utf8
    session.enable("IMAP4rev2")
    assert session.utf8
    session.deselect()
    assert session.state is State.AUTHENTICATED
    session.offer = Offer()
    assert session.offer == Offer()


def test_bye_ends_a_session_at_any_event() -> None:
    session = begin()
    session.receive_data(b"a NOOP\r\nb NOOP\r\n")
    session.next_event()
    session.answer(bye("a fault", "SERVERBUG"))
    assert hear(session) == b"* BYE [SERVERBUG] a fault\r\n"
    assert session.closed
    assert session.state is State.LOGOUT
    for _ in range(3):
        assert session.next_event() == events.Closed()
    session.receive_data(b"c NOOP\r\n")
    assert session.next_event() == events.Closed()


def test_a_session_that_ends_behind_the_answer() -> None:
    session = begin()
    session.receive_data(b"a APPEND x {3}\r\n")
    session.next_event()
    session.end(bye("enough"))
    assert session.state is State.LOGOUT
    session.answer(no("not there"))
    assert hear(session) == b"* BYE enough\r\na NO not there\r\n"
    session.receive_data(b"abc\r\nb NOOP\r\n")
    assert session.next_event() == events.Closed()


def test_a_session_that_ends_while_it_idles() -> None:
    session = begin()
    session.receive_data(b"a IDLE\r\n")
    session.next_event()
    session.answer(Continue())
    session.end(bye("enough"))
    assert hear(session) == b"+ idling\r\n* BYE enough\r\n"
    session.receive_data(b"DONE\r\n")
    assert session.next_event() == events.Closed()


def test_the_end_of_the_input() -> None:
    session = begin()
    session.receive_data(b"a NOOP\r\nb NO")
    session.eof()
    assert isinstance(session.next_event(), events.Command)
    session.answer(ok("x"))
    assert session.next_event() == events.Closed()


# Random clients

FRAGMENTS = st.sampled_from(
    [
        b"a ",
        b"b",
        b" ",
        b"\r\n",
        b"\n",
        b"\0",
        b"\xff",
        b"*",
        b"(",
        b")",
        b'"',
        b"\\",
        b"{",
        b"}",
        b"{3}\r\n",
        b"{3+}\r\n",
        b"{0+}\r\n",
        b"~{2+}\r\n",
        b"{99999999999+}\r\n",
        b"NOOP\r\n",
        b"a NOOP\r\n",
        b"LOGIN ",
        b"a LOGIN b c\r\n",
        b"a SELECT x\r\n",
        b"a IDLE\r\n",
        b"DONE\r\n",
        b"a AUTHENTICATE PLAIN\r\n",
        b"a APPEND x ",
        b"a APPEND x {5+}\r\nhello",
        b"a UID FETCH 1:* (FLAGS BODY[])",
        b"a SEARCH ",
        b"NOT ",
        b"OR ",
        b"SEEN ",
        b"a LOGOUT\r\n",
        b"a STARTTLS\r\n",
        b"a COMPRESS DEFLATE\r\n",
        b"x" * 500,
        b"1:*",
        b"$",
        b"a ENABLE IMAP4rev2\r\n",
        b"a REPLACE 1 x {1+}\r\n",
    ]
)
CLIENTS = st.lists(FRAGMENTS | st.binary(max_size=8), max_size=25).map(b"".join)


def run(pieces: list[bytes], refuse: int) -> tuple[list[str], bytes, str]:
    """Everything that comes of some octets, where every `refuse`-th answer is a refusal."""
    session = ServerSession(
        Limits(errors=6, early_commands=20, early_discard=3000, discard=5000, message_size=4), OFFER
    )
    given_events: list[str] = []
    answered = 0

    def pump() -> None:
        nonlocal answered
        while not isinstance(event := session.next_event(), Need):
            text = repr(event)
            if isinstance(event, events.MessageChunk) and given_events and given_events[-1].startswith("Data "):
                given_events[-1] += event.octets.hex()
                continue
            given_events.append("Data " + event.octets.hex() if isinstance(event, events.MessageChunk) else text)
            if isinstance(event, events.Closed):
                return
            if isinstance(event, UNANSWERED):
                continue
            answered += 1
            session.answer(choose(event))

    def choose(event: object) -> Answer:
        if answered % refuse == 0 and not isinstance(event, events.Connected):
            return no("no")
        name = event.row.name if isinstance(event, events.Command) else ""
        if isinstance(event, events.MessageStart) or name in ("IDLE", "APPEND", "REPLACE", "AUTHENTICATE"):
            return Continue()
        return ok("yes")

    pump()
    for piece in pieces:
        session.receive_data(piece)
        pump()
        if session.closed:
            break
    output = b"".join(piece for piece in session.data_to_send() if isinstance(piece, bytes))
    return given_events, output, session.state.name


@given(CLIENTS, st.integers(2, 9), st.sets(st.integers(0, 3000), max_size=8))
def test_random_clients_never_raise_and_splitting_changes_nothing(octets: bytes, refuse: int, cuts: set[int]) -> None:
    whole = run([octets], refuse)
    places = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    assert run([octets[a:b] for a, b in pairwise(places)], refuse) == whole
    assert run([octets[i : i + 1] for i in range(len(octets))], refuse) == whole


@given(st.binary(max_size=2000))
def test_any_octets(octets: bytes) -> None:
    half = len(octets) // 2
    assert run([octets], 3) == run([octets[:half], octets[half:]], 3)


def held(session: ServerSession) -> int:
    return len(session._input) + sum(map(len, session._parts))


@pytest.mark.parametrize(
    "octets",
    [
        b"a " + b"x" * 998,
        b"a SEARCH {60000+}\r\n" + b"x" * 60000 + b" ",
        b"a CREATE {0+}\r\n" * 50,
        b"a APPEND x {9999+}\r\n" + b"x" * 9999,
        b"a NOOP {99999+}\r\n" + b"{9+}\r\n" * 4000,
        b"\n" * 1000,
        b"a SEARCH " + b"{0+}\r\n " * 2000,
    ],
)
def test_memory_is_bounded(octets: bytes) -> None:
    session = begin(State.SELECTED, errors=10**9, command=100_000)
    most = 0
    for _ in range(60):
        session.receive_data(octets)
        while not isinstance(event := session.next_event(), Need | events.Closed):
            if not isinstance(event, UNANSWERED):
                streams = (
                    isinstance(event, events.MessageStart) or isinstance(event, events.Command) and event.row.streams
                )
                session.answer(Continue() if streams else ok("x"))
        session.data_to_send()
        most = max(most, held(session))
    assert most <= 100_000 + 65536 + len(octets)
