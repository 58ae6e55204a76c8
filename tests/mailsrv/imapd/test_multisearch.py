"""ESEARCH in several mailboxes: which ones are meant, and what goes away meanwhile."""

import pytest

from mailsrv.store.refusals import MailboxGone
from mailsrv.store.search import Searcher
from tests.fakes.imap_client import House, message


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    for name in ("A", "A/B", "A/B/C", "AB"):
        made.reader().create(name)
        made.deliver(message(name), mailbox=name)
    return made


def found(lines):
    return [line.split("MAILBOX ")[1].split(" ")[0] for line in lines if "ESEARCH" in line]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("subtree A", ["A", "A/B", "A/B/C"]),
        ("subtree-one A", ["A", "A/B"]),
        ("subtree-one (A A/B)", ["A", "A/B", "A/B/C"]),
        ("mailboxes (AB A AB Nowhere)", ["AB", "A"]),
        ("personal", ["A", "A/B", "A/B/C", "AB"]),
        ("inboxes", []),
        ("subscribed", []),
        ("subtree Nowhere", []),
    ],
)
def test_which_mailboxes(house, source, names):
    client = house.client()
    client.do("UNSUBSCRIBE INBOX")
    assert found(client.do(f"ESEARCH IN ({source}) ALL")) == names


def test_it_selects_nothing(house):
    client = house.client()
    client.do("ESEARCH IN (personal) ALL")
    assert client.do("FETCH 1 (UID)")[-1].startswith("BAD")
    assert client.do("ESEARCH ALL")[-1] == "BAD select a mailbox first"


def test_sets_of_numbers_in_other_mailboxes(house):
    client = house.client()
    house.deliver(message("second"), mailbox="A")
    for keys, uids in (("2", "2"), ("UID *", "2"), ("*", "2"), ("1:99", "1:2"), ("UID 1", "1")):
        assert client.do(f"ESEARCH IN (mailboxes A) {keys}")[0].endswith(f"UID ALL {uids}")
    assert client.do("ESEARCH IN (mailboxes A) $") == ["OK searched"]
    assert client.do("ESEARCH IN (inboxes) 1:*") == ["OK searched"]


def test_a_mailbox_that_goes_meanwhile_is_passed_over(house, monkeypatch):
    client = house.client(selected="INBOX")
    search = Searcher.search

    def late(self, key, uids):
        if self._mailbox.name == "A":
            raise MailboxGone("deleted")
        return search(self, key, uids)

    monkeypatch.setattr(Searcher, "search", late)
    lines = client.do("ESEARCH IN (subtree A) ALL")
    assert found(lines) == ["A/B", "A/B/C"] and lines[-1] == "OK searched"


def test_modseq(house):
    client = house.client()
    line = client.do("ESEARCH IN (mailboxes A) RETURN (COUNT) MODSEQ 1")[0]
    assert " COUNT 1 MODSEQ " in line
