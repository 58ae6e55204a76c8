import threading

import pytest

from mailsrv.system.dns_cache import MAX_ENTRY_OCTETS, MEAN_ENTRY_OCTETS, Cache, Entry, Flights
from mailsrv.system.dns_values import Answer, BudgetSpent, DnsFailure, Status
from tests.fakes.clock import FakeClock

QUESTION = ("example.org", "A")
ANSWER = Answer(Status.FOUND, ("192.0.2.1",), False, 0.0, "example.org")


def entry(until, octets=100, result=ANSWER):
    return Entry(result, until, octets)


def test_an_entry_holds_until_its_time():
    clock = FakeClock(0.0)
    cache = Cache(10, clock)
    assert cache.find(QUESTION) is None
    cache.keep(QUESTION, entry(60.0))
    clock.advance(59.9)
    assert cache.find(QUESTION) is ANSWER
    assert cache.find(("example.org", "AAAA")) is None
    clock.advance(0.1)
    assert cache.find(QUESTION) is None
    assert len(cache) == 0


def test_a_failure_holds_too():
    clock = FakeClock(0.0)
    cache = Cache(10, clock)
    cache.keep(QUESTION, entry(5.0, result="example.org A: silence"))
    with pytest.raises(DnsFailure, match="silence"):
        cache.find(QUESTION)
    clock.advance(5)
    assert cache.find(QUESTION) is None


def test_what_was_used_longest_ago_goes_first():
    cache = Cache(3, FakeClock(0.0))
    for name in "abc":
        cache.keep((name, "A"), entry(60.0))
    assert cache.find(("a", "A"))
    cache.keep(("d", "A"), entry(60.0))
    assert [name for name in "abcd" if cache.find((name, "A"))] == ["a", "c", "d"]


def test_octets_are_bounded_and_counted_once():
    cache = Cache(32, FakeClock(0.0))
    for number in range(64):
        cache.keep((str(number), "A"), entry(60.0, octets=8 * MEAN_ENTRY_OCTETS))
    assert len(cache) == 4
    for _ in range(9):
        cache.keep(("63", "A"), entry(60.0, octets=8 * MEAN_ENTRY_OCTETS))
    assert len(cache) == 4


def test_what_is_large_or_over_is_not_kept_and_replaces_what_was():
    cache = Cache(10, FakeClock(0.0))
    for bad in (entry(60.0, octets=MAX_ENTRY_OCTETS + 1), entry(0.0)):
        cache.keep(QUESTION, entry(60.0))
        cache.keep(QUESTION, bad)
        assert cache.find(QUESTION) is None
        assert len(cache) == 0


def test_a_cache_of_nothing():
    cache = Cache(0, FakeClock(0.0))
    cache.keep(QUESTION, entry(60.0))
    assert cache.find(QUESTION) is None


class Asker:
    """An `ask` that waits for the test's word and counts."""

    def __init__(self, result):
        self.result = result
        self.calls = 0
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, seconds):
        self.calls += 1
        self.asked.set()
        assert self.go.wait(10)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def run(flights, ask, results, seconds=10.0):
    def target():
        try:
            results.append(flights.share(QUESTION, seconds, ask))
        except DnsFailure as failure:
            results.append(failure)

    thread = threading.Thread(target=target)
    thread.start()
    return thread


def finish(ask, leader, followers):
    ask.go.set()
    for thread in (leader, *followers):
        thread.join(10)
        assert not thread.is_alive()


def lead_and_follow(result):
    """Results of one asking thread and five that came while it asked, all of whom share `result`."""
    flights = Flights(FakeClock(0.0))
    ask = Asker(result)
    results = []
    leader = run(flights, ask, results)
    assert ask.asked.wait(10)
    # They wait for the flight, or come when it is over and then ask themselves: the count tells which.
    others = Asker(AssertionError("the followers must not ask"))
    followers = []
    waiting = Waiting(flights)
    for _ in range(5):
        followers.append(run(flights, others, results))
    waiting.until(5)
    finish(ask, leader, followers)
    return results, ask.calls, others.calls


class Waiting:
    """Knows how many threads wait for the one flight there is."""

    def __init__(self, flights):
        (flight,) = flights._flights.values()
        self._semaphore = threading.Semaphore(0)
        wait = flight.done.wait
        flight.done = Done(wait, flight.done.set, self._semaphore)

    def until(self, count):
        for _ in range(count):
            assert self._semaphore.acquire(timeout=10)


class Done:
    def __init__(self, wait, set_, semaphore):
        self._wait = wait
        self.set = set_
        self._semaphore = semaphore

    def wait(self, seconds):
        self._semaphore.release()
        return self._wait(seconds)


def test_many_threads_share_one_answer():
    results, asked, others = lead_and_follow(ANSWER)
    assert results == [ANSWER] * 6
    assert (asked, others) == (1, 0)


def test_many_threads_share_one_failure():
    results, asked, others = lead_and_follow(DnsFailure("example.org A: silence"))
    assert [str(result) for result in results] == ["example.org A: silence"] * 6
    assert len(set(map(id, results))) == 6, "an exception object belongs to one thread: it carries its traceback"
    assert (asked, others) == (1, 0)


def test_one_threads_spent_budget_is_not_the_others_failure():
    flights = Flights(FakeClock(0.0))
    poor = Asker(BudgetSpent("the budget"))
    rich = Asker(ANSWER)
    rich.go.set()
    poor_results, rich_results = [], []
    leader = run(flights, poor, poor_results)
    assert poor.asked.wait(10)
    waiting = Waiting(flights)
    follower = run(flights, rich, rich_results)
    waiting.until(1)
    finish(poor, leader, [follower])
    assert isinstance(poor_results[0], BudgetSpent)
    assert rich_results == [ANSWER]
    assert rich.calls == 1


def test_a_follower_does_not_wait_longer_than_its_time():
    flights = Flights(FakeClock(0.0))
    ask = Asker(ANSWER)
    leader = run(flights, ask, [])
    assert ask.asked.wait(10)
    for seconds in (0.01, 0.0):
        with pytest.raises(DnsFailure, match="example.org A: no answer in time"):
            flights.share(QUESTION, seconds, ask)
    finish(ask, leader, [])


def test_a_bug_in_the_asking_thread_leaves_nobody_waiting():
    flights = Flights(FakeClock(0.0))

    def broken(seconds):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        flights.share(QUESTION, 1.0, broken)
    assert flights.share(QUESTION, 1.0, lambda seconds: ANSWER) is ANSWER
