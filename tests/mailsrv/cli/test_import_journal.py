"""The memory of an import: durable, believed up to a torn line, and for one import at a time."""

import pytest

from mailsrv.cli.import_journal import Journals, Taken
from mailsrv.errors import Busy
from mailsrv.store.layout import Layout
from mailsrv.system.disk import Disk


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "accounts/alice").mkdir(parents=True)
    return Layout.of(str(tmp_path), "alice")


def journals(layout, identity="x"):
    return Journals(Disk(), layout, "maildir", identity)


def test_what_was_noted_is_known(layout):
    entries = {"a b": Taken(1, "\\Seen x"), "c": Taken(2, "")}
    with journals(layout) as mine:
        journal = mine.open("INBOX", "F1 7")
        journal.note(entries.items())
        journal.note([])
        journal.note([("c", Taken(2, "y"))])
    with journals(layout) as mine:
        assert mine.open("INBOX", "F1 7").entries == entries | {"c": Taken(2, "y")}
        assert "c" in mine.open("INBOX", "F1 7")
        assert mine.open("a/b", "F1 7").entries == {}
    with journals(layout, "y") as mine:
        assert mine.open("INBOX", "F1 7").entries == {}


def test_a_mailbox_that_was_made_anew_is_another(layout):
    with journals(layout) as mine:
        mine.open("INBOX", "F1 7").note([("a", Taken(1, ""))])
        assert mine.open("INBOX", "F1 8").entries == {}
        assert mine.open("INBOX", "F1 7").entries == {}


def test_a_torn_line(layout):
    with journals(layout) as mine:
        journal = mine.open("INBOX", "F1 7")
        journal.note([("a", Taken(1, ""))])
        with open(journal._path, "ab") as file:
            file.write(b"x\t%b\t\nb\t2" % (b"9" * 5000))
        again = mine.open("INBOX", "F1 7")
        assert again.entries == {"a": Taken(1, "")}
        again.note([("b", Taken(3, ""))])
        assert mine.open("INBOX", "F1 7").entries["b"] == Taken(3, "")


def test_one_import_at_a_time(layout):
    with journals(layout), pytest.raises(Busy), journals(layout):
        pass
    with journals(layout), journals(layout, "another"):
        pass
