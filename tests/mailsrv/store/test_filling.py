"""Computing in batches: everything once, nothing for what is gone, and no file stops the others."""

import gc
import os
import threading
import weakref
from functools import partial

import pytest

from mailsrv.imap.numbers import NumberSet
from mailsrv.store import filling
from mailsrv.store.filling import Filler, read_octets
from mailsrv.store.message import checksum
from mailsrv.store.message_text import read_texts
from mailsrv.store.ready import compute
from mailsrv.store.ready_tables import TABLES
from mailsrv.store.readers import Readers
from mailsrv.store.refusals import MailboxGone
from mailsrv.store.text_index import Where
from mailsrv.store.values import DELETED, Operation
from mailsrv.system.disk import Disk
from tests.mailsrv.store.mailbox import Account, message


@pytest.fixture
def account(tmp_path):
    account = Account(tmp_path)
    account.open()
    yield account
    account.readers.close()


def computed(account, table="ready"):
    return account.index.read(f"SELECT * FROM {table} ORDER BY content")


def nothing(files):
    """No budget."""


def test_all_messages_are_computed_once(account):
    octets = [message(f"number {number}", From="a@b") for number in range(7)]
    account.deliver(*octets)
    account.readers.reader("alice").create("Archive")
    account.deliver(message("other"), mailbox="Archive")
    assert account.filler.fill(3) == 3
    assert account.filler.fill(100) == 5
    assert account.filler.fill(100) == 0
    for table, place in (("ready", 0), ("searchable", 1), ("sortable", 2)):
        rows = computed(account, table)
        assert len(rows) == 8
        assert [tuple(row[1:]) for row in rows[:7]] == [tuple(compute(one)[place]) for one in octets]
    account.deliver(message("late"))
    assert account.filler.fill() == 1


def test_a_checksum_is_kept_of_each_content_and_stays(account):
    octets = [message(f"number {number}") for number in range(3)]
    account.deliver(*octets)
    assert account.index.read("SELECT DISTINCT checksum FROM content") == [(None,)]
    account.filler.fill_from(box_key(account.open("INBOX")), 1, 2)
    expected = [(checksum((one,)),) for one in octets]
    assert account.index.read("SELECT checksum FROM content ORDER BY id") == [*expected[:2], (None,)]
    with account.index.write() as writing:
        writing.execute("UPDATE content SET checksum = x'00' WHERE id = 1")
        for table in TABLES:
            writing.execute(f"DELETE FROM {table}")
    Readers(Disk(), str(account.path), account.clock, "host.example").filler("alice").fill()
    assert account.index.read("SELECT checksum FROM content ORDER BY id") == [(b"\0",), *expected[1:]]


def test_rows_are_what_the_reader_gives(account):
    box = account.deliver(message("x", "some text"))
    account.fill()
    ((envelope, fields, preview),) = box.rows(None, ("envelope", "fields", "preview"))
    assert b'"x"' in envelope
    assert fields == b"Subject: x\r\n"
    assert preview == "some text"


def test_copies_share_what_is_computed(account):
    box = account.deliver(message("x"))
    account.readers.reader("alice").create("Archive")
    box.copy(NumberSet([(1, 1)]), account.open("Archive"))
    account.fill()
    assert len(computed(account)) == 1


def test_a_file_that_cannot_be_read_stops_nothing(account, tmp_path):
    box = account.deliver(*(message(f"{number}") for number in range(5)))
    (path,) = (path for uid, path in box.rows(None, ("uid", "path")) if uid == 2)
    file = tmp_path / "accounts/alice" / path
    hidden = tmp_path / "hidden"
    os.rename(file, hidden)
    assert account.filler.fill(2) == 2
    assert account.filler.fill(100) == 3
    assert account.filler.fill(100) == 0
    assert len(computed(account)) == 4
    os.rename(hidden, file)
    assert account.filler.fill(100) == 0
    account.filler.fill_mailbox(box_key(box), nothing)
    assert len(computed(account)) == 5


def box_key(box):
    return filling.Key(box.id, box.uidvalidity)


def test_a_block_of_messages_is_filled(account):
    box = account.deliver(*(message(f"number {number}") for number in range(9)))
    assert account.filler.fill_from(box_key(box), 4, 3) == 3
    assert [uid for uid, size in box.rows(None, ("uid", "header_size")) if size] == [4, 5, 6]
    assert account.filler.fill_from(box_key(box), 5, 100) == 3
    assert account.filler.fill_from(box_key(box), 5, 100) == 0
    assert account.filler.fill(100) == 3


def filled(box):
    return [uid for uid, size in box.rows(None, ("uid", "header_size")) if size]


def test_the_newest_are_filled_first(account):
    box = account.deliver(*(message(f"number {number}") for number in range(7)))
    assert account.filler.fill(2) == 2
    assert filled(box) == [6, 7]
    account.deliver(message("a"), message("b"))
    assert account.filler.fill(1) == 1
    assert filled(box) == [6, 7, 8]
    account.filler.fill_from(box_key(box), 4, 1)
    assert account.filler.fill(3) == 3
    assert filled(box) == [3, 4, 5, 6, 7, 8, 9]
    assert account.filler.fill(100) == 2
    assert account.filler.fill(100) == 0


def test_two_that_meet_share_what_is_left(account, monkeypatch):
    box = account.deliver(*(message(f"number {number}") for number in range(9)))
    other = Filler(Readers(Disk(), str(account.path), account.clock, "host.example")._index("alice"))
    filled_behind = []

    def compute_behind(octets, tell):
        if not filled_behind:
            filled_behind.append(True)
            other.fill_from(box_key(box), 8, 2)
        return compute(octets)

    monkeypatch.setattr(filling, "compute", compute_behind)
    account.filler.fill(2)
    monkeypatch.undo()
    assert filled(box) == [8, 9]
    account.filler.fill(2)
    assert filled(box) == [1, 2, 8, 9]
    assert account.filler.fill(100) == 5
    assert filled(box) == list(range(1, 10))
    assert account.filler.fill(100) == 0


def test_a_bug_is_told_and_stops_nothing(account, monkeypatch):
    box = account.deliver(*(message(f"number {number}") for number in range(4)))
    told = []
    monkeypatch.setattr(account.index, "complain", told.append)

    def broken(octets, *more, real=compute):
        if b"number 1" in octets:
            raise ZeroDivisionError("a bug")
        return real(octets, *more)

    monkeypatch.setattr(filling, "compute", broken)
    assert account.filler.fill() == 4
    assert list(map(str, told)) == ["a bug"]
    assert len(computed(account)) == 4
    assert account.filler.fill() == 0
    assert [None in row for row in box.rows(None, ("envelope", "preview"))] == [False, True, False, False]
    monkeypatch.setattr(filling, "read_texts", partial(broken, real=read_texts))
    assert account.filler.index_some() == 4
    assert list(map(str, told)) == ["a bug", "a bug"]
    assert account.filler.index_some() == 0
    found = account.filler.texts.find("number", Where.HEADER)
    assert (len(found.contents), len(found.partial)) == (3, 1)


def test_several_at_once_compute_the_same(account):
    account.deliver(*(message(f"number {number}") for number in range(150)))
    others = [Readers(Disk(), str(account.path), account.clock, "host.example") for _ in range(3)]
    fillers = [Filler(readers._index("alice")) for readers in others]

    def work(filler):
        while filler.fill(20) or filler.index_some(20) or filler.texts.covered() < 150:
            pass

    threads = [threading.Thread(target=work, args=(filler,)) for filler in fillers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for table in ("ready", "searchable", "sortable"):
        assert len(computed(account, table)) == 150
    assert len(account.filler.texts.find("number", Where.HEADER).contents) == 150
    for readers in others:
        readers.close()


def test_a_mailbox_is_filled_at_once_within_a_budget(account):
    box = account.deliver(*(message(f"{number}") for number in range(5)))
    spent = []
    account.filler.fill_mailbox(box_key(box), spent.append)
    assert len(computed(account)) == 5
    assert len(spent) >= 1
    spent.clear()
    Filler(account.index).fill_mailbox(box_key(box), spent.append)
    assert spent == []
    with pytest.raises(MailboxGone):
        account.filler.fill_mailbox(filling.Key(box.id, box.uidvalidity + 1), nothing)


def test_what_is_gone_meanwhile_gets_no_row(account, monkeypatch):
    box = account.deliver(message("a"), message("b"))
    real = filling.compute

    def compute_and_expunge(octets, tell):
        with account.index.write() as writing:
            writing.execute("DELETE FROM content WHERE id = (SELECT content FROM message WHERE uid = 1)")
        return real(octets)

    monkeypatch.setattr(filling, "compute", compute_and_expunge)
    account.fill()
    assert [row[:1] for row in computed(account)] == list(box.rows(NumberSet([(2, 2)]), ("content",)))


def test_a_large_message_is_mapped(account, monkeypatch, tmp_path):
    monkeypatch.setattr(filling, "IN_MEMORY", 100)
    octets = message("large", "word " * 1000)
    (tmp_path / "file").write_bytes(octets)
    mapped = read_octets(Disk().open_file(str(tmp_path / "file")))
    assert not isinstance(mapped, bytes)
    assert mapped[:] == octets
    assert compute(mapped) == compute(octets)
    account.deliver(octets)
    account.fill()
    account.index_texts()
    assert tuple(computed(account)[0][1:]) == tuple(compute(octets).ready)
    assert account.filler.texts.find("large", Where.HEADER).contents


def test_the_background_gives_way_to_who_asks(account):
    account.deliver(*(message(f"number {number}") for number in range(3)))
    assert account.open().fill(1, 1) == 1
    assert account.filler.work() is True
    assert len(computed(account)) == 1
    account.clock.advance(2)
    account.filler.work()
    assert len(computed(account)) == 3


def test_work_is_done_step_by_step(account):
    account.deliver(*(message(f"number {number}") for number in range(5)))
    steps = 0
    while account.filler.work(2):
        steps += 1
    assert steps == 6
    assert len(computed(account)) == 5
    assert len(account.filler.texts.find("number", Where.HEADER).contents) == 5


def test_texts_are_indexed_in_batches(account):
    account.deliver(*(message(f"number {number:03}", "body") for number in range(12)))
    assert account.filler.index_some(5) == 5
    found = account.filler.texts.find("number 0", Where.HEADER)
    assert len(found.contents) == 5
    assert account.filler.index_some(100) == 7
    assert account.filler.index_some(100) == 0
    assert len(account.filler.texts.find("number", Where.HEADER).contents) == 12
    assert len(account.filler.texts.find("body", Where.BODY).contents) == 12


def test_a_text_that_is_too_long_or_cannot_be_read_is_partial(account, monkeypatch, tmp_path):
    monkeypatch.setattr(filling, "MAX_INDEXED", 50)
    box = account.deliver(message("a", "x" * 100), message("b"), message("c"))
    paths = list(box.rows(None, ("path", "content")))
    (tmp_path / "accounts/alice" / paths[2][0]).unlink()
    account.index_texts()
    assert account.filler.texts.find("zzz", Where.BOTH).partial == {paths[0][1], paths[2][1]}


def test_texts_of_an_older_index_do_not_count(account, tmp_path):
    account.deliver(*(message(f"old {number}") for number in range(3)))
    account.index_texts()
    account.readers.close()
    for path in (tmp_path / "accounts/alice").glob("index.sqlite3*"):
        path.unlink()
    again = Account(tmp_path)
    again.count = 10
    again.deliver(message("new one"))
    assert again.filler.texts.find("old", Where.HEADER).covered == 0
    again.index_texts()
    assert len(again.filler.texts.find("old", Where.HEADER).contents) == 3
    assert len(again.filler.texts.find("new one", Where.HEADER).contents) == 1
    again.readers.close()


def test_a_worn_text_index_begins_anew(account, monkeypatch):
    monkeypatch.setattr("mailsrv.store.text_index._WORN_MESSAGES", 0)
    account.deliver(*(message(f"{number}") for number in range(6)))
    account.index_texts()
    account.box.store_flags(NumberSet([(1, 4)]), Operation.ADD, DELETED)
    account.box.expunge()
    assert account.filler.index_some() == 0
    assert account.filler.texts.covered() == 0
    account.index_texts()
    assert not account.filler.texts.is_worn(2)


def test_progress_goes_with_the_index(account):
    other = Account(account.path / "other")
    other.open()
    assert other.filler.fill() == 0
    assert other.index in filling._PROGRESS
    gone = weakref.ref(other.index)
    other.readers.close()
    del other
    gc.collect()
    assert gone() is None
