"""Views against a plain model: a list of UIDs, and what each client has been told, at random."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.imap.answers import Refusal
from mailsrv.imap.numbers import SAVED, NumberSet, SequenceSet
from mailsrv.imapd.news import make_news
from mailsrv.imapd.view import View
from mailsrv.store.keywords import Table
from mailsrv.store.values import EVERY_FLAG, Changes


class Box:
    """A mailbox of flag words by UID, with a log of what changed when."""

    settable = EVERY_FLAG

    def __init__(self, count: int = 0) -> None:
        self.words: dict[int, tuple[int, int]] = {}
        self.gone: dict[int, int] = {}
        self.modseq = 1
        self.uidnext = 1
        for _ in range(count):
            self.add()

    def add(self) -> None:
        self.modseq += 1
        self.words[self.uidnext] = (0, self.modseq)
        self.uidnext += 1

    def flag(self, uid: int, word: int) -> None:
        self.modseq += 1
        self.words[uid] = (word, self.modseq)

    def remove(self, *uids: int) -> None:
        self.modseq += 1
        for uid in uids:
            del self.words[uid]
            self.gone[uid] = self.modseq

    def view(self):
        return array("I", sorted(self.words)), self.modseq, self.uidnext

    def changes(self, since: int) -> Changes:
        flags = [(uid, word, at) for uid, (word, at) in sorted(self.words.items()) if at > since]
        vanished = NumberSet.of(uid for uid, at in self.gone.items() if at > since)
        return Changes(self.modseq, self.uidnext, flags, vanished)

    def keyword_table(self):
        return Table(0, [])

    def share(self, uids):
        return uids


def parse(text: str) -> SequenceSet:
    return SequenceSet.parse(text.encode())


def make(count: int) -> tuple[Box, View]:
    box = Box(count)
    view = View(box)
    view.flags.changed = False
    return box, view


def news(view: View, renumber: bool = True, *enabled: str) -> list[str]:
    view.sync()
    return make_news(view, frozenset(enabled), renumber).decode().split("\r\n")[:-1]


def test_numbers_and_uids() -> None:
    box, view = make(5)
    box.remove(2, 3)
    assert news(view) == ["* 3 EXPUNGE", "* 2 EXPUNGE"]
    assert list(view.uids) == [1, 4, 5]
    assert [view.number_of(uid) for uid in range(7)] == [0, 1, 0, 0, 2, 3, 0]
    assert list(view.uids_of(parse("2:*"), uid=False)) == [4, 5]
    assert list(view.uids_of(parse("*"), uid=False)) == [5]
    assert list(view.uids_of(parse("1:*"), uid=False)) == [1, 4, 5]
    assert list(view.uids_of(parse("3,1"), uid=False)) == [1, 5]
    assert view.uids_of(parse("4:*"), uid=True).slices(view.uids) == [(1, 3)]
    assert view.uids_of(parse("99:*"), uid=True).slices(view.uids) == [(2, 3)]
    assert list(view.numbers_of(NumberSet([(2, 4)]))) == [2]
    view.saved = NumberSet.of([1, 5])
    assert view.uids_of(SAVED, uid=False) == view.saved


@pytest.mark.parametrize("text", ["4", "1:4", "0", "2:9"])
def test_numbers_that_nobody_told(text: str) -> None:
    _, view = make(3)
    if text == "0":
        view = make(0)[1]
        text = "*"
    with pytest.raises(Refusal) as raised:
        view.uids_of(parse(text), uid=False)
    assert raised.value.status.word.name == "BAD"


def test_an_empty_mailbox_has_no_star() -> None:
    assert not make(0)[1].uids_of(parse("1:*"), uid=True)


def test_uids_that_were_not_told_are_not_named() -> None:
    box, view = make(2)
    box.add()
    view.sync()
    assert list(view.uids_of(parse("1:*"), uid=True)) == [1, 2]
    assert list(view.uids_of(parse("1:99"), uid=True)) == [1, 2]


def test_news_wait_until_they_may_be_told() -> None:
    box, view = make(3)
    box.remove(1)
    box.add()
    box.flag(3, 1)
    assert news(view, False) == ["* 4 EXISTS", "* 3 FETCH (UID 3 FLAGS (\\Seen))"]
    assert news(view, False) == []
    assert view.gone_modseq == 4
    assert news(view, True) == ["* 1 EXPUNGE"]
    assert list(view.uids) == [2, 3, 4]


def test_a_silent_store_is_told_only_where_others_had_changed_the_message() -> None:
    box, view = make(2)
    box.flag(1, 4)
    view.sync()
    box.flag(1, 5)
    at = box.modseq
    box.words[2] = (1, at)
    view.sync(silent=at)
    assert news(view) == ["* 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged))"]


def test_what_came_and_went_is_not_told() -> None:
    box, view = make(1)
    box.add()
    view.sync()
    box.remove(2)
    assert news(view) == []
    box.add()
    assert news(view) == ["* 2 EXISTS"]
    assert list(view.uids) == [1, 3]


def test_flags_that_were_told_are_forgotten() -> None:
    box, view = make(2)
    box.flag(1, 1)
    box.flag(2, 1)
    view.sync()
    view.forget_changes(NumberSet.of([1]))
    assert news(view) == ["* 2 FETCH (UID 2 FLAGS (\\Seen))"]


def test_numbers_of_many_messages() -> None:
    box, view = make(6)
    box.remove(2)
    news(view)
    assert list(view.numbers_at([3, 4, 5])) == [2, 3, 4]
    assert list(view.numbers_at([1, 2, 3])) == [1, 0, 2]
    assert list(view.numbers_at([1, 3, 6])) == [1, 2, 5]
    assert list(view.numbers_at([6, 7])) == [5, 0] and list(view.numbers_at([])) == []
    view.changed = {2: (1, 9), 3: (1, 9)}
    assert view.take_changes() == ([3], (1,), (9,)) and view.take_changes() == ([], (), ())


def test_saved_results_lose_what_is_gone() -> None:
    box, view = make(3)
    view.saved = NumberSet.of([1, 2])
    box.remove(2)
    news(view)
    assert list(view.saved) == [1]


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "flag", "remove", "tell", "tell all", "sync"]), st.integers(0, 9)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 6), STEPS, st.sampled_from([(), ("QRESYNC", "CONDSTORE")]))
def test_a_client_that_obeys_the_news_knows_the_mailbox(count: int, steps, enabled) -> None:
    """The client keeps a list of UIDs and flags by nothing but what it hears."""
    box, view = make(count)
    known: list[int] = list(view.uids)
    flags = dict.fromkeys(known, 0)

    def hear(lines: list[str]) -> None:
        for line in lines:
            words = line.split(" ")
            if words[1] == "VANISHED":
                for uid in SequenceSet.parse(words[2].encode()).resolve(0):
                    known.remove(uid)
            elif words[2] == "EXPUNGE":
                del known[int(words[1]) - 1]
            elif words[2] == "EXISTS":
                assert int(words[1]) > len(known)
                known.extend(view.uids[len(known) :])  # as it would fetch them
                for uid in known:
                    flags.setdefault(uid, 0)
            else:
                number, uid = int(words[1]), int(words[4])
                assert known[number - 1] == uid
                flags[uid] = 1 if "\\Seen" in line else 0

    for step, at in steps:
        uids = sorted(box.words)
        if step == "add":
            box.add()
        elif step == "flag" and uids:
            uid = uids[at % len(uids)]
            box.flag(uid, 1 - box.words[uid][0])
        elif step == "remove" and uids:
            box.remove(uids[at % len(uids)])
        elif step == "sync":
            view.sync()
        elif step.startswith("tell"):
            before = list(known)
            hear(news(view, step == "tell all", *enabled))
            assert list(view.uids) == known
            if step == "tell":
                assert known[: len(before)] == before
    hear(news(view, True, *enabled))
    assert known == sorted(box.words) == list(view.uids)
    # A message that came with flags is told as such only when they change: a client fetches what is new.
    arrived = {uid for uid in known if uid > count}
    assert {uid: flags[uid] for uid in known if uid not in arrived} == {
        uid: box.words[uid][0] for uid in known if uid not in arrived
    }
    assert not view.gone
    assert not view.arrived
