"""IDs: sortable, never twice, and their time comes out again."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import GrammarError
from mailsrv.spool import queueid
from mailsrv.spool.queueid import ALPHABET, QueueIds, child, is_id, time_of

from tests.fakes.clock import FakeClock
from tests.house.source import TOP

END = 52**9 / 1e6  # in 2058


@given(st.floats(0, END - 1), st.integers(0, 200))
def test_the_time_comes_out_again(now, slot):
    identifier = QueueIds(FakeClock(now), slot).new()
    assert len(identifier) == 11
    assert abs(time_of(identifier) - now) < 2e-6
    assert identifier[9] == ALPHABET[slot % 52]


@given(st.lists(st.floats(1, END - 1), min_size=2, max_size=10))
def test_they_sort_as_times_do(times):
    identifiers = [QueueIds(FakeClock(now), 0).new()[:9] for now in sorted(times)]
    assert identifiers == sorted(identifiers)


def test_no_vowels():
    assert len(set(ALPHABET)) == 52
    assert not set(ALPHABET) & set("aeiouAEIOU")
    assert list(ALPHABET) == sorted(ALPHABET)


def test_greater_than_all_before_even_when_the_clock_goes_back():
    clock = FakeClock()
    ids = QueueIds(clock, 1)
    made = []
    for step in (0, 0, 5, -3600, 0):
        clock.advance(step)
        made.append(ids.new()[:9])
    assert made == sorted(set(made))


def test_threads_never_get_the_same_one():
    ids = QueueIds(FakeClock(), 0)
    made = [[] for _ in range(4)]

    def work(mine):
        for _ in range(500):
            mine.append(ids.new()[:9])

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({identifier for mine in made for identifier in mine}) == 2000


def test_processes_differ_by_their_slot(monkeypatch):
    monkeypatch.setattr(queueid.entropy, "below", lambda bound: 0)
    clock = FakeClock()
    assert len({QueueIds(clock, slot).new() for slot in range(52)}) == 52


def test_messages_of_a_session():
    session = QueueIds(FakeClock(), 0).new()
    children = [child(session, number) for number in range(3000)]
    assert len(set(children)) == 3000
    assert children[0] == session + "0"
    assert children[51] == session + "z"
    assert children[52] == session + "10"
    assert {time_of(identifier) for identifier in children} == {time_of(session)}
    assert all(map(is_id, children))


@pytest.mark.parametrize("text", ["", "abc", "../../etc/pw", "dZJjly8m63W/", "dZJjly8m63A", "dZJjly8m63W0\n", "0" * 25])
def test_what_is_no_id(text):
    assert not is_id(text)
    with pytest.raises(GrammarError):
        time_of(text)


def test_the_page_names_the_same_alphabet():
    assert ALPHABET in (TOP / "man/mailsrv-spool.5").read_text(encoding="utf-8")
