"""Nothing that a client sends raises, and everything it sends is read the same however it is split."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.mail.reply import Reply
from mailsrv.smtp import events
from mailsrv.smtp.events import Kind, Limits, Offer
from mailsrv.smtp.session import ServerSession

LINES = [
    b"EHLO a.example\r\n",
    b"HELO a.example\r\n",
    b"LHLO a.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<>\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"RCPT TO:<>\r\n",
    b"DATA\r\n",
    b"BDAT 3\r\nabc",
    b"BDAT 4 LAST\r\nQUIT",
    b"BDAT 9\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH PLAIN AAAA\r\n",
    b"*\r\n",
    b"AAAA\r\n",
    b"text\r\n",
    b".\r\n",
    b"..\r\n",
    b"\r\n.\r\n",
    b"x",
    b"\r",
    b"\n",
    b"\0",
    b"\xff\r\n",
    b"\r\n",
    b"GET / HTTP/1.1\r\n",
    b"a" * 40 + b"\r\n",
    b"VRFY a\r\n",
    b"MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8\r\n",
]

# Which answer an event gets depends on its number, so that every kind of answer meets every state.
ANSWERS = {
    events.Connected: [Reply(220, "", "hi")],
    events.StartTls: [Reply(454, "4.7.0", "no")],
    events.Auth: [Reply(334, "", ""), Reply(235, "2.7.0", "ok"), Reply(535, "5.7.8", "no")],
    events.AuthResponse: [Reply(535, "5.7.8", "no"), Reply(334, "", ""), Reply(235, "2.7.0", "ok")],
    events.DataStart: [Reply(354, "", "go"), Reply(452, "4.3.1", "full"), Reply(354, "", "go")],
    events.Quit: [Reply(221, "2.0.0", "bye")],
}
OK = Reply(250, "2.0.0", "ok")
DEFAULT = [OK, OK, Reply(550, "5.7.1", "no"), Reply(451, "4.3.0", "later")]
SMALL = Limits(
    message_size=60, text_line=30, command_line=36, auth_line=40, recipients=2, errors=9, junk_commands=9, commands=40
)


def run(kind: Kind, pieces: list[bytes]) -> tuple[list[object], bytes]:
    """Events (chunks joined) and replies."""
    session = ServerSession(kind, "mx", "ID", SMALL, Offer(mechanisms=("PLAIN",)), tls=True)
    given: list[object] = []
    replies = b""
    for piece in [b"", *pieces]:
        session.receive_data(piece)
        while not isinstance(event := session.next_event(), events.Need):
            if isinstance(event, events.DataChunk) and given and isinstance(given[-1], bytes):
                given[-1] += event.octets
                continue
            given.append(event.octets if isinstance(event, events.DataChunk) else event)
            if isinstance(event, events.Closed | events.FramingFault):
                return given, replies + session.data_to_send()
            if not isinstance(event, events.DataChunk):
                answers = ANSWERS.get(type(event), DEFAULT)
                session.answer(answers[len(given) % len(answers)])
        replies += session.data_to_send()
    return given, replies


@settings(max_examples=600)
@given(st.sampled_from(Kind), st.lists(st.sampled_from(LINES), max_size=25), st.data())
def test_any_split_gives_the_same(kind: Kind, lines: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(lines)
    whole = run(kind, [octets])
    at = data.draw(st.integers(0, len(octets)))
    assert run(kind, [octets[:at], octets[at:]]) == whole
    assert run(kind, [octets[i : i + 1] for i in range(len(octets))]) == whole


@given(st.sampled_from(Kind), st.binary(max_size=300))
def test_garbage_is_answered_and_never_raises(kind: Kind, octets: bytes) -> None:
    given_, replies = run(kind, [octets])
    assert given_[0] == events.Connected()
    assert replies.startswith(b"220 hi\r\n")


WORDS = [
    b"MAIL",
    b"RCPT",
    b"EHLO",
    b"AUTH",
    b"BDAT",
    b" ",
    b"FROM:",
    b"TO:",
    b"<",
    b">",
    b"@",
    b"a",
    b'"',
    b"\\",
    b":",
    b",",
    b"[",
    b"]",
    b"=",
    b"+",
    b";",
    b"SIZE",
    b"ORCPT",
    b"LAST",
    b"1",
    b"\xc3\xa9",
    b"\t",
]


@given(st.lists(st.sampled_from(WORDS)))
def test_garbled_commands_are_answered_and_never_raise(words: list[bytes]) -> None:
    _, replies = run(Kind.SMTP, [b"EHLO a.example\r\n", b"".join(words) + b"\r\n", b"QUIT\r\n"])
    assert replies.count(b"\r\n") >= 3


def test_replies_to_refusals_end_with_the_session() -> None:
    _, replies = run(Kind.SMTP, [b"MAIL\r\nRCPT\r\nFOO\r\nEHLO\r\n"])
    refusals = replies.split(b"\r\n")[1:-1]
    assert len(refusals) == 4
    assert all(line.endswith(b" id=ID") for line in refusals)
