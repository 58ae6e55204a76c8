"""One pass: what is taken, what is known, what follows, and what a crash or a full account leaves behind."""

from dataclasses import replace

import pytest

from mailsrv.cli import import_pass
from mailsrv.cli.import_journal import Journals
from mailsrv.cli.import_pass import Pass, Tally, Tellers
from mailsrv.cli.import_source import Item, Origin, SourceLost, Unreadable
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.layout import Layout
from mailsrv.store.refusals import OverQuota
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation, Usage
from mailsrv.system.disk import Disk
from tests.mailsrv.store.ground import Ground

ORIGIN = Origin("INBOX", "x")
DATE = 1_500_000_000


class Elsewhere:
    """A source of texts by key, with flags; `end` is raised behind them."""

    kind = "maildir"
    identity = "x"

    def __init__(self, keyed=True):
        self.texts = {}
        self.flags = {}
        self.keyed = keyed
        self.end = None

    def add(self, *keys, text="Subject: {}\n\nbody\n", flags=()):
        for key in keys:
            self.texts[key] = text.format(key).encode() if text is not None else None
            self.flags[key] = frozenset(flags)

    def mailboxes(self):
        return [ORIGIN]

    def close(self):
        pass

    def items(self, origin, known):
        for key, text in self.texts.items():
            pieces = None if self.keyed and key in known else self._read(text)
            yield Item(key if self.keyed else "", key, self.flags[key], DATE, pieces)
        if self.end is not None:
            raise self.end

    def _read(self, text):
        if text is None:
            raise Unreadable("is damaged")
        half = len(text) // 2
        yield text[:half]
        yield text[half:]


class Elsewhere2(Elsewhere):
    """Read by octets, as mbox files are."""

    def __init__(self):
        super().__init__(keyed=False)


class Bench:
    def __init__(self, tmp_path, limits=None):
        self.ground = Ground(tmp_path, limits)
        self.failures = []

    def take(self, source, name="INBOX"):
        tally = Tally(name, name)
        box = self.ground.open(name)
        with Journals(Disk(), Layout(self.ground.root), "maildir", "x") as journals:
            journal = journals.open(name, f"{box.mailboxid} {box.uidvalidity}")
            tellers = Tellers(lambda: None, lambda *words: self.failures.append(words))
            try:
                Pass(self.ground.reader, box, journal, tellers, tally).run(source, ORIGIN)
            finally:
                self.tally = tally
        return tally

    def texts(self, name="INBOX"):
        box = self.ground.open(name)
        found = []
        for uid in box.view()[0]:
            with box.open_file(uid) as file:
                found.append(file.read_at(0, file.size))
        return found

    def flags(self):
        return [flags for (flags,) in self.ground.open().rows(None, ("flags",))]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("kind", [Elsewhere, Elsewhere2])
def test_once_and_then_what_is_new(bench, kind):
    source = kind()
    source.add("a", "b", flags=["\\Seen", "work"])
    tally = bench.take(source)
    assert (tally.there, tally.taken, tally.known, tally.octets) == (2, 2, 0, 40)
    assert bench.texts() == [b"Subject: a\r\n\r\nbody\r\n", b"Subject: b\r\n\r\nbody\r\n"]
    box = bench.ground.open()
    [(mask, name)] = box.keywords()
    assert (name, bench.flags()) == ("work", [SEEN | mask] * 2)
    assert [date for (date,) in box.rows(None, ("received",))] == [DATE, DATE]
    source.add("c")
    again = bench.take(source)
    assert (again.there, again.taken, again.known, again.differing) == (3, 1, 2, 0)
    assert len(bench.texts()) == 3


def test_batches(bench, monkeypatch):
    monkeypatch.setattr(import_pass, "_BATCH", 3)
    source = Elsewhere()
    source.add(*"abcdefgh")
    assert bench.take(source).taken == 8
    monkeypatch.setattr(import_pass, "_BATCH_OCTETS", 30)
    source.add(*"ijk")
    assert bench.take(source).taken == 3
    assert bench.take(source).known == len(bench.texts()) == 11


def test_flags_follow_where_nobody_has_changed_them(bench):
    source = Elsewhere()
    source.add("a", "b", "c", flags=["\\Seen"])
    bench.take(source)
    bench.ground.open().store_flags(NumberSet([(2, 2)]), Operation.ADD, FLAGGED)
    source.add("a", "b", flags=["\\Seen", "\\Answered"])
    source.add("c", flags=[])
    tally = bench.take(source)
    assert (tally.updated, tally.conflicts) == (2, 1)
    assert bench.flags() == [3, SEEN | FLAGGED, 0]
    assert (bench.take(source).updated, bench.tally.conflicts) == (0, 1)
    bench.ground.open().store_flags(NumberSet([(2, 2)]), Operation.REPLACE, 3)
    assert bench.take(source).conflicts == 0


def test_what_differs_is_told_and_left_alone(bench):
    source = Elsewhere()
    source.add("a", "b", "c")
    bench.take(source)
    box = bench.ground.open()
    box.store_flags(NumberSet([(2, 2)]), Operation.ADD, DELETED)
    box.expunge()
    del source.texts["c"]
    tally = bench.take(source)
    assert (tally.taken, tally.known, tally.gone, tally.missing, tally.differing) == (0, 2, 1, 1, 2)
    assert len(bench.texts()) == 2


@pytest.mark.parametrize("kind", [Elsewhere, Elsewhere2])
def test_a_crash_between_commit_and_memory_makes_no_second_copy(bench, kind, monkeypatch):
    source = kind()
    source.add("a", "b")
    source.add("c", "d", text="twice\n")
    monkeypatch.setattr("mailsrv.cli.import_journal.Journal.note", lambda self, entries: list(entries))
    bench.take(source)
    monkeypatch.undo()
    tally = bench.take(source)
    assert (tally.taken, tally.known, len(bench.texts())) == (0, 4, 4)
    assert bench.take(source).known == 4


def test_a_source_that_is_lost_leaves_what_was_taken(bench):
    source = Elsewhere()
    source.add("a", "b")
    source.end = SourceLost("gone")
    with pytest.raises(SourceLost):
        bench.take(source)
    assert (bench.tally.taken, len(bench.texts())) == (2, 2)
    source.end = None
    source.add("c")
    assert (bench.take(source).taken, len(bench.texts())) == (1, 3)


def test_messages_that_cannot_be_read(bench):
    source = Elsewhere()
    source.add("a", "d")
    source.add("b", text=None)
    source.add("c", text="")
    tally = bench.take(source)
    assert (tally.taken, tally.failed) == (2, 2)
    assert bench.failures == [("INBOX", "b", "is damaged"), ("INBOX", "c", "there is nothing in it")]
    source.add("b", text="whole again")
    assert bench.take(source).taken == 1


@pytest.mark.parametrize(("limits", "most"), [(Usage(octets=50), 2), (Usage(messages=3), 3)])
def test_a_full_account(tmp_path, limits, most):
    bench = Bench(tmp_path, limits)
    source = Elsewhere()
    source.add(*"abcde")
    with pytest.raises(OverQuota, match="INBOX: .: the account has no room"):
        bench.take(source)
    assert bench.tally.taken == len(bench.texts()) == most


def test_octets_that_imap_cannot_send(bench):
    source = Elsewhere()
    source.add("a", text="S: x\n\n\0\r\n\r")
    bench.take(source)
    assert bench.texts() == [b"S: x\r\n\r\n\x80\r\n\r"]


def test_more_keywords_than_a_mailbox_has(bench):
    source = Elsewhere()
    source.add("a", flags=[f"k{number:02}" for number in range(60)])
    source.add("b", flags=["\\Seen"])
    bench.take(source)
    assert len(bench.ground.open().keywords()) == 55
    assert bench.take(source).updated == 0


def test_a_mailbox_that_was_deleted_is_filled_again(bench):
    bench.ground.reader.create("A")
    source = Elsewhere()
    source.add("a")
    bench.take(source, "A")
    bench.ground.reader.delete("A")
    bench.ground.reader.create("A")
    assert (bench.take(source, "A").taken, len(bench.texts("A"))) == (1, 1)


def test_a_tally_is_a_value():
    assert replace(Tally("a", "b"), gone=1, missing=2, conflicts=3).differing == 6
