"""The queue against what other servers do: the rows of send_rows.py, and what happens over time and among messages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsrv.deliver import runner
from mailsrv.smtp.client_events import TIMEOUTS
from tests.fakes.mx import Behaviour
from tests.mailsrv.system.test_tls import self_signed
from tests.whole.send_house import Town
from tests.whole.send_rows import BOB, GOOD, ROWS, TWO, Row, rcpt, says, without


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    pair = self_signed(tmp_path_factory.mktemp("send") / "tls", "mx.fake.example")
    return pair.cert_file, pair.key_file


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    made = Town(tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, town: Town, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if row.silent is not None:
        monkeypatch.setitem(TIMEOUTS, row.silent, 0.3)
    house = town.build(row.hosts, certificate, routes=[row.route] if row.route else [])
    identifier = house.put(*row.to, body=row.body)
    house.run()
    found = house.attempts()
    assert [one[:3] for one in found] == sorted(one[:3] for one in row.log), found
    for one, wanted in zip(found, sorted(row.log), strict=True):
        assert wanted[3] in one[3]
    assert town.took() == row.took
    for host in town.hosts.values():
        for message in host.accepted:
            assert message.octets == row.body
            assert not row.tls or message.tls == (row.tls == "used")
    assert sum(len(host.unanswered) for host in town.hosts.values()) == row.unanswered
    assert house.waiting() == ({identifier: row.again} if row.again is not None else {})
    told = [one for letter in house.letters() for one in letter.told]
    assert [(one.recipient, one.action, one.status) for one in told] == [
        (recipient, "failed", dsn) for recipient, dsn, _diagnostic in row.report
    ]
    for one, (_recipient, _dsn, diagnostic) in zip(told, row.report, strict=True):
        assert diagnostic in one.diagnostic
        assert len(one.diagnostic) < 3000
    assert not house.log.named("bug") and not house.log.named("storage")


# What happens over time, and between messages.


def test_a_deferred_recipient_is_tried_alone(town: Town) -> None:
    house = town.build({1: (*rcpt(("slow@", "451 4.7.1 greylisted")), Behaviour())})
    house.put("slow@one.example", "quick@one.example", "other@other.example")
    house.run()
    assert list(house.waiting().values()) == [300.0]
    house.later(299)
    assert town.took() == {1: [["quick@one.example"]]}
    house.later(1)
    assert town.took() == {1: [["quick@one.example"], ["slow@one.example"]]}
    assert [one[1] for one in house.attempts() if one[0] == "slow@one.example"] == ["delayed", "relayed"]
    assert list(house.waiting().values()) == [600.0], "there is no host for the third one"


def test_a_message_that_is_never_taken(town: Town) -> None:
    house = town.build({1: rcpt(("bob", "451 4.7.1 greylisted"))}, queue={"give_up_seconds": 86400})
    house.put(BOB)
    house.run()
    waits = []
    while waiting := house.waiting():
        (seconds,) = waiting.values()
        waits.append(seconds)
        house.later(seconds)
        assert len(house.letters()) == (sum(waits) >= 14400) + (sum(waits) >= 86400)
    # The sixth wait is cut short for the delay report, and the last one by the end.
    assert waits[:6] == [300, 600, 1200, 2400, 4800, 5100]
    assert sum(waits) == 86400 and max(waits) == 14400
    late, failure = house.letters()
    assert (late.kind, failure.kind) == ("delayed", "failed")
    for letter in (late, failure):
        (one,) = letter.told
        assert (one.recipient, one.status) == (BOB, "4.7.1")
        assert one.diagnostic == "451 4.7.1 greylisted"
        assert one.fields["Remote-MTA"] == "dns; mx1.one.example"
    assert "Will-Retry-Until" in late.told[0].fields
    assert "Will-Retry-Until" not in failure.told[0].fields


def test_messages_share_a_connection(town: Town) -> None:
    house = town.build({1: GOOD}, queue={"connections_per_hop": 1})
    for _ in range(10):
        house.put(BOB)
    house.run()
    assert len(town.hosts[1].accepted) == 10
    assert town.hosts[1].connections == 1
    assert not house.waiting()


def test_a_connection_has_its_share_of_messages(town: Town) -> None:
    house = town.build({1: GOOD}, queue={"connections_per_hop": 1, "messages_per_connection": 3})
    for _ in range(7):
        house.put(BOB)
    house.run()
    assert [one.connection for one in town.hosts[1].accepted] == [1, 1, 1, 2, 2, 2, 3]


def test_mailmax_is_heeded(town: Town) -> None:
    house = town.build({1: (Behaviour(offers=("LIMITS MAILMAX=2",)),)}, queue={"connections_per_hop": 1})
    for _ in range(4):
        house.put(BOB)
    house.run()
    assert [one.connection for one in town.hosts[1].accepted] == [1, 1, 2, 2]


def test_rcptmax_is_heeded(town: Town) -> None:
    house = town.build({1: (Behaviour(offers=("PIPELINING", "LIMITS RCPTMAX=2")),)})
    house.put(*(f"{name}@one.example" for name in "abcde"))
    house.run()
    assert [len(one.recipients) for one in town.hosts[1].accepted] == [2, 2, 1]
    assert town.hosts[1].connections == 1


def test_what_a_host_lies_about_is_remembered(town: Town) -> None:
    house = town.build({1: (Behaviour(denies=frozenset({"CHUNKING"})),)}, queue={"connections_per_hop": 1})
    for _ in range(3):
        house.put(BOB)
    house.run()
    assert len(town.hosts[1].accepted) == 3
    assert town.hosts[1].connections == 2
    assert sum(line.startswith("BDAT") for line in town.hosts[1].commands) == 1


@pytest.mark.parametrize("lame", [says(connect="421 4.3.2 busy"), says(mail="421 4.3.2 busy"),
                                  (Behaviour(close_at="mail"),)])  # fmt: skip
def test_a_lame_host_is_not_tried_once_per_message(town: Town, lame: tuple[Behaviour, ...]) -> None:
    house = town.build({1: lame, 2: GOOD})
    for _ in range(20):
        house.put(BOB)
    house.put("carl@other.example")
    house.run()
    assert town.hosts[1].connections == 1
    assert town.took() == {2: [["carl@other.example"]]}
    assert list(house.waiting().values()) == [300.0] * 20
    house.later(200)
    house.put(BOB)
    house.run()
    assert town.hosts[1].connections == 1, "what comes meanwhile waits too"
    house.later(100)
    assert town.hosts[1].connections == 2, "one connection finds out whether it works again"
    town.hosts[1].behave(Behaviour())
    house.later(600)
    assert len(town.hosts[1].accepted) == 21
    assert not house.waiting()


def test_a_host_that_was_not_there_is_asked_last_for_a_while(town: Town) -> None:
    house = town.build(
        {1: (Behaviour(close_at="connect"),), 2: GOOD}, queue={"connections_per_hop": 1, "messages_per_connection": 1}
    )
    for _ in range(5):
        house.put(TWO)
    house.run()
    assert len(town.hosts[2].accepted) == 5
    assert town.hosts[1].connections == 1
    town.hosts[2].behave(*says(connect="421 4.3.2 busy"))
    house.put(TWO)
    house.run()
    assert town.hosts[1].connections >= 2, "it may be back when there is nobody else"
    town.hosts[1].behave(Behaviour())
    house.later(300)
    assert len(town.hosts[1].accepted) == 1
    assert not house.waiting()


def test_an_operator_has_everything_tried_at_once(town: Town) -> None:
    house = town.build({1: says(connect="421 4.3.2 busy")})
    first, second = house.put(BOB), house.put(BOB)
    house.run()
    town.hosts[1].behave(Behaviour())
    house.waker.wake(house.layout.wake, f"!{first}".encode())
    house.run()
    assert len(town.hosts[1].accepted) == 1
    assert set(house.waiting()) == {second}


def test_a_silent_host_delays_nobody_else(town: Town) -> None:
    house = town.build({1: (Behaviour(silent_at="connect"),), 2: GOOD}, queue={"connections": 3})
    for _ in range(5):
        house.put(BOB)
    house.put("carl@other.example")
    house.runner.step()
    assert [one.recipients for one in town.hosts[2].wait_for(1)] == [["carl@other.example"]]
    town.hosts[1].close()
    house.run()
    assert len(house.waiting()) == 5


def test_many_messages_for_a_silent_host_delay_nobody_else(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_MOST_ACTIVE", 20)
    house = town.build({1: (Behaviour(silent_at="connect"),), 2: GOOD})
    for _ in range(60):
        house.put(BOB)
    for _ in range(30):
        house.put("carl@other.example")
    house.run_until(lambda: len(town.hosts[2].accepted) == 30)
    town.hosts[1].close()
    house.run()
    assert len(house.waiting()) == 60


def test_a_damaged_message_does_not_arrive_as_if_it_were_whole(town: Town) -> None:
    house = town.build({1: without("CHUNKING")})
    identifier = house.put(BOB)
    path = Path(house.layout.queue, identifier)
    path.write_bytes(path.read_bytes()[:-5])
    house.disk.set_time(str(path), house.clock.now())
    house.run()
    assert town.took() == {}
    assert identifier in house.names("queue") | house.names("corrupt")
    assert house.log.named("storage") or house.log.named("corrupt")


def test_the_other_family_when_one_is_dead(town: Town) -> None:
    try:
        house = town.build({6: GOOD})
    except OSError:
        pytest.skip("no IPv6 here")
    house.put("bob@six.example", "carl@[IPv6:::1]")
    house.run()
    assert sorted(town.took()[6]) == [["bob@six.example"], ["carl@[IPv6:::1]"]]
