"""Budgets of searches."""

import pytest

from mailsrv.store.refusals import TooMany
from mailsrv.store.search_budget import Budget, SearchLimit
from tests.fakes.clock import FakeClock


def test_files_run_out():
    budget = Budget(FakeClock(), files=10)
    budget.spend(10)
    budget.spend()
    with pytest.raises(SearchLimit):
        budget.spend(1)


def test_time_runs_out():
    clock = FakeClock()
    budget = Budget(clock, seconds=5.0)
    clock.advance(5.0)
    budget.spend(1)
    clock.advance(0.1)
    with pytest.raises(SearchLimit, match="fewer messages"):
        budget.spend()


def test_a_limit_is_answered_as_one():
    assert issubclass(SearchLimit, TooMany)
