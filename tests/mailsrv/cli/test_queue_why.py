"""mailq --why: each reason why mail does not go now is told."""

from pathlib import Path

import pytest

from mailsrv.cli.mailq import main
from mailsrv.spool.hops import HopState, write_hops
from mailsrv.spool.paused import Paused
from tests.mailsrv.cli.queue_house import House, build

Output = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def why(house: House, domain: str, capsys: Output) -> list[str]:
    assert main(["--config", str(house.config), "--why", domain]) == 0
    return capsys.readouterr().out.splitlines()


def test_nothing_is_queued(house: House, capsys: Output) -> None:
    house.put("bob@example.org")
    assert why(house, "Example.NET", capsys) == ["example.net: nothing is queued", "next hop: its MX hosts, TLS may"]


def test_the_next_attempt_and_the_last_error(house: House, capsys: Output) -> None:
    identifier = house.put("bob@example.net", "eve@example.net")
    house.put("bob@example.net")
    house.defer(identifier, "451 4.7.1 greylisted")
    lines = why(house, "example.net", capsys)
    assert lines[0] == "example.net: 2 messages for 3 recipients wait (1 deferred, 1 new)"
    assert lines[2].startswith("next attempt: now, as soon as a runner looks")
    assert lines[3].startswith("last error, at ")
    assert lines[3].endswith("host mx.example.net [192.0.2.1] said: 451 4.7.1 greylisted")


def test_a_next_hop_that_is_left_alone(house: House, capsys: Output) -> None:
    identifier = house.put("bob@example.net")
    house.defer(identifier, "no route")
    state = HopState("example.net", 3, house.clock.now() + 120, "connection refused", 2, 1)
    write_hops(house.disk, house.layout, [state, HopState("other.example", 9)])
    lines = why(house, "example.net", capsys)
    assert lines[2:4] == [
        "connections now: 1; jobs that wait for one: 2",
        "failed 3 times in a row, the last error: connection refused",
    ]
    assert "(in 2m00s); `mailrun retry` does not wait" in lines[4]
    assert "(in 10m00s)" in lines[5]


def test_paused_held_and_stopped(house: House, capsys: Output) -> None:
    identifier = house.put("bob@relayed.example")
    Paused(house.disk, house.layout).add("smtp:relay.example.org:587", house.clock.now(), "they move")
    lines = why(house, "relayed.example", capsys)
    assert lines[1] == "next hop: smtp:relay.example.org:587, TLS may"
    assert lines[2].startswith("paused since 2027-01-15T")
    assert lines[2].endswith("Z: they move; `mailrun resume smtp:relay.example.org:587` lets it go")
    assert not any(line.startswith("next attempt") for line in lines)
    Paused(house.disk, house.layout).remove("smtp:relay.example.org:587")
    with house.claims.try_claim(identifier) or pytest.fail("no claim") as claim:
        claim.hold("test")
    assert "all messages are held; `mailrun release` lets them go" in why(house, "relayed.example", capsys)
    house.config.write_text(f"{house.config.read_text()}[queue]\nhold = true\n")
    assert any(line.startswith("queue.hold is set") for line in why(house, "relayed.example", capsys))


def test_our_own_domain(house: House, capsys: Output) -> None:
    assert why(house, "example.com", capsys)[1] == "next hop: accounts of this server, TLS none"
