"""The conversation: greeting, dispatch, offers, TLS, end."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.config.schema import BansConfig
from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import DsnRequest, MailParameters
from mailsrv.receive.connection import BANNED, BYE, NO_TLS, READY_FOR_TLS, RESET, TOO_MANY, TOO_MANY_HERE
from mailsrv.smtp.events import (
    Closed, Connected, DataChunk, DataEnd, DataStart, FramingFault, Hello, Kind, Mail, Quit, Rcpt, Reset, StartTls,
)
from mailsrv.system.tls import TlsInfo
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_conversation, make_house, with_limits

ALICE = parse_address("alice@example.org")
AUTHOR = parse_address("author@far.example")
TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", "mx.example.org", {})


def send(talk, octets=b"Subject: x\r\n\r\nhi\r\n", recipients=(ALICE,)):
    """One transaction; gives the answer to DataEnd."""
    assert talk.answer(Mail(AUTHOR, MailParameters())).code == 250
    for address in recipients:
        assert talk.answer(Rcpt(address, DsnRequest())).code == 250
    assert talk.answer(DataStart(False)).code == 354
    assert talk.answer(DataChunk(octets)) is None
    return talk.answer(DataEnd(len(octets), None))


def test_a_message_from_greeting_to_the_end() -> None:
    house = make_house()
    talk = make_conversation(house)
    assert str(talk.answer(Connected())) == "220 mx.example.org ESMTP ready"
    assert str(talk.answer(Hello("EHLO", "client.example"))) == "250 mx.example.org"
    assert str(send(talk)) == "250 2.0.0 accepted as SESSION0"
    assert str(send(talk)) == "250 2.0.0 accepted as SESSION1"
    assert talk.answer(Quit()) == BYE
    assert talk.answer(Closed()) is None
    talk.close("quit", commands=9, refused=0)
    assert [envelope.id for envelope, _, _ in house.delivery.kept] == ["SESSION0", "SESSION1"]
    assert house.log.of("session") == [
        {
            "id": "SESSION", "kind": "smtp", "client": "192.0.2.7", "helo": "client.example", "account": "", "tls": "",
            "seconds": 0.0, "commands": 9, "messages": 2, "refused": 0, "end": "quit",
        }
    ]
    assert house.throttle.open == {"192.0.2.7": 0}
    assert house.throttle.shown[0].left


def test_lmtp_names_itself() -> None:
    assert str(make_conversation(kind=Kind.LMTP).answer(Connected())) == "220 mx.example.org LMTP ready"


def test_too_many_connections_of_one_address() -> None:
    house = make_house(config=with_limits(connections_per_address=2))
    talks = [make_conversation(house) for _ in range(3)]
    assert [talk.answer(Connected()).code for talk in talks] == [220, 220, 421]
    assert house.throttle.counts["connections_refused"] == 1
    assert house.log.of("refused")[0]["stage"] == "connect"
    talks[2].close("refused")
    talks[0].close("quit")
    assert make_conversation(house).answer(Connected()).code == 220
    assert make_conversation(house).answer(Connected()) == TOO_MANY_HERE


def test_too_many_connections_in_all() -> None:
    house = make_house(config=with_limits(connections=2))
    replies = [make_conversation(house, client=f"192.0.2.{n}").answer(Connected()) for n in range(3)]
    assert replies[2] == TOO_MANY


def test_local_sockets_have_no_bound_by_address() -> None:
    house = make_house(config=with_limits(connections_per_address=1))
    replies = [make_conversation(house, Kind.LMTP, client="local").answer(Connected()) for _ in range(3)]
    assert [reply.code for reply in replies] == [220, 220, 220]


def test_a_banned_address_is_not_greeted() -> None:
    house = make_house()
    house.bans.add("192.0.2.7", 3600, "logins")
    assert make_conversation(house).answer(Connected()) == BANNED


@pytest.mark.parametrize("client", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"])
def test_the_allow_list_lifts_bans_and_bounds(client: str) -> None:
    bans = BansConfig(allow=["192.0.2.0/24", "2001:db8::/32"])
    house = make_house(config=replace(with_limits(connections_per_address=1), bans=bans))
    house.bans.add(client, 3600, "logins")
    replies = [make_conversation(house, client=client).answer(Connected()) for _ in range(3)]
    assert [reply.code for reply in replies] == [220, 220, 220]


def test_starttls_is_offered_once_and_forgets_what_was_said() -> None:
    house = make_house()
    talk = make_conversation(house)
    talk.answer(Connected())
    talk.answer(Hello("EHLO", "client.example"))
    assert talk.offer().starttls
    assert talk.answer(StartTls()) == READY_FOR_TLS
    talk.tls_started(TLS)
    assert not talk.offer().starttls
    assert talk.answer(StartTls()) == NO_TLS
    talk.answer(Hello("EHLO", "inside.example"))
    send(talk)
    assert b"from inside.example ([192.0.2.7])" in house.delivery.kept[0][2]
    assert b"with ESMTPS (TLS1.3 TLS_AES_256_GCM_SHA384)" in house.delivery.kept[0][2].replace(b"\r\n\t", b" ")


@pytest.mark.parametrize(
    ("tls", "peer"), [(False, {}), (True, {"tls": TLS}), (True, {"client": "local", "kind": Kind.LMTP})]
)
def test_starttls_is_not_offered_without_use(tls: bool, peer: dict) -> None:
    assert not make_conversation(make_house(tls=tls), **peer).offer().starttls


def test_port_25_never_offers_authentication() -> None:
    house = make_house()
    assert make_conversation(house, tls=TLS).offer().mechanisms == ()


@pytest.mark.parametrize("event", [Reset(), Hello("EHLO", "x.example"), Quit(), Closed(), FramingFault("NUL")])
def test_what_ends_a_transaction_forgets_it(event) -> None:
    house = make_house()
    talk = make_conversation(house)
    talk.answer(Mail(AUTHOR, MailParameters()))
    talk.answer(Rcpt(ALICE, DsnRequest()))
    talk.answer(DataStart(False))
    talk.answer(DataChunk(b"x"))
    talk.answer(event)
    assert house.decisions.written[0]["verdict"] == "abandoned"
    assert len(house.decisions.written) == 1
    assert not house.delivery.kept


def test_reset_is_answered() -> None:
    assert make_conversation().answer(Reset()) == RESET


def test_close_without_greeting_and_twice_counts_nothing() -> None:
    house = make_house()
    talk = make_conversation(house)
    talk.close("gone")
    assert house.throttle.open == {}
    talk = make_conversation(house)
    talk.answer(Connected())
    talk.close("gone")
    talk.close("gone")
    assert house.throttle.open == {"192.0.2.7": 0}


def test_no_decision_record_when_it_is_off() -> None:
    house = make_house(decisions=None)
    assert send(make_conversation(house)).code == 250


# Joined with the real core: what an earlier server did wrong


def test_helo_gets_one_line_and_ehlo_the_extensions() -> None:
    dialogue = Dialogue(make_house())
    assert dialogue.say("HELO client.example") == ["250 mx.example.org"]
    lines = dialogue.say("EHLO client.example")
    assert lines[0] == "250-mx.example.org"
    assert any("STARTTLS" in line for line in lines)
    assert not any("AUTH" in line for line in lines)


def test_no_second_greeting_after_starttls() -> None:
    dialogue = Dialogue(make_house())
    dialogue.hello()
    assert dialogue.say("STARTTLS")[0].startswith("220 ")
    dialogue.start_tls(TLS)
    assert dialogue._run() == []
    assert not any("STARTTLS" in line for line in dialogue.hello())


@pytest.mark.parametrize("kind", [Kind.SMTP, Kind.SUBMISSION, Kind.LMTP])
def test_the_sequence_is_checked_before_the_recipient(kind: Kind) -> None:
    dialogue = Dialogue(make_house(), kind)
    dialogue.hello()
    addresses = ("alice@example.org", "nobody@example.org", "x@far.example")
    replies = {dialogue.say(f"RCPT TO:<{address}>")[0] for address in addresses}
    assert len(replies) == 1
    assert replies.pop().startswith("503 5.5.1")


def test_vrfy_and_expn_tell_nothing() -> None:
    dialogue = Dialogue(make_house())
    dialogue.hello()
    for verb in ("VRFY", "EXPN"):
        known, unknown = (dialogue.say(f"{verb} {name}") for name in ("alice@example.org", "nobody@example.org"))
        assert known == unknown


def test_submission_offers_logins_inside_tls_only() -> None:
    dialogue = Dialogue(make_house(), Kind.SUBMISSION)
    assert not any("AUTH" in line for line in dialogue.hello())
    assert dialogue.say("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==")[0].startswith("538 5.7.11")
    dialogue.say("STARTTLS")
    dialogue.start_tls(TLS)
    assert "250-AUTH PLAIN LOGIN" in [line.replace("250 ", "250-") for line in dialogue.hello()]
    assert dialogue.say("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==") == ["235 2.7.0 authentication successful"]
    assert not any("AUTH" in line for line in dialogue.hello())
    assert dialogue.say("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==")[0].startswith("503 5.5.1")


def test_a_login_before_tls_is_forgotten_with_it() -> None:
    dialogue = Dialogue(make_house(), Kind.SUBMISSION, without_tls=True)
    dialogue.hello()
    assert dialogue.say("AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==")[0].startswith("235")
    assert dialogue.say("STARTTLS")[0].startswith("220")
    dialogue.start_tls(TLS)
    dialogue.hello()
    assert dialogue.talk.account == ""
    assert dialogue.say("MAIL FROM:<alice@example.org>")[0].startswith("530")


def test_unknown_account_and_wrong_password_look_the_same() -> None:
    answers = []
    for name in ("alice", "nobody", "mute"):
        dialogue = Dialogue(make_house(), Kind.SUBMISSIONS, TLS)
        dialogue.hello()
        exchange = base64.b64encode(f"\0{name}\0guess".encode()).decode()
        answers.append([dialogue.say(f"AUTH PLAIN {exchange}") for _ in range(3)])
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == ["535 5.7.8 authentication credentials invalid id=SESSION"]
    assert answers[0][2] == ["421 4.7.0 too many failed logins, closing connection id=SESSION"]


def test_a_pipelined_transaction_among_refusals() -> None:
    dialogue = Dialogue(make_house())
    dialogue.hello()
    replies = dialogue.say(
        "MAIL FROM:<a@far.example>", "RCPT TO:<nobody@example.org>", "RCPT TO:<alice@example.org>",
        "RCPT TO:<x@far.example>", "DATA",
    )  # fmt: skip
    assert [reply[:9] for reply in replies] == ["250 2.1.0", "550 5.1.1", "250 2.1.5", "550 5.7.1", "354 start"]
    assert replies[1].endswith(" id=SESSION")
    assert dialogue.say("x", ".") == ["250 2.0.0 accepted as SESSION0"]


def test_a_bare_line_feed_ends_the_session_and_keeps_nothing() -> None:
    house = make_house()
    dialogue = Dialogue(house)
    dialogue.hello()
    dialogue.say("MAIL FROM:<a@far.example>", "RCPT TO:<alice@example.org>", "DATA")
    replies = dialogue.say(b"x\n.\r\nMAIL FROM:<evil@far.example>")
    assert len(replies) == 1
    assert replies[0].startswith("554 5.5.2")
    dialogue.talk.close("fault")
    assert not house.delivery.kept
    assert [record["verdict"] for record in house.decisions.written] == ["abandoned"]


LINES = [
    "EHLO c.example", "HELO c.example", "LHLO c.example", "MAIL FROM:<alice@example.org>", "MAIL FROM:<> SIZE=10",
    "RCPT TO:<alice@example.org>", "RCPT TO:<away@example.org>", "RCPT TO:<nobody@example.org>",
    "RCPT TO:<x@far.example>", "RCPT TO:<Postmaster>", "DATA", ".", "From: alice@example.org", "", "RSET", "NOOP",
    "STARTTLS", "BDAT 4", "BDAT 0 LAST", "BDAT 2 LAST", "AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==",
    "AUTH PLAIN AGFsaWNlAHg=", "AUTH LOGIN", "YWxpY2U=", "*", "AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPXg=", "QUIT",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=30), st.sampled_from(Kind), st.booleans())
def test_no_order_of_commands_breaks_anything(lines: list[str], kind: Kind, tls: bool) -> None:
    house = make_house()
    dialogue = Dialogue(house, kind, TLS if tls else None)
    dialogue.hello()
    for line in lines:
        dialogue.say(line)
        if dialogue.core.wants_tls:
            dialogue.start_tls(TLS)
    dialogue.talk.close("gone")
    assert house.throttle.open == {"192.0.2.7": 0}
    started = {record["id"] for record in house.decisions.written}
    assert len(started) == len(house.decisions.written)
    assert len(house.delivery.kept) == len(house.log.of("received"))
