import threading

import pytest

from mailsrv.system.dns_values import Budget, BudgetSpent, DnsFailure
from tests.fakes.clock import FakeClock


def test_lookups_are_counted():
    budget = Budget(2, 20, FakeClock())
    for _ in range(2):
        with budget.spend("example.org A") as seconds:
            assert seconds == 20
    with pytest.raises(BudgetSpent, match="example.org A: the budget of 2 DNS lookups is used up"):
        with budget.spend("example.org A"):
            pass
    assert issubclass(BudgetSpent, DnsFailure)


def test_only_time_inside_lookups_counts():
    clock = FakeClock()
    budget = Budget(9, 20, clock)
    with budget.spend("a"):
        clock.advance(5)
    clock.advance(3600)
    with budget.spend("b") as seconds:
        assert seconds == 15
        clock.advance(16)
    with pytest.raises(BudgetSpent, match="c: the budget of 20 seconds of DNS lookups is used up"):
        with budget.spend("c"):
            pass
    assert budget.lookups_left == 7


def test_time_of_a_failing_lookup_counts_too():
    clock = FakeClock()
    budget = Budget(9, 20, clock)
    with pytest.raises(DnsFailure, match="silence"):
        with budget.spend("a"):
            clock.advance(7)
            raise DnsFailure("silence")
    assert budget.seconds_left == 13


def test_threads_share_a_budget():
    budget = Budget(50, 20, FakeClock())
    taken = []

    def take():
        for _ in range(20):
            try:
                with budget.spend("a"):
                    taken.append(1)
            except BudgetSpent:
                pass

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 50
