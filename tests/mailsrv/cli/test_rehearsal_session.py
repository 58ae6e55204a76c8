"""The session of a rehearsal: as far as the replies let a client go, the message octet for octet, and what decides."""

import pytest

from mailsrv.cli.rehearsal_house import Traces, build_house
from mailsrv.cli.rehearsal_session import ID, Attempt, Course, Exchange, rehearse
from mailsrv.config.schema import BansConfig, LimitsConfig
from mailsrv.mail.address import Address, parse_address
from mailsrv.spool.queueid import is_id
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.mailsrv.receive.dialogue import Dialogue
from tests.mailsrv.receive.fakes import make_config, make_house
from tests.mailsrv.receive.test_checks import ZONE, write

SENDER = parse_address("a@far.example")
MESSAGE = write("far.example")


def play(
    *recipients: str, message: bytes = MESSAGE, sender: Address | None = SENDER, helo: str = "mx.far.example", **config
) -> tuple[Course, Traces]:
    traces = Traces()
    house = build_house(make_config(data_dir="/nowhere", **config), traces, FakeResolver(ZONE), FakeClock())
    paths = tuple(map(parse_address, recipients or ["alice@example.org"]))
    return rehearse(house, traces.transcript, Attempt("192.0.2.7", helo, sender, paths, message)), traces


def test_a_whole_session() -> None:
    course, traces = play()
    assert [one.command for one in course.exchanges] == [
        "connect", "EHLO mx.far.example", "MAIL FROM:<a@far.example> SIZE=43", "RCPT TO:<alice@example.org>", "DATA",
        "message of 43 octets",
    ]  # fmt: skip
    assert course.verdict == "accept"
    assert course.outcome == course.exchanges[-1].reply == f"250 2.0.0 accepted as {ID}"
    assert [one["verdict"] for one in traces.records] == ["accept"]


@pytest.mark.parametrize("domain", ["far.example", "alone.example", "soft.example", "broken.example", "none.example"])
def test_it_is_what_a_client_gets(domain: str) -> None:
    """The same by hand gives the same reply and the same octets."""
    message, sender = write(domain), f"a@{domain}"
    resolver = FakeResolver(ZONE)
    house = make_house(lookups=lambda: resolver.query, message_id=lambda _session, _number: ID, tls=False)
    dialogue = Dialogue(house, client="192.0.2.7")
    dialogue.say("EHLO mx.far.example")
    (reply,) = dialogue.send(message, sender)
    course, traces = play(message=message, sender=parse_address(sender))
    assert course.outcome.partition(" id=")[0] == reply.partition(" id=")[0]
    kept = [(mailbox.mailbox, path, octets) for mailbox, path, octets in house.delivery.kept]
    assert [(envelope.mailbox, path, octets) for envelope, octets, path in traces.kept] == kept


@pytest.mark.parametrize("body", [b".\r\n..\r\n...x\r\n", b"a\r\n.\r\n", b"", b"\r\n\r\n", b"x" * 60000 + b"\r\n"])
def test_the_message_arrives_octet_for_octet(body: bytes) -> None:
    _course, traces = play(message=MESSAGE + body)
    assert traces.kept[0][1].endswith(MESSAGE + body)


@pytest.mark.parametrize(
    ("message", "sender", "parameters"),
    [
        (MESSAGE, None, "<> SIZE=43"),
        (MESSAGE + "é\r\n".encode(), SENDER, "<a@far.example> SIZE=47 BODY=8BITMIME"),
        ("Subject: é\r\n\r\n".encode(), SENDER, "<a@far.example> SIZE=15 BODY=8BITMIME SMTPUTF8"),
        (MESSAGE, Address("é", "far.example"), "<é@far.example> SIZE=43 SMTPUTF8"),
        (MESSAGE, Address("a b", "far.example"), '<"a b"@far.example> SIZE=43'),
    ],
)
def test_what_a_client_declares(message: bytes, sender: Address | None, parameters: str) -> None:
    course, _traces = play(message=message, sender=sender)
    assert course.exchanges[2].command == f"MAIL FROM:{parameters}"
    assert course.exchanges[2].code == 250


@pytest.mark.parametrize(
    ("arguments", "end", "verdict"),
    [
        ({"helo": "’"}, "EHLO ’", "reject"),
        ({"sender": parse_address("a@silent.example")}, "MAIL FROM:<a@silent.example> SIZE=43", "reject"),
        ({"limits": LimitsConfig(message_size=1024), "message": MESSAGE + b"x" * 2000 + b"\r\n"}, "MAIL", "reject"),
        ({"message": MESSAGE + b"a\rb\r\n"}, "message of 48 octets", "reject"),
        ({"message": MESSAGE + b"a\0b\r\n"}, "message of 48 octets", "reject"),
        ({"message": b""}, "message of 0 octets", "accept"),
        ({"limits": LimitsConfig(quota_bytes=10)}, "RCPT TO:<alice@example.org>", "defer"),
    ],
)
def test_it_ends_where_a_client_would_have_to(arguments: dict, end: str, verdict: str) -> None:
    course, _traces = play(**arguments)
    last = course.exchanges[-1]
    assert last.command.startswith(end)
    assert course.verdict == verdict
    assert course.outcome == last.reply


def test_of_several_refusals_the_one_that_may_change_decides() -> None:
    limits = LimitsConfig(quota_bytes=9)
    course, _traces = play("nobody@example.org", "alice@example.org", "b@else.example", limits=limits)
    assert [one.code for one in course.exchanges[-3:]] == [550, 452, 550]
    assert course.verdict == "defer" and course.outcome.startswith("452 ")
    course, traces = play("nobody@example.org", "b@else.example")
    assert course.verdict == "reject" and course.outcome.startswith("550 5.7.1 ")
    assert traces.records[0]["verdict"] == "abandoned"


def test_each_question_has_its_check() -> None:
    _course, traces = play()
    assert list(traces.transcript.by_check()) == ["sends_nothing", "spf", "dmarc", "iprev"]


def test_an_id_that_nothing_has() -> None:
    assert not is_id(ID)


def test_a_session_that_ends_without_a_word() -> None:
    assert Exchange("DATA", ()).code == 421
    assert Exchange("DATA", ("250-a", "250 b")).reply == "250 b"


def test_bans_allow_is_for_bans() -> None:
    course, _traces = play(bans=BansConfig(allow=["192.0.2.7"]))
    assert course.verdict == "accept"
