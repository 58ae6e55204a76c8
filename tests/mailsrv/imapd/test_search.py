"""SEARCH: limits, `$` where a search fails, and what a session knows against what is there."""

from array import array

import pytest

from mailsrv.errors import StorageError
from mailsrv.imap.numbers import EMPTY, NumberSet, SequenceSet
from mailsrv.imap.search_keys import Among, And, Everything, HasFlag, Modified, Not, Or
from mailsrv.store.search import Searcher
from mailsrv.store.search_budget import SearchLimit
from mailsrv.imapd.search import has_modseq, uids_at
from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.deliver(*[message(str(number)) for number in range(1, 5)])
    return made


def test_numbers_beyond_the_last_are_no_error():
    uids = array("I", [3, 5, 9])
    assert uids_at(uids, Among(SequenceSet.parse(b"2:7"), False)) == NumberSet([(5, 5), (9, 9)])
    assert uids_at(uids, Among(SequenceSet.parse(b"8:9"), False)) == EMPTY
    assert uids_at(uids, Among(SequenceSet.parse(b"1:*"), False)) == NumberSet([(3, 3), (5, 5), (9, 9)])
    assert uids_at(uids, Among(SequenceSet.parse(b"*"), False)) == NumberSet([(9, 9)])
    assert uids_at(array("I"), Among(SequenceSet.parse(b"*"), False)) == EMPTY


def test_modseq_is_found_wherever_it_stands():
    flag = HasFlag("\\Seen")
    assert has_modseq(Or(flag, Not(And((flag, Modified(1))))))
    assert not has_modseq(Or(flag, Not(And((flag, Everything())))))


@pytest.mark.parametrize(
    ("error", "code"), [(SearchLimit("too much"), "[LIMIT]"), (StorageError("broken"), "[UNAVAILABLE]")]
)
def test_a_search_that_fails(house, monkeypatch, error, code):
    client = house.client(selected="INBOX")
    client.do("SEARCH RETURN (SAVE) 2:3")

    def refuse(*arguments):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Searcher, "search", refuse)
        for command in ("SEARCH ALL", "SORT (DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "ESEARCH ALL"):
            assert client.do(command) == [f"NO {code} {client.do(command)[0].partition('] ')[2]}"]
        assert client.state.view.saved == NumberSet([(2, 3)])
        assert client.do("SEARCH RETURN (SAVE) ALL")[-1].startswith(f"NO {code}")
    assert client.state.view.saved == EMPTY
    assert client.do("SEARCH $") == ["* SEARCH", "OK searched"]


def test_what_came_since_is_not_found(house):
    client = house.client(selected="INBOX")
    house.box().view()
    other = house.client()
    other.append(message("new"))
    assert client.do("SEARCH ALL")[0] == "* SEARCH 1 2 3 4"
    assert client.do("SEARCH ALL")[0] == "* SEARCH 1 2 3 4 5"


def test_an_empty_mailbox(tmp_path):
    client = House(tmp_path).client(selected="INBOX")
    assert client.do("SEARCH 1:*")[0] == "* SEARCH"
    assert client.do("UID SEARCH UID 1:*")[0] == "* SEARCH"
    assert client.do("SEARCH RETURN (MIN MAX COUNT ALL) ALL")[0].endswith("COUNT 0")


def test_saved_messages_are_used_by_all(house):
    client = house.client(selected="INBOX")
    client.do("CREATE Work")
    client.do("SEARCH RETURN (SAVE) 2:3")
    assert client.do("UID COPY $ Work")[-1].startswith("OK [COPYUID")
    assert client.do("STORE $ +FLAGS (\\Deleted)")[0] == "* 2 FETCH (UID 2 FLAGS (\\Deleted))"
    assert client.do("UID EXPUNGE $")[:2] == ["* 3 EXPUNGE", "* 2 EXPUNGE"]
    assert client.state.view.saved == EMPTY
