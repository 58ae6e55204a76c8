"""IDLE: news come while the client is silent; the watch is entered before the last look, and left whatever happens."""

from types import SimpleNamespace

import pytest

from mailsrv.imap.situation import State
from tests.fakes.imap_client import House, message


class Watch(SimpleNamespace):
    """Who is in, in order."""

    def enter(self, account, ring):
        self.inside.append(account)
        self.on_enter()

    def leave(self, account, ring):
        self.inside.remove(account)


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.services.watch = Watch(inside=[], on_enter=lambda: None)
    return made


def woken(client) -> list[str]:
    client.heard = b""
    client.policy.woken()
    client._flush()
    return client.heard.decode().splitlines()


def test_news_while_idle(house) -> None:
    client = house.client(selected="INBOX")
    assert client.send(b"a IDLE\r\n") == b"+ idling\r\n"
    assert client.policy.wants_rings
    assert house.services.watch.inside == ["alice"]
    assert woken(client) == []
    house.deliver(message())
    assert woken(client) == ["* 1 EXISTS"]
    house.deliver(message())
    assert client.send(b"DONE\r\n") == b"* 2 EXISTS\r\na OK welcome back\r\n"
    assert house.services.watch.inside == []
    assert not client.policy.wants_rings
    house.deliver(message())
    assert woken(client) == []


def test_nothing_falls_between_the_last_look_and_the_watch(house) -> None:
    client = house.client(selected="INBOX")
    house.services.watch.on_enter = lambda: house.deliver(message())
    assert client.send(b"a IDLE\r\n") == b"* 1 EXISTS\r\n+ idling\r\n"


def test_the_end_of_a_session_leaves_the_watch(house) -> None:
    client = house.client(selected="INBOX")
    client.send(b"a IDLE\r\n")
    client.policy.leave()
    client.policy.leave()
    assert house.services.watch.inside == []


def test_a_mailbox_that_goes_while_idle(house) -> None:
    client = house.client()
    client.do("CREATE x")
    client.do("SELECT x")
    client.send(b"a IDLE\r\n")
    house.reader().delete("x")
    assert woken(client) == ["* BYE the selected mailbox was deleted, or its UIDs are no longer valid"]
    assert client.core.state is State.LOGOUT
    assert client.send(b"DONE\r\n") == b""


def test_a_mailbox_that_goes_while_a_client_idles_that_knows_closed(house) -> None:
    client = house.client(enabled="QRESYNC")
    client.do("CREATE x")
    client.do("SELECT x")
    client.send(b"a IDLE\r\n")
    house.reader().delete("x")
    assert woken(client) == ["* NO [CLOSED] this mailbox was deleted, or its UIDs are no longer valid"]
    assert client.send(b"DONE\r\n") == b"a OK welcome back\r\n"


def test_a_mailbox_that_is_gone_when_idle_begins(house) -> None:
    client = house.client()
    client.do("CREATE x")
    client.do("SELECT x")
    house.reader().delete("x")
    lines = client.do("IDLE")
    assert lines[0].startswith("* BYE") and lines[1:] == ["NO [NONEXISTENT] the selected mailbox was deleted"]
