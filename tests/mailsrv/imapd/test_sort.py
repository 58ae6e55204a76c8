"""SORT and THREAD: numbers for UIDs, and threads as deep as clients make them."""

from mailsrv.store.search import Searcher
from mailsrv.store.threads import Thread
from tests.fakes.imap_client import House, message


def test_numbers_and_uids(tmp_path):
    house = House(tmp_path)
    house.deliver(*[message(subject) for subject in ("x", "c", "a", "b")])
    client = house.client(selected="INBOX")
    client.do("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.do("EXPUNGE")
    assert client.do("SORT (SUBJECT) UTF-8 ALL")[0] == "* SORT 2 3 1"
    assert client.do("UID SORT (SUBJECT) UTF-8 ALL")[0] == "* SORT 3 4 2"
    assert client.do("UID THREAD ORDEREDSUBJECT UTF-8 NOT SUBJECT a")[0] == "* THREAD (2)(4)"


def test_deep_threads(tmp_path, monkeypatch):
    house = House(tmp_path)
    house.deliver(message())
    client = house.client(selected="INBOX")
    depth = 50_000

    def thread(self, uids, algorithm):
        top = Thread(depth)
        for uid in range(depth - 1, 0, -1):
            top = Thread(uid, [top])
        return [Thread(0, [top, Thread(depth + 1)])]

    monkeypatch.setattr(Searcher, "thread", thread)
    line = client.do("UID THREAD REFERENCES UTF-8 ALL")[0]
    assert line.startswith("* THREAD ((1 2 3 4") and line.endswith(f"{depth})({depth + 1}))")


def test_what_was_sorted_can_be_saved(tmp_path):
    house = House(tmp_path)
    house.deliver(*[message(subject) for subject in ("c", "a", "b")])
    client = house.client(selected="INBOX")
    assert client.do("SORT RETURN (SAVE MIN) (SUBJECT) UTF-8 ALL")[0].endswith(") MIN 2")
    assert client.do("SEARCH $")[0] == "* SEARCH 2"
    assert client.do("SORT RETURN (SAVE PARTIAL 1:2) (REVERSE SUBJECT) UTF-8 ALL")[0].endswith("PARTIAL (1:2 1,3)")
    assert client.do("SEARCH $")[0] == "* SEARCH 1 3"
