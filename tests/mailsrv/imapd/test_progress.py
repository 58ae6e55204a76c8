"""Word of a search that takes long, and its end."""

import pytest

from mailsrv.store.search_budget import MAX_SECONDS, SearchLimit
from mailsrv.imapd.progress import EVERY_SECONDS, ToldBudget
from tests.fakes.imap_client import House


def test_a_client_hears_now_and_then(tmp_path):
    house = House(tmp_path)
    client = house.client()
    budget = ToldBudget(client.state, 'a"1')
    budget.spend(100)
    assert client.heard == b""
    house.clock.advance(EVERY_SECONDS)
    budget.spend(50)
    assert client.heard == b'* OK [INPROGRESS ("a\\"1" 150 NIL)] searching\r\n'
    budget.spend(50)
    house.clock.advance(EVERY_SECONDS)
    budget.spend()
    assert client.heard.count(b"\r\n") == 2 and b" 200 NIL" in client.heard


def test_the_end(tmp_path):
    house = House(tmp_path)
    client = house.client()
    budget = ToldBudget(client.state, "a")
    house.clock.advance(MAX_SECONDS + 1)
    with pytest.raises(SearchLimit):
        budget.spend(1)
