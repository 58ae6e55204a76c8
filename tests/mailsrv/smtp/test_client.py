"""The client core against scripted servers, whole and octet by octet; what hostile servers say; joined to our own
server core."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, MailParameters, Recipient
from mailsrv.mail.reply import Reply
from mailsrv.sasl.client import LoginClient, PlainClient, ScramClient
from mailsrv.sasl.scram import Scram, derive
from mailsrv.smtp import client_events as events
from mailsrv.smtp import events as server_events
from mailsrv.smtp.client import ClientSession
from mailsrv.smtp.client_events import TIMEOUTS, Answer, Phase, Stage, Transaction
from mailsrv.smtp.events import NEED_DATA, Kind, Limits, Offer
from mailsrv.smtp.session import ServerSession

PLAIN = MailParameters()
BODY = b"Subject: x\r\n\r\n.dot\r\nend\r\n"
STUFFED = b"Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n"
ALL = b"250-mx\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n"
PIPED = b"250-mx\r\n250 PIPELINING\r\n"
CHUNKS = b"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
EHLO = b"EHLO me.example\r\n"
MAIL = b"MAIL FROM:<a@b.example>\r\n"
OPENING = [(b"", b"220 mx hello\r\n"), (EHLO, PIPED)]
SLOW = [(b"", b"220 mx hello\r\n"), (EHLO, b"250 mx\r\n")]
GO = b"250 ok\r\n250 ok\r\n354 go\r\n"


def rcpt(*names):
    return b"".join(b"RCPT TO:<%s@d.example>\r\n" % name.encode() for name in names)


def transaction(*names, body=BODY, sender="a", parameters=PLAIN, **facts):
    recipients = tuple(Recipient(Address(name, "d.example")) for name in names or ("c",))
    return Transaction(Address(sender, "b.example"), recipients, parameters, len(body), **facts)


class Driver:
    """Plays a session: `script` is what must be sent and what comes for it; `plan` holds the calls for each time when
    the session is ready."""

    def __init__(self, script, plan=(), *, body=BODY, split=False, **options):
        self.session = ClientSession("me.example", **options)
        self.script = list(script)
        self.plan = list(plan)
        self.body = body
        self.split = split
        self.events = []
        self.sent = b""

    def act(self, event):
        session = self.session
        match event:
            case events.Greeted():
                session.hello()
            case events.TlsReady():
                session.receive_data(b"250 injected\r\n")
                session.tls_started()
                session.hello()
            case events.NeedBody():
                step = 1 if self.split else len(self.body)
                for at in range(0, len(self.body), step):
                    session.body(self.body[at : at + step])
                session.end_of_body()
            case events.Refused():
                session.quit()
            case events.Broken() | events.Bye():
                return False
            case _:
                (self.plan.pop(0) if self.plan else ClientSession.quit)(session)
        return True

    def drain(self):
        while (event := self.session.next_event()) is not NEED_DATA:
            # The last one of a session comes again and again; two transactions may well end the same way.
            if event not in self.events[-1:] or isinstance(event, events.Finished):
                self.events.append(event)
            if not self.act(event):
                return False
        return True

    def run(self):
        while self.drain():
            self.sent += self.session.data_to_send()
            if not self.script:
                self.session.lost("connection closed")
                continue
            expected, octets = self.script.pop(0)
            assert self.sent == expected
            self.sent = b""
            pieces = [octets[i : i + 1] for i in range(len(octets))] if self.split else [octets]
            for piece in pieces[:-1]:
                self.session.receive_data(piece)
                self.drain()
            self.session.receive_data(pieces[-1] if pieces else b"")
        assert not self.script, "the session ended too early"
        return self.events


def play(script, *plan, **options):
    """The events of a session, the same whole and octet by octet."""
    whole = Driver(script, plan, **options).run()
    assert Driver(script, plan, split=True, **options).run() == whole
    return whole


def sends(*transactions):
    return [lambda session, one=one: session.send(one) for one in transactions]


def answers(script, *transactions, **options):
    """The answers of all transactions, flat."""
    given_events = play(script, *sends(*transactions), **options)
    return [answer for event in given_events if isinstance(event, events.Finished) for answer in event.answers]


QUIT = [(b"QUIT\r\n", b"221 2.0.0 bye\r\n")]
OK = Reply(250, "2.0.0", "ok")


# The course of things


def test_a_pipelined_message() -> None:
    got = play(
        [*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, b"250 2.6.0 queued\r\n"), *QUIT],
        *sends(transaction()),
    )
    assert [type(event).__name__ for event in got] == ["Greeted", "Helloed", "NeedBody", "Finished", "Bye"]
    assert got[3] == events.Finished((Answer(Reply(250, "2.6.0", "queued"), Stage.END),))


def test_one_command_at_a_time_without_pipelining() -> None:
    script = [
        *SLOW, (MAIL, b"250 ok\r\n"), (rcpt("c"), b"250 ok\r\n"), (rcpt("e"), b"251 will forward\r\n"),
        (b"DATA\r\n", b"354 go\r\n"), (STUFFED, b"250 ok\r\n"), *QUIT,
    ]  # fmt: skip
    assert all(answer.is_accepted for answer in answers(script, transaction("c", "e")))


def test_several_messages_over_one_connection() -> None:
    one = [(MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, b"250 ok\r\n")]
    assert answers([*OPENING, *one, *one, *QUIT], transaction(), transaction()) == [Answer(OK, Stage.END)] * 2


def test_helo_where_ehlo_is_not_known() -> None:
    for refusal in (b"500 what\r\n", b"502 5.5.1 not implemented\r\n", b"550 no\r\n"):
        script = [(b"", b"220 mx\r\n"), (EHLO, refusal), (b"HELO me.example\r\n", b"250 mx\r\n"), *QUIT]
        assert play(script)[1] == events.Helloed(ClientSession("x").capabilities)


@pytest.mark.parametrize(
    ("script", "stage", "reply"),
    [
        ([(b"", b"554 5.7.1 no\r\n")], Stage.GREETING, Reply(554, "5.7.1", "no")),
        ([(b"", b"450 later\r\n")], Stage.GREETING, Reply(450, "4.0.0", "later")),
        ([(b"", b"220 x\r\n"), (EHLO, b"450 later\r\n")], Stage.HELLO, Reply(450, "4.0.0", "later")),
        (
            [(b"", b"220 x\r\n"), (EHLO, b"550 a\r\n"), (b"HELO me.example\r\n", b"550 5.7.1 b\r\n")],
            Stage.HELLO,
            Reply(550, "5.7.1", "b"),
        ),
    ],
)
def test_refused_at_the_door(script, stage, reply) -> None:
    got = play([*script, *QUIT])
    assert got[-2:] == [events.Refused(stage, reply), events.Bye(Reply(221, "2.0.0", "bye"))]


def test_421_at_the_door_ends_the_session() -> None:
    got = play([(b"", b"421 4.3.2 busy\r\n")])
    assert got[0] == events.Refused(Stage.GREETING, Reply(421, "4.3.2", "busy"))
    assert isinstance(got[1], events.Broken)


# Refusals


def test_mail_refused_answers_every_recipient() -> None:
    refused = Answer(Reply(550, "5.7.1", "spam"), Stage.MAIL)
    replies = b"550 5.7.1 spam\r\n503 x\r\n503 x\r\n503 x\r\n"
    assert (
        answers([*OPENING, (MAIL + rcpt("c", "e") + b"DATA\r\n", replies), *QUIT], transaction("c", "e"))
        == [refused] * 2
    )
    assert answers([*SLOW, (MAIL, b"550 5.7.1 spam\r\n"), *QUIT], transaction("c", "e")) == [refused] * 2


def test_all_recipients_refused_but_354_gets_a_lone_dot() -> None:
    script = [
        *OPENING,
        (MAIL + rcpt("c") + b"DATA\r\n", b"250 ok\r\n550 5.1.1 unknown\r\n354 go\r\n"),
        (b".\r\n", b"554 no recipients\r\n"),
        (MAIL + rcpt("c") + b"DATA\r\n", GO),
        (STUFFED, b"250 ok\r\n"),
        *QUIT,
    ]
    assert answers(script, transaction(), transaction()) == [
        Answer(Reply(550, "5.1.1", "unknown"), Stage.RCPT),
        Answer(OK, Stage.END),
    ]


def test_rset_comes_before_the_next_when_a_transaction_was_left_open() -> None:
    script = [
        *OPENING,
        (MAIL + rcpt("c") + b"DATA\r\n", b"250 ok\r\n550 5.1.1 unknown\r\n503 5.5.1 no recipients\r\n"),
        (b"RSET\r\n" + MAIL + rcpt("c") + b"DATA\r\n", b"250 ok\r\n" + GO),
        (STUFFED, b"250 ok\r\n"),
        *QUIT,
    ]
    assert [answer.reply.code for answer in answers(script, transaction(), transaction())] == [550, 250]
    script = [
        *SLOW,
        (MAIL, b"250 ok\r\n"),
        (rcpt("c"), b"450 4.2.0 greylisted\r\n"),
        (b"RSET\r\n", b"250 ok\r\n"),
        (MAIL, b"450 later\r\n"),
        *QUIT,
    ]
    first, second = answers(script, transaction(), transaction())
    assert (first.stage, second.stage) == (Stage.RCPT, Stage.MAIL)
    assert first.is_temporary and second.is_temporary


def test_each_recipient_has_its_own_answer() -> None:
    replies = b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n451 4.7.1 later\r\n552 5.5.3 too many\r\n252 perhaps\r\n354 go\r\n"
    script = [*OPENING, (MAIL + rcpt("c", "e", "f", "g", "h") + b"DATA\r\n", replies), (STUFFED, b"250 ok\r\n"), *QUIT]
    got = answers(script, transaction("c", "e", "f", "g", "h"))
    assert [(answer.reply.code, answer.reply.enhanced) for answer in got] == [
        (250, "2.0.0"), (550, "5.1.1"), (451, "4.7.1"), (452, "4.5.3"), (250, "2.0.0"),
    ]  # fmt: skip
    assert [answer.is_permanent for answer in got] == [False, True, False, False, False]


@pytest.mark.parametrize("code", [450, 554])
def test_data_or_the_message_refused(code) -> None:
    refusal = b"%d no\r\n" % code
    script = [*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", b"250 ok\r\n250 ok\r\n" + refusal), *QUIT]
    assert answers(script, transaction()) == [Answer(Reply(code, f"{code // 100}.0.0", "no"), Stage.DATA)]
    script = [*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, refusal), *QUIT]
    assert answers(script, transaction()) == [Answer(Reply(code, f"{code // 100}.0.0", "no"), Stage.END)]


# Ends in the middle


@pytest.mark.parametrize(
    ("replies", "codes", "stage"),
    [
        (b"421 4.3.2 bye\r\n", [421, 421], Stage.MAIL),
        (b"250 ok\r\n550 no\r\n421 bye\r\n", [550, 421], Stage.RCPT),
        (b"250 ok\r\n250 ok\r\n250 ok\r\n421 bye\r\n", [421, 421], Stage.DATA),
    ],
)
def test_421_answers_what_is_unfinished(replies, codes, stage) -> None:
    script = [*OPENING, (MAIL + rcpt("c", "e") + b"DATA\r\n", replies)]
    got = answers(script, transaction("c", "e"))
    assert [answer.reply.code for answer in got] == codes
    assert got[1].stage is stage and got[1].by_peer and not got[1].doubtful


def test_421_to_the_message_is_a_sure_answer() -> None:
    script = [*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, b"421 4.3.0 no\r\n")]
    assert answers(script, transaction()) == [Answer(Reply(421, "4.3.0", "no"), Stage.END)]


def test_silence_behind_the_message_is_doubtful() -> None:
    (answer,) = answers([*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, b"")], transaction())
    assert answer.doubtful and answer.is_temporary and not answer.by_peer
    assert answer.reply == Reply(451, "4.4.2", "connection closed while waiting for the reply to the message")


def test_a_loss_before_the_message_is_not_doubtful() -> None:
    (answer,) = answers([*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", b"250 ok\r\n")], transaction())
    assert not answer.doubtful and answer.stage is Stage.RCPT and answer.reply.enhanced == "4.4.2"


def test_an_early_refusal_of_the_message() -> None:
    session = ready(PIPED)
    session.send(transaction())
    session.receive_data(GO)
    assert session.next_event() == events.NeedBody()
    session.body(b"x")
    session.receive_data(b"552 5.3.4 enough\r\n")
    assert session.next_event() == events.Finished((Answer(Reply(552, "5.3.4", "enough"), Stage.END),))
    assert isinstance(session.next_event(), events.Broken)
    session.body(b"more")  # the driver may not have looked
    session.end_of_body()
    assert session.data_to_send() == b""


@pytest.mark.parametrize(
    "octets",
    [
        b"250 ok\r\n", b"hello\r\n", b"\r\n", b"99 x\r\n", b"100 x\r\n", b"600 x\r\n", b"220-a\r\n250 b\r\n",
        b"2200 x\r\n", b"x" * 70000, b"220-x\r\n" * 1001,
    ],
)  # fmt: skip
def test_no_replies_break_the_connection(octets) -> None:
    session = ready(PIPED)
    session.receive_data(octets)
    end = session.next_event()
    assert isinstance(end, events.Broken) and session.next_event() is end and session.is_over
    session.quit()
    session.send(transaction("c", "e"))
    finished = session.next_event()
    assert isinstance(finished, events.Finished)
    assert [answer.is_temporary for answer in finished.answers] == [True, True]
    assert session.next_event() is end


@pytest.mark.parametrize(
    "replies",
    [
        b"354 go\r\n",
        b"250 ok\r\n354 go\r\n",
        b"250 ok\r\n250 ok\r\n250 ok\r\n",
        b"250 ok\r\n250-a\r\n550 b\r\n",
        b"junk\r\n",
    ],
)
def test_replies_that_cannot_be_there_are_temporary(replies) -> None:
    (answer,) = answers([*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", replies)], transaction())
    assert answer.is_temporary and not answer.by_peer and not answer.doubtful


def test_junk_in_place_of_the_last_reply_is_doubtful() -> None:
    for junk in (b"354 go\r\n", b"what?\r\n", b"250-a\r\n"):
        (answer,) = answers([*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, junk)], transaction())
        assert answer.doubtful and answer.is_temporary


# Extensions


def test_parameters_go_only_where_they_are_offered() -> None:
    recipient = Recipient(Address("c", "d.example"), DsnRequest(("FAILURE", "DELAY"), "rfc822;x+y=z@d.example"))
    message = Transaction(
        Address("a", "b.example"), (recipient,), MailParameters(body="8BITMIME", ret="HDRS", envid="q+1"), len(BODY)
    )
    envelope = (
        b"MAIL FROM:<a@b.example> SIZE=%d RET=HDRS ENVID=q+2B1 BODY=8BITMIME\r\n" % len(BODY)
        + b"RCPT TO:<c@d.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x+2By+3Dz@d.example\r\nDATA\r\n"
    )
    opening = [(b"", b"220 mx\r\n"), (EHLO, ALL)]
    assert answers([*opening, (envelope, GO), (STUFFED, b"250 ok\r\n"), *QUIT], message)[0].is_accepted
    script = [*OPENING, (MAIL + rcpt("c") + b"DATA\r\n", GO), (STUFFED, b"250 ok\r\n"), *QUIT]
    assert answers(script, message)[0].is_accepted


def test_what_the_server_lacks_is_refused_unsent() -> None:
    opening = [(b"", b"220 mx\r\n"), (EHLO, b"250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n")]
    (answer,) = answers([*opening, *QUIT], transaction())
    assert (answer.reply.enhanced, answer.stage, answer.by_peer) == ("5.3.4", Stage.NEEDS, False)


def test_a_parameter_that_is_offered_and_refused_is_left_out_next_time() -> None:
    script = [
        (b"", b"220 mx\r\n"),
        (EHLO, ALL),
        (
            b"MAIL FROM:<a@b.example> SIZE=%d RET=FULL\r\n" % len(BODY) + rcpt("c") + b"DATA\r\n",
            b"555 no\r\n503 x\r\n503 x\r\n",
        ),
        (MAIL + rcpt("c") + b"DATA\r\n", GO),
        (STUFFED, b"250 ok\r\n"),
        *QUIT,
    ]
    message = transaction(parameters=MailParameters(ret="FULL"))
    first, second = answers(script, message, message)
    assert first.again and first.is_temporary and not first.by_peer
    assert second.is_accepted


def test_dsn_that_is_offered_and_refused_is_left_out_next_time() -> None:
    recipient = Recipient(Address("c", "d.example"), DsnRequest(("NEVER",)))
    message = Transaction(None, (recipient,), MailParameters(), len(BODY))
    script = [
        (b"", b"220 mx\r\n"),
        (EHLO, b"250-mx\r\n250 DSN\r\n"),
        (b"MAIL FROM:<>\r\n", b"250 ok\r\n"),
        (b"RCPT TO:<c@d.example> NOTIFY=NEVER\r\n", b"555 5.5.4 no\r\n"),
        (b"RSET\r\n", b"250 ok\r\n"),
        (b"MAIL FROM:<>\r\n", b"250 ok\r\n"),
        (rcpt("c"), b"550 5.1.1 no\r\n"),
        *QUIT,
    ]
    first, second = answers(script, message, message)
    assert first.again and second.is_permanent


def test_what_is_to_be_avoided_counts_as_not_offered() -> None:
    script = [(b"", b"220 mx\r\n"), (EHLO, ALL), (MAIL, b"550 no\r\n"), *QUIT]
    assert len(answers(script, transaction(), avoid=frozenset({"PIPELINING", "SIZE"}))) == 1


# CHUNKING


def chunk(body=BODY):
    return b"BDAT %d LAST\r\n" % len(body)


CHUNK_OPENING = [(b"", b"220 mx\r\n"), (EHLO, CHUNKS)]


def test_a_small_message_leaves_with_its_envelope() -> None:
    replies = b"250 ok\r\n250 ok\r\n250 2.0.0 ok\r\n"
    script = [*CHUNK_OPENING, (MAIL + rcpt("c") + chunk() + BODY, replies), *QUIT]
    assert answers(script, transaction()) == [Answer(OK, Stage.END)]


def test_a_big_message_waits_for_its_recipients() -> None:
    big = b"0123456789abcd\r\n" * 8192
    script = [*CHUNK_OPENING, (MAIL + rcpt("c"), b"250 ok\r\n250 ok\r\n"), (chunk(big) + big, b"250 ok\r\n"), *QUIT]
    driver = Driver(script, sends(transaction(body=big)), body=big)
    assert driver.run()[-2] == events.Finished((Answer(OK, Stage.END),))
    script = [*CHUNK_OPENING, (MAIL + rcpt("c"), b"250 ok\r\n550 no\r\n"), *QUIT]
    assert Driver(script, sends(transaction(body=big)), body=big).run()[-2].answers[0].is_permanent


def test_a_chunk_for_nobody_is_followed_by_rset() -> None:
    script = [
        *CHUNK_OPENING,
        (MAIL + rcpt("c") + chunk() + BODY, b"250 ok\r\n550 5.1.1 no\r\n503 5.5.1 no recipients\r\n"),
        (b"RSET\r\n" + MAIL + rcpt("c") + chunk() + BODY, b"250 ok\r\n250 ok\r\n250 ok\r\n452 4.3.1 full\r\n"),
        *QUIT,
    ]
    first, second = answers(script, transaction(), transaction())
    assert first.reply.code == 550 and (second.reply.code, second.stage) == (452, Stage.END)


def test_a_chunk_for_nobody_that_is_refused_early_is_still_given_whole() -> None:
    session = ready(CHUNKS)
    session.send(transaction())
    assert session.next_event() == events.NeedBody()
    session.body(BODY[:5])
    session.receive_data(b"550 no\r\n503 x\r\n503 x\r\n")
    assert session.next_event() is NEED_DATA
    assert session.phase is Phase.DATA_BLOCK
    session.body(BODY[5:])
    session.end_of_body()
    assert session.data_to_send().endswith(chunk() + BODY)
    assert isinstance(session.next_event(), events.Finished)
    session.quit()
    assert session.data_to_send() == b"QUIT\r\n"


def test_bdat_that_is_offered_and_not_known_costs_the_connection_not_the_message() -> None:
    replies = b"250 ok\r\n250 ok\r\n502 5.5.1 what is BDAT\r\n502 Subject\r\n"
    driver = Driver([*CHUNK_OPENING, (MAIL + rcpt("c") + chunk() + BODY, replies)], sends(transaction()))
    finished, end = driver.run()[-2:]
    assert finished.answers[0].is_temporary and isinstance(end, events.Broken)
    assert driver.session.lies == {"CHUNKING"}


def test_the_length_must_be_right_where_it_matters() -> None:
    session = ready(CHUNKS)
    session.send(transaction())
    session.next_event()
    session.body(BODY[:-1])
    with pytest.raises(ValueError, match="shorter"):
        session.end_of_body()
    with pytest.raises(ValueError, match="longer"):
        session.body(b"xx")


# LMTP


def test_lmtp_answers_for_each_recipient() -> None:
    script = [
        (b"", b"220 mx\r\n"),
        (b"LHLO me.example\r\n", CHUNKS),
        (MAIL + rcpt("c", "e", "f") + b"DATA\r\n", b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"),
        (STUFFED, b"250 ok\r\n452 4.2.2 full\r\n"),
        *QUIT,
    ]
    got = answers(script, transaction("c", "e", "f"), lmtp=True)
    assert [answer.reply.code for answer in got] == [250, 550, 452]


def test_lmtp_what_is_answered_stays_answered() -> None:
    script = [
        (b"", b"220 mx\r\n"),
        (b"LHLO me.example\r\n", PIPED),
        (MAIL + rcpt("c", "e") + b"DATA\r\n", b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
        (STUFFED, b"250 ok\r\n"),
    ]
    got = answers(script, transaction("c", "e"), lmtp=True)
    assert [(answer.is_accepted, answer.doubtful) for answer in got] == [(True, False), (False, True)]


def test_lmtp_has_no_helo_and_no_message_for_nobody() -> None:
    script = [(b"", b"220 mx\r\n"), (b"LHLO me.example\r\n", b"500 what\r\n"), *QUIT]
    assert isinstance(play(script, lmtp=True)[1], events.Refused)
    script = [
        (b"", b"220 mx\r\n"),
        (b"LHLO me.example\r\n", PIPED),
        (MAIL + rcpt("c") + b"DATA\r\n", b"250 ok\r\n550 no\r\n354 go\r\n"),
    ]
    assert answers(script, transaction(), lmtp=True)[0].is_permanent


# STARTTLS and AUTH


def test_starttls_forgets_and_throws_away() -> None:
    script = [
        *OPENING, (b"STARTTLS\r\n", b"220 go\r\n250 injected\r\n"), (EHLO, b"250-mx\r\n250 SIZE 5\r\n"), *QUIT,
    ]  # fmt: skip
    driver = Driver(script, [ClientSession.starttls])
    assert [type(event).__name__ for event in driver.run()] == ["Greeted", "Helloed", "TlsReady", "Helloed", "Bye"]
    assert driver.session.discarded == 2 * len(b"250 injected\r\n")
    assert driver.session.secure and "PIPELINING" not in driver.session.capabilities


def test_starttls_refused_goes_on_in_clear() -> None:
    script = [*OPENING, (b"STARTTLS\r\n", b"454 4.7.0 no\r\n"), *QUIT]
    assert play(script, ClientSession.starttls)[2] == events.TlsRefused(Reply(454, "4.7.0", "no"))


def test_plain_and_login() -> None:
    plain = b"AUTH PLAIN " + base64.b64encode(b"\0me\0pw") + b"\r\n"
    got = play(
        [*OPENING, (plain, b"235 2.7.0 welcome\r\n"), *QUIT], lambda session: session.auth(PlainClient("me", "pw"))
    )
    assert got[2] == events.AuthResult(Reply(235, "2.7.0", "welcome"))
    script = [
        *OPENING,
        (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
        (b"bWU=\r\n", b"334 UGFzc3dvcmQ6\r\n"),
        (b"cHc=\r\n", b"535 5.7.8 no\r\n"),
        *QUIT,
    ]
    got = play(script, lambda session: session.auth(LoginClient("me", "pw")))
    assert got[2] == events.AuthResult(Reply(535, "5.7.8", "no"))


def test_a_long_initial_response_waits_for_its_challenge() -> None:
    script = [
        *OPENING,
        (b"AUTH PLAIN\r\n", b"334 \r\n"),
        (base64.b64encode(b"\0me\0" + b"p" * 500) + b"\r\n", b"235 ok\r\n"),
        *QUIT,
    ]
    assert play(script, lambda session: session.auth(PlainClient("me", "p" * 500)))[2].reply.code == 235


@pytest.mark.parametrize("challenge", [b"334 !!!\r\n", b"334 " + b"A" * 2000 + b"\r\n", b"334-YQ==\r\n334 YQ==\r\n"])
def test_a_wrong_challenge_cancels(challenge) -> None:
    script = [*OPENING, (b"AUTH LOGIN\r\n", challenge), (b"*\r\n", b"501 5.7.0 cancelled\r\n"), *QUIT]
    result = play(script, lambda session: session.auth(LoginClient("me", "pw")))[2]
    assert (result.reply.code, result.by_peer) == (454, False)


def test_scram_server_must_prove_itself() -> None:
    def first(session: ClientSession) -> None:
        session.auth(ScramClient("me", "pw", b"n" * 18))

    command = b"AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,n=me,r=" + base64.b64encode(b"n" * 18)) + b"\r\n"
    result = play([*OPENING, (command, b"235 2.7.0 trust me\r\n"), *QUIT], first)[2]
    assert (result.reply.code, result.by_peer) == (454, False)


# The interface


def ready(ehlo, **options):
    session = ClientSession("me.example", **options)
    session.receive_data(b"220 mx\r\n")
    assert isinstance(session.next_event(), events.Greeted)
    session.hello()
    session.receive_data(ehlo)
    assert isinstance(session.next_event(), events.Helloed)
    session.data_to_send()
    return session


def test_calls_out_of_place_are_faults_of_the_caller() -> None:
    session = ClientSession("me.example")
    for call in (
        session.hello,
        session.starttls,
        session.quit,
        session.tls_started,
        session.reset,
        session.end_of_body,
    ):
        with pytest.raises(ValueError):
            call()
    session = ready(PIPED)
    session.send(transaction())
    with pytest.raises(ValueError, match="not now"):
        session.send(transaction())
    with pytest.raises(ValueError, match="nobody"):
        session.body(b"x")


def test_what_a_reply_causes_is_sent_before_the_next_event_is_asked_for() -> None:
    session = ready(b"250 mx\r\n")
    session.send(transaction())
    assert session.data_to_send() == MAIL
    session.receive_data(b"250 ok\r\n")
    assert session.data_to_send() == rcpt("c")
    assert session.next_event() is NEED_DATA
    session.receive_data(b"250 ok\r\n354 go\r\n")
    assert session.data_to_send() == b"DATA\r\n"
    session.receive_data(b"551 what\r\n")  # to the message that nobody has given: 354 waits for its event
    assert session.next_event() == events.NeedBody()


def test_phases_have_timeouts() -> None:
    session = ClientSession("me.example")
    seen = [session.phase]
    session.receive_data(b"220 mx\r\n")
    session.next_event()
    session.hello()
    seen.append(session.phase)
    session.receive_data(b"250 mx\r\n")
    session.next_event()
    seen.append(session.phase)
    session.send(transaction())
    for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        seen.append(session.phase)
        session.receive_data(reply)
        session.next_event()
    seen.append(session.phase)
    session.body(BODY)
    session.end_of_body()
    seen.append(session.phase)
    session.receive_data(b"250 ok\r\n")
    session.next_event()
    session.reset()
    seen.append(session.phase)
    session.receive_data(b"250 ok\r\n")
    assert session.next_event() == events.Cleared(OK)
    session.quit()
    seen.append(session.phase)
    assert seen == [
        Phase.GREETING, Phase.HELLO, Phase.IDLE, Phase.MAIL, Phase.RCPT, Phase.DATA_INIT, Phase.DATA_BLOCK,
        Phase.DATA_END, Phase.RESET, Phase.QUIT,
    ]  # fmt: skip
    assert set(TIMEOUTS) == set(Phase)
    named = (Phase.GREETING, Phase.MAIL, Phase.RCPT, Phase.DATA_INIT, Phase.DATA_BLOCK, Phase.DATA_END)
    assert [TIMEOUTS[phase] for phase in named] == [300, 300, 300, 120, 180, 600]


# Hostile servers

WORDS = [
    b"220 x\r\n", b"250 x\r\n", b"250-x\r\n", b"354 x\r\n", b"421 x\r\n", b"450 x\r\n", b"550 x\r\n", b"334 YQ==\r\n",
    b"235 x\n", b"250-PIPELINING\r\n", b"250-CHUNKING\r\n", b"\r\n", b"\0", b"\xff", b"\r", b"250", b" ",
]  # fmt: skip


@given(
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=9)), max_size=30), st.integers(0, 5), st.booleans()
)
def test_nothing_that_a_server_sends_raises(pieces, kind, lmtp) -> None:
    begun = []

    def send(session: ClientSession) -> None:
        begun.append(2)
        session.send(transaction("c", "e"))

    plan = [
        ClientSession.starttls, lambda session: session.auth(LoginClient("a", "b")), send, send, ClientSession.reset,
    ]  # fmt: skip
    driver = Driver([], plan[kind:], lmtp=lmtp)
    for piece in [b"220 x\r\n", b"250-x\r\n250 PIPELINING\r\n", *pieces]:
        driver.session.receive_data(piece)
        if not driver.drain():
            break
    driver.session.lost("closed")
    while driver.drain():
        pass
    finished = [event for event in driver.events if isinstance(event, events.Finished)]
    assert [len(event.answers) for event in finished] == begun
    assert all(answer.reply.text.isprintable() for event in finished for answer in event.answers)
    assert driver.session.is_over


# Joined to our own server


def converse(message, *, kind=Kind.SMTP, body, split=0, **options):
    """One message from the client core to the server core; gives its octets, the Mail and Rcpt events, the answers."""
    scram = Scram(lambda name: derive("pw", b"s" * 16) if name == "me" else None, b"secret", b"n" * 18)
    server = ServerSession(kind, "mx.example", "ID", Limits(), Offer(mechanisms=("SCRAM-SHA-256",)))
    client = ClientSession("me.example", lmtp=kind is Kind.LMTP, **options)
    got, commands, result = b"", [], None
    plan = [lambda: client.auth(ScramClient("me", "pw", b"c" * 18))] if kind is Kind.SMTP else []
    plan.append(lambda: client.send(message))

    def serve():
        nonlocal got
        while not isinstance(event := server.next_event(), server_events.Need | server_events.Closed):
            match event:
                case server_events.DataChunk(octets):
                    got += octets
                case server_events.Connected():
                    server.answer(Reply(220, "", "hello"))
                case server_events.DataStart(chunking=False):
                    server.answer(Reply(354, "", "go"))
                case server_events.Auth(_, initial):
                    server.answer(Reply(334, "", base64.b64encode(scram.start(initial).octets).decode()))
                case server_events.AuthResponse(octets):
                    step = scram.step(octets)
                    text = base64.b64encode(getattr(step, "octets", b"")).decode()
                    server.answer(Reply(334, "", text) if text else Reply(235, "2.7.0", "ok"))
                case server_events.Rcpt(forward_path):
                    commands.append(event)
                    server.answer(Reply(550, "5.1.1", "no") if forward_path.local_part == "no" else OK)
                case server_events.Mail():
                    commands.append(event)
                    server.answer(OK)
                case server_events.FramingFault():
                    raise AssertionError(event)
                case _:
                    server.answer(OK)

    for _ in range(1000):
        serve()
        client.receive_data(server.data_to_send())
        while (event := client.next_event()) is not NEED_DATA:
            match event:
                case events.Greeted():
                    client.hello()
                case events.Helloed() | events.AuthResult():
                    plan.pop(0)()
                case events.NeedBody():
                    step = split or max(1, len(body))
                    for at in range(0, len(body), step):
                        client.body(body[at : at + step])
                    client.end_of_body()
                case events.Finished(found):
                    return got, commands, found
                case _:
                    raise AssertionError(event)
        server.receive_data(client.data_to_send())
    return got, commands, result


LINES = st.lists(st.sampled_from([b".", b"..", b".a", b"", b"x.", b"\xc3\xa9", b"word"]), max_size=12)


@given(LINES, st.integers(0, 7), st.booleans(), st.booleans())
def test_our_server_gets_every_octet(lines, split, chunking, lmtp) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    message = transaction("c", "no", "e", body=body, eight_bit=True)
    avoid = frozenset() if chunking else frozenset({"CHUNKING"})
    kind = Kind.LMTP if lmtp else Kind.SMTP
    got, commands, found = converse(message, kind=kind, body=body, split=split, avoid=avoid)
    assert got == body
    assert [answer.reply.code for answer in found] == [250, 550, 250]
    assert commands[0].parameters == MailParameters(size=len(body), body="8BITMIME")


def test_our_server_understands_every_parameter() -> None:
    recipients = (
        Recipient(Address("cé", "dé.example"), DsnRequest(("SUCCESS", "DELAY"), "utf-8;ü+x\\=@é.example")),
        Recipient(Address('q"uo te', "d.example"), DsnRequest(orcpt="rfc822;a+b=c@d.example")),
    )
    parameters = MailParameters(ret="FULL", envid="a+b=c d")
    message = Transaction(Address("ä", "b.example"), recipients, parameters, len(BODY), utf8_header=True)
    got, commands, found = converse(message, body=BODY)
    assert got == BODY and all(answer.is_accepted for answer in found)
    mail, *rcpts = commands
    assert mail.reverse_path == message.reverse_path
    assert mail.parameters == MailParameters(len(BODY), "8BITMIME", True, "FULL", "a+b=c d")
    assert [(one.forward_path, one.dsn) for one in rcpts] == [(one.address, one.dsn) for one in recipients]


def test_very_many_recipients_are_never_all_on_their_way() -> None:
    names = [f"c{number}" for number in range(300)]
    got, commands, found = converse(transaction(*names), body=BODY)
    assert len(commands) == 301 and got == BODY and all(answer.is_accepted for answer in found)
    session = ready(PIPED)
    session.send(transaction(*names))
    assert session.data_to_send().count(b"\r\n") == 64
    session.receive_data(b"550 no\r\n")
    session.next_event()
    assert session.data_to_send() == b""
    session.receive_data(b"503 no\r\n" * 63)
    finished = session.next_event()
    assert isinstance(finished, events.Finished) and {answer.reply.code for answer in finished.answers} == {550}
