"""Into the queue or into the drop directory: who goes which way. Messages on both: test_sendmail."""

import os
from pathlib import Path

import pytest

from mailsrv.cli import sendmail_ways
from mailsrv.cli.program import NotPermitted
from mailsrv.cli.sendmail_ways import DropWay, QueueWay, open_way
from mailsrv.errors import ConfigError, GrammarError
from mailsrv.mail.address import parse_address
from mailsrv.receive.handover import User
from mailsrv.spool.drop import Request
from mailsrv.system.wake import Doorbell
from tests.mailsrv.cli.queue_house import House, build

USER = User(1000, "ada", "Ada")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def test_into_the_queue(house: House) -> None:
    way = open_way(str(house.config), USER)
    assert isinstance(way, QueueWay)
    assert (way.hostname, way.limit) == ("mail.example.com", 50_000_000)
    assert way.knows(parse_address("ada@example.com"))
    assert way.knows(parse_address("any@example.net"))
    assert not way.knows(parse_address("nobody@example.com"))
    with Doorbell(house.layout.wake) as bell:
        identifier = way.send(Request(("bob@example.net",)), b"\r\nhi\r\n")
        assert bell.take() == [identifier.encode()]
    assert house.names("queue") == {identifier}


def test_who_may_not_goes_to_the_drop_directory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Exception] = [NotPermitted("no"), ConfigError(["key file cannot be read"])]

    def refuse(_path: str) -> None:
        raise errors[0]

    monkeypatch.setattr(sendmail_ways, "open_place", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotPermitted, match="drop directory"):
        open_way(str(house.config), USER)
    drop = house.directory / "drop"
    drop.mkdir()
    monkeypatch.setenv("MAILSRV_DROP", str(drop))
    assert isinstance(open_way(str(house.config), USER), DropWay)
    errors.pop(0)
    assert isinstance(open_way(str(house.config), USER), DropWay)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigError):
        open_way(str(house.config), USER)


def test_what_can_be_checked_is_checked_before_it_is_dropped(tmp_path: Path) -> None:
    way = DropWay(str(tmp_path))
    assert way.knows(parse_address("nobody@example.com"))
    for request in (Request(()), Request(("a b",)), Request(("a",), sender="x y@z")):
        with pytest.raises(GrammarError):
            way.send(request, b"\r\n")
    assert list(tmp_path.iterdir()) == []
