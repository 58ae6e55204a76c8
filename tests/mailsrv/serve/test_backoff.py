from mailsrv.serve.backoff import CALM_SECONDS, FIRST_SECONDS, LONGEST_SECONDS, Backoff
from tests.fakes.clock import FakeClock


def test_waits_grow_and_have_an_end():
    clock = FakeClock()
    backoff = Backoff(clock)
    waits = [backoff.died(before_ready=False) for _ in range(20)]
    assert waits[:4] == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert waits[-1] == LONGEST_SECONDS
    assert waits == sorted(waits)


def test_a_death_before_ready_counts_double():
    one, two = Backoff(FakeClock()), Backoff(FakeClock())
    one.died(before_ready=False)
    assert one.died(before_ready=False) == two.died(before_ready=True)


def test_a_calm_time_forgives():
    clock = FakeClock()
    backoff = Backoff(clock)
    for _ in range(20):
        backoff.died(before_ready=True)
    clock.advance(CALM_SECONDS)
    assert backoff.died(before_ready=False) == LONGEST_SECONDS  # the wait itself is no calm time
    clock.advance(CALM_SECONDS + LONGEST_SECONDS + 1)
    assert backoff.died(before_ready=False) == FIRST_SECONDS
