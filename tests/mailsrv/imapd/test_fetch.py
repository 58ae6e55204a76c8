"""Twin of imapd/fetch: sessions over a real store. What is told, in dialogs: tests/cases/imap/fetch*.dialog."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsrv.imap.numbers import NumberSet
from mailsrv.store.values import DELETED, FLAGGED, Operation
from tests.fakes.imap_client import Client, House, message


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def selected(house: House, *octets: bytes, enabled: str = "") -> Client:
    house.deliver(*octets)
    return house.client(selected="INBOX", enabled=enabled)


def numbered(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines if " FETCH (" in line]


def test_a_mailbox_that_is_deleted(house: House) -> None:
    client = house.client()
    client.do("CREATE box")
    client.append(message("one"), "box")
    client.do("SELECT box")
    house.client().do("DELETE box")
    lines = client.do("FETCH 1 (UID FLAGS)")
    assert lines[0].startswith("* BYE") and lines[-1].startswith("NO [NONEXISTENT]")
    assert client.do("FETCH 1 UID") == []


def test_modseqs_behind_messages_that_are_gone(house: House) -> None:
    """RFC 7162 section 3.2: also where the answer has no room for it."""
    client = selected(house, message("one"), message("two"), enabled="QRESYNC")
    other = house.box()
    before = other.status().highestmodseq
    other.store_flags(NumberSet([(1, 1)]), Operation.ADD, DELETED)
    other.expunge()
    other.store_flags(NumberSet([(2, 2)]), Operation.ADD, FLAGGED)
    lines = client.do("FETCH 1:2 (FLAGS MODSEQ)")
    assert lines[0].startswith("* 2 FETCH (FLAGS (\\Flagged) MODSEQ (")
    assert lines[1].startswith(f"* OK [HIGHESTMODSEQ {before}]") and lines[2].startswith("NO [EXPUNGEISSUED]")


@given(
    st.sets(st.integers(1, 12)),
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["UID", "ENVELOPE", "BODY.PEEK[TEXT]"]),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sets_of_messages(
    tmp_path_factory: pytest.TempPathFactory, gone: set[int], ranges: list[tuple[int, int]], by_uid: bool, items: str
) -> None:
    """Those asked for that are there, once each and in order, with the numbers that the client knows."""
    house = House(tmp_path_factory.mktemp("house"))
    client = selected(house, *[message(f"{number}") for number in range(12)])
    box = house.box()
    if gone:
        box.store_flags(NumberSet.of(gone), Operation.ADD, DELETED)
        box.expunge()
    asked = {number for one, other in ranges for number in range(min(one, other), max(one, other) + 1)}
    text = ",".join(f"{one}:{other}" for one, other in ranges)
    lines = client.do(f"{'UID ' if by_uid else ''}FETCH {text} ({items})")
    assert numbered(lines) == sorted(asked - gone)
    assert lines[-1].startswith("NO [EXPUNGEISSUED]" if asked & gone and not by_uid else "OK")
