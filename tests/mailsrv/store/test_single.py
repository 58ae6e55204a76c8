"""Looks that are shared: none is left out that somebody needs, and few are made."""

import threading

import pytest

from mailsrv.store.single import Single


def test_each_looks_for_itself_one_after_the_other() -> None:
    single, looks = Single(), []
    for number in range(3):
        assert single.look("box", lambda number=number: looks.append(number) or True)
    assert looks == [0, 1, 2]
    assert not single.look("box", lambda: False)


def test_those_who_wait_share_one_look() -> None:
    single, looks, results = Single(), [], []
    entered, go = threading.Event(), threading.Event()

    def first() -> bool:
        looks.append("first")
        entered.set()
        assert go.wait(10)
        return True

    asking = threading.Semaphore(0)

    class Moments:
        """The clock of asking: a thread that has its moment waits for the lock next."""

        def __init__(self, real) -> None:
            self.real = real

        def __next__(self) -> int:
            moment = next(self.real)
            asking.release()
            return moment

    single._moments = Moments(single._moments)
    threads = [threading.Thread(target=lambda: results.append(single.look("box", first)))]
    threads[0].start()
    assert entered.wait(10)
    for _ in range(2):  # the first's two moments
        assert asking.acquire(timeout=10)

    def another() -> None:
        results.append(single.look("box", lambda: looks.append(1) or True))

    for _ in range(20):
        threads.append(threading.Thread(target=another))
        threads[-1].start()
    for _ in range(20):
        assert asking.acquire(timeout=10)
    go.set()
    for thread in threads:
        thread.join(10)
    # What had begun before they asked is of no use to them; one more is enough for all.
    assert looks == ["first", 1]
    assert sorted(results) == [False] * 19 + [True] * 2


def test_a_look_that_fails_counts_for_nobody() -> None:
    single = Single()

    def fail() -> bool:
        raise OSError

    with pytest.raises(OSError):
        single.look("box", fail)
    assert single.look("box", lambda: True)


def test_other_things_have_other_looks() -> None:
    single = Single()
    assert single.look((1, 2), lambda: True) and single.look((1, 3), lambda: True)
