"""What senders are told of their mail in the queue, and the ways that mail takes beside that to MX hosts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.config.schema import RouteConfig
from mailsrv.mail.address import parse_address
from mailsrv.mail.envelope import DsnRequest, Recipient
from mailsrv.spool.claim import Claims
from mailsrv.spool.paused import Paused
from tests.fakes.mx import Behaviour, FakeMx
from tests.whole.send_house import MESSAGE, House, Town, start_hosts
from tests.whole.send_rows import BOB, GOOD, rcpt, says, without


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    made = Town(tmp_path, monkeypatch)
    yield made
    made.close()


# Reports.


def test_the_report(town: Town) -> None:
    house = town.build({1: rcpt(("bob", "550-5.1.1 no such user\n550 5.1.1 here"))})
    identifier = house.put(BOB, dsn=DsnRequest(("FAILURE",), "rfc822;robert@one.example"), envid="abc", ret="FULL")
    house.run()
    (letter,) = house.letters()
    assert letter.about["Original-Envelope-Id"] == "abc"
    assert letter.about["Reporting-MTA"] == "dns; mail.sender.example"
    assert letter.about["X-Mailsrv-Queue-ID"] == identifier
    (one,) = letter.told
    assert one.fields["Original-Recipient"] == "rfc822; robert@one.example"
    assert one.fields["Remote-MTA"] == "dns; mx1.one.example"
    assert one.diagnostic == "550 5.1.1 no such user here"
    assert "Shall we?" in letter.original
    assert letter.whole["Auto-Submitted"] == "auto-replied"
    assert letter.whole["Return-Path"] == "<>"
    assert letter.whole["To"] == "ada@sender.example"
    assert len(house.log.named("report")) == 1
    assert not house.waiting()
    house.later(86400)
    assert len(house.letters()) == 1


@pytest.mark.parametrize("words, told", [
    (("NEVER",), []), (("DELAY",), []), (("SUCCESS",), []), (("FAILURE",), ["failed"]), ((), ["failed"]),
])  # fmt: skip
def test_notify_of_a_failure(town: Town, words: tuple[str, ...], told: list[str]) -> None:
    house = town.build({1: rcpt(("bob", "550 5.1.1 unknown"))})
    house.put(BOB, dsn=DsnRequest(words))
    house.run()
    assert [letter.kind for letter in house.letters()] == told
    assert not house.waiting()


@pytest.mark.parametrize("words, told", [
    (("NEVER",), 0), (("FAILURE",), 0), (("DELAY", "FAILURE"), 1), ((), 1),
])  # fmt: skip
def test_notify_of_a_delay(town: Town, words: tuple[str, ...], told: int) -> None:
    house = town.build({1: rcpt(("bob", "451 4.2.0 later"))})
    house.put(BOB, dsn=DsnRequest(words))
    house.run()
    house.later(14400)
    assert [letter.kind for letter in house.letters()] == ["delayed"] * told
    house.later(14400)
    assert len(house.letters()) == told, "once"


def test_notify_of_success(town: Town) -> None:
    house = town.build({1: without("DSN"), 2: GOOD})
    house.put(BOB, "carl@other.example", dsn=DsnRequest(("SUCCESS",)))
    house.run()
    (letter,) = house.letters()
    assert [(one.recipient, one.action) for one in letter.told] == [(BOB, "relayed")], "the other host will report"
    assert town.hosts[1].accepted[0].rcpt_parameters == [""]
    assert town.hosts[2].accepted[0].rcpt_parameters == ["NOTIFY=SUCCESS"]


def test_dsn_parameters_are_passed_on(town: Town) -> None:
    house = town.build({1: GOOD})
    dsn = DsnRequest(("FAILURE", "DELAY"), "rfc822;robert+1@one.example")
    house.put(BOB, dsn=dsn, ret="HDRS", envid="a=b")
    house.run()
    (message,) = town.hosts[1].accepted
    assert message.mail_parameters == f"SIZE={len(MESSAGE)} RET=HDRS ENVID=a+3Db"
    assert message.rcpt_parameters == ["NOTIFY=FAILURE,DELAY ORCPT=rfc822;robert+2B1@one.example"]


def test_no_report_for_a_report(town: Town) -> None:
    house = town.build({1: rcpt(("bob", "550 5.1.1 unknown"))})
    identifier = house.put(BOB, sender="", account="")
    house.run()
    assert not house.letters()
    assert house.names("hold") == {identifier}
    assert not house.waiting()
    assert house.log.named("held")


# Ways.


def test_a_smarthost_with_a_login(town: Town) -> None:
    behaviour = Behaviour(login=("ada", "secret"))
    town.hosts = start_hosts({1: (behaviour,)}, None)
    port = town.hosts[1].port
    for password, expected in (("secret", "relayed"), ("wrong", "delayed")):
        route = RouteConfig(f"smtp:127.0.0.1:{port}", tls="may", username="ada", password=password)
        house = town.house = House(town.directory / password, town.monkeypatch, town.hosts, routes=[route])
        house.put(BOB, "dora@null.example")
        house.run()
        assert [one[1] for one in house.attempts()] == [expected] * 2
        house.close()
    assert [one.account for one in town.hosts[1].accepted] == ["ada"]
    assert {one[2] for one in house.attempts()} == {"4.7.8"}
    assert not house.letters(), "a wrong password is the operator's business"


def test_lmtp(town: Town) -> None:
    path = str(town.directory / "lmtp")
    with FakeMx(Behaviour(lmtp=True, rcpt=(("no@", "550 5.1.1 unknown"),)), path=path) as server:
        route = RouteConfig(f"lmtp:{path}", domains=["one.example"])
        house = town.build({1: GOOD}, routes=[route])
        house.put("a@one.example", "no@one.example", "b@one.example", dsn=DsnRequest(("SUCCESS", "FAILURE")))
        house.run()
        assert [one.recipients for one in server.accepted] == [["a@one.example", "b@one.example"]]
    assert [one[:3] for one in house.attempts()] == [
        ("a@one.example", "delivered", "2.0.0"), ("b@one.example", "delivered", "2.0.0"),
        ("no@one.example", "failed", "5.1.1"),
    ]  # fmt: skip
    assert {(one.recipient, one.action) for letter in house.letters() for one in letter.told} == {
        ("a@one.example", "delivered"), ("b@one.example", "delivered"), ("no@one.example", "failed"),
    }  # fmt: skip


def test_a_paused_next_hop(town: Town) -> None:
    house = town.build({1: GOOD, 2: GOOD})
    paused = Paused(house.disk, house.layout)
    paused.add("one.example", house.clock.now())
    house.put(BOB, "carl@other.example")
    house.run()
    assert town.took() == {2: [["carl@other.example"]]}
    assert len(house.waiting()) == 1
    paused.remove("one.example")
    house.waker.wake(house.layout.wake, b"*")
    house.later(300)
    assert town.took()[1] == [[BOB]]
    assert not house.waiting()


def test_a_held_queue_delivers_at_home(town: Town) -> None:
    house = town.build({1: GOOD}, queue={"hold": True})
    mine = Recipient(parse_address("ada@sender.example"), account="ada")
    house.put(BOB, mine)
    house.run()
    assert town.took() == {}
    assert len(list(Path(house.config.data_dir, "accounts/ada/new").iterdir())) == 1
    assert len(house.waiting()) == 1


def test_a_rerouted_message(town: Town) -> None:
    house = town.build({1: GOOD, 2: GOOD})
    identifier, other = house.put(BOB), house.put(BOB)
    claims = Claims(house.disk, house.layout, house.clock, house.log)  # type: ignore[arg-type]
    with claims.try_claim(identifier) or pytest.fail("cannot be claimed") as claim:
        claim.note("reroute", f"smtp:127.0.0.2:{town.hosts[2].port}")
    house.run()
    assert other
    assert town.took() == {1: [[BOB]], 2: [[BOB]]}


def test_forwarded_mail_has_a_sender_of_ours(town: Town) -> None:
    house = town.build({1: GOOD}, srs_secret="a secret that nobody knows")
    forwarded = Recipient(parse_address(BOB), original=parse_address("club@sender.example"))
    house.put(forwarded, "carl@one.example", sender="eve@elsewhere.example", account="")
    house.run()
    senders = {one.recipients[0]: one.reverse_path for one in town.hosts[1].accepted}
    assert senders["carl@one.example"] == "eve@elsewhere.example"
    assert senders[BOB].startswith("SRS0=") and senders[BOB].endswith("=elsewhere.example=eve@sender.example")


def test_a_report_to_a_sender_elsewhere(town: Town) -> None:
    house = town.build({1: GOOD})
    house.put("dora@null.example", sender="eve@one.example", account="")
    house.run()
    (message,) = town.hosts[1].accepted
    assert (message.reverse_path, message.recipients) == ("", ["eve@one.example"])
    assert message.rcpt_parameters == ["NOTIFY=NEVER"]
    assert b"Action: failed" in message.octets
    assert not house.waiting()


def test_a_report_that_nobody_takes_is_held(town: Town) -> None:
    house = town.build({1: rcpt(("eve", "550 5.1.1 unknown"))})
    house.put("dora@null.example", sender="eve@one.example", account="")
    house.run()
    assert not house.waiting()
    assert len(house.names("hold")) == 1
    assert len(house.log.named("held")) == 1


def test_a_report_finds_its_way_back_to_a_rewritten_sender(town: Town) -> None:
    house = town.build({1: GOOD, 2: GOOD}, srs_secret="a secret that nobody knows")
    house.put(
        Recipient(parse_address(BOB), original=parse_address("club@sender.example")),
        sender="eve@other.example", account="",
    )  # fmt: skip
    house.run()
    rewritten = town.hosts[1].accepted[0].reverse_path
    house.put(rewritten, sender="", account="")
    house.run()
    assert [(one.reverse_path, one.recipients) for one in town.hosts[2].accepted] == [("", ["eve@other.example"])]
    assert not house.waiting() and not house.names("hold")


def test_a_smarthost_for_one_account(town: Town) -> None:
    town.hosts = start_hosts({1: GOOD, 2: GOOD}, None)
    route = RouteConfig(f"smtp:127.0.0.2:{town.hosts[2].port}", accounts=["ada"])
    house = town.house = House(town.directory, town.monkeypatch, town.hosts, routes=[route])
    house.put(BOB, "dora@null.example")
    house.put(BOB, account="")
    house.run()
    assert town.took() == {1: [[BOB]], 2: [[BOB, "dora@null.example"]]}


def test_a_smarthost_that_is_away_is_no_reason_to_return_mail(town: Town) -> None:
    town.hosts = start_hosts({1: says(connect="554 5.7.1 not you")}, None)
    route = RouteConfig(f"smtp:127.0.0.1:{town.hosts[1].port}")
    house = town.house = House(town.directory, town.monkeypatch, town.hosts, routes=[route])
    house.put(BOB)
    house.run()
    assert [one[1:3] for one in house.attempts()] == [("delayed", "4.7.1")]
    assert list(house.waiting().values()) == [300.0]


def test_mail_for_an_account_here_that_the_queue_has(town: Town) -> None:
    house = town.build({1: GOOD})
    mine = Recipient(parse_address("ada@sender.example"), account="ada")
    house.put(mine, BOB, sender="eve@other.example", account="")
    house.put("nobody@sender.example", sender="ada@sender.example")
    house.run()
    assert town.took() == {1: [[BOB]]}
    texts = [path.read_bytes() for path in Path(house.config.data_dir, "accounts/ada/new").iterdir()]
    assert sorted(b"Shall we?" in text and b"multipart/report" not in text for text in texts) == [False, True]
    assert any(b"5.1.1" in text for text in texts)
    assert not house.waiting()
