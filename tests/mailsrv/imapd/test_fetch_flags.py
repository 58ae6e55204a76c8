"""Twin of imapd/fetch_flags: what is told is what rows tell."""

from pathlib import Path

import pytest

from mailsrv.imap.numbers import NumberSet
from mailsrv.imapd import fetch_blocks, fetch_flags
from mailsrv.imapd.fetch_flags import is_brief
from mailsrv.imapd.fetch_plan import make_plan
from mailsrv.imap.fetch_items import Item
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation
from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.deliver(*[message(f"number {number}") for number in range(9)])
    box = house.box()
    box.store_flags(NumberSet([(2, 4)]), Operation.ADD, SEEN)
    box.store_flags(NumberSet([(4, 7)]), Operation.ADD, FLAGGED)
    return house


def remove(house: House, *uids: int) -> None:
    box = house.box()
    box.store_flags(NumberSet.of(uids), Operation.ADD, DELETED)
    box.expunge()


ITEMS = ["(UID FLAGS)", "(FLAGS UID)", "FLAGS", "(FLAGS)"]


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("command", ["FETCH 1:*", "UID FETCH 1:*", "FETCH 2:5", "FETCH 1,3:4,9", "FETCH 9"])
@pytest.mark.parametrize("enabled", ["", "UIDONLY"])
@pytest.mark.parametrize("holes", [(), (1,), (3, 4), (2, 9)])
def test_it_tells_what_rows_tell(house: House, monkeypatch, items, command, enabled, holes) -> None:
    remove(house, *holes)
    client = house.client(selected="INBOX", enabled=enabled)
    if enabled and not command.startswith("UID"):
        return
    if "9" in command and holes:
        command = command.replace("9", "5")
    told = client.do(f"{command} {items}")
    monkeypatch.setattr(fetch_blocks, "is_brief", lambda plan: False)
    assert client.do(f"{command} {items}") == told
    assert len(told) > 1


def test_only_plans_without_anything_else_are_brief() -> None:
    assert is_brief(make_plan((Item.UID, Item.FLAGS), False, False))
    assert not is_brief(make_plan((Item.UID, Item.FLAGS, Item.MODSEQ), False, False))
    assert not is_brief(make_plan((Item.UID,), False, True))
    assert not is_brief(make_plan((Item.ENVELOPE, Item.FLAGS), False, False))


def test_messages_that_are_gone_are_left_out(house: House) -> None:
    client = house.client(selected="INBOX")
    remove(house, 3)
    assert fetch_flags.make_responses(client.state.selected, make_plan((Item.FLAGS,), False, False), 0, 9) is None
    lines = client.do("FETCH 2:4 FLAGS")
    assert lines[:2] == ["* 2 FETCH (FLAGS (\\Seen))", "* 4 FETCH (FLAGS (\\Seen \\Flagged))"]
    assert lines[-1].startswith("NO [EXPUNGEISSUED]")


def test_new_keywords_are_named_first_and_what_was_told_is_no_news(house: House) -> None:
    client = house.client(selected="INBOX")
    box = house.box()
    box.store_flags(NumberSet([(1, 1)]), Operation.ADD, box.keyword_bit("new", create=True))
    client.state.selected.sync()
    lines = client.do("UID FETCH 1:2 FLAGS")
    assert lines[0].startswith("* FLAGS (") and "new" in lines[0]
    assert lines[2:4] == ["* 1 FETCH (UID 1 FLAGS (new))", "* 2 FETCH (UID 2 FLAGS (\\Seen))"]
    assert len(lines) == 5
