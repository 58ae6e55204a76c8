"""Times: of the next attempt, of giving up, of the delay report, and of a next hop that fails."""

import pytest

from mailsrv.config.schema import QueueConfig
from mailsrv.deliver.schedule import (
    MAX_BACKOFF_SECONDS,
    STALE_SECONDS,
    Backoff,
    is_delay_report_due,
    is_expired,
    next_attempt,
)
from tests.fakes.entropy import FakeEntropy

QUEUE = QueueConfig(jitter_percent=0)
NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def middle(bound: int) -> int:
    return bound // 2


def test_waits_grow_to_the_last_one_which_repeats() -> None:
    waits = [next_attempt(attempts, NOW, NOW, QUEUE, middle) - NOW for attempts in range(1, 10)]
    assert waits == [300, 600, 1200, 2400, 4800, 9600, 14400, 14400, 14400]


def test_by_default_a_message_is_tried_for_five_days_and_a_last_time_at_their_end() -> None:
    queue, below = QueueConfig(), FakeEntropy().below
    moment, attempts = NOW, 0
    while not is_expired(NOW, moment, queue):
        attempts += 1
        following = next_attempt(attempts, NOW, moment, queue, below)
        assert following > moment
        moment = following
    assert moment == NOW + 5 * 86400
    assert 30 < attempts < 45


def test_chance_spreads_attempts_evenly_around_the_wait() -> None:
    queue, below = QueueConfig(retry_seconds=[1000], jitter_percent=10), FakeEntropy().below
    waits = sorted(next_attempt(1, NOW, NOW, queue, below) - NOW for _ in range(400))
    assert 900 <= waits[0] < 905
    assert 1095 < waits[-1] <= 1100
    assert 990 < sum(waits) / len(waits) < 1010
    assert next_attempt(1, NOW, NOW, queue, lambda bound: 0) - NOW == pytest.approx(900)
    assert next_attempt(1, NOW, NOW, queue, lambda bound: bound - 1) - NOW == pytest.approx(1100)


def test_no_attempt_is_made_long_before_the_end_for_want_of_a_wait() -> None:
    queue = QueueConfig(retry_seconds=[3600], jitter_percent=0, give_up_seconds=5400)
    assert next_attempt(1, NOW, NOW, queue, middle) == NOW + 3600
    assert next_attempt(2, NOW, NOW + 3600, queue, middle) == NOW + 5400
    assert next_attempt(3, NOW, NOW + 6000, queue, middle) == NOW + 9600, "kept beyond its time, it waits as others do"


def test_expiry_counts_from_the_arrival() -> None:
    assert not is_expired(NOW, NOW + 431_999, QUEUE)
    assert is_expired(NOW, NOW + 432_000, QUEUE)
    assert not is_expired(NOW, NOW - 10, QUEUE), "a clock that was put back"


def test_the_delay_report() -> None:
    assert not is_delay_report_due(NOW, NOW + 14_399, QUEUE)
    assert is_delay_report_due(NOW, NOW + 14_400, QUEUE)
    assert not is_delay_report_due(NOW, NOW + 99_999, QueueConfig(delay_report_seconds=0))


def test_a_next_hop_that_works_is_never_left_alone() -> None:
    backoff = Backoff()
    assert (backoff.failures, backoff.seconds_left(NOW), backoff.is_probing) == (0, 0.0, False)
    assert backoff.explain(NOW) == ""


def test_a_next_hop_that_fails_is_left_alone_longer_each_time_and_half_an_hour_at_most() -> None:
    backoff, moment, waits = Backoff(), NOW, []
    for _ in range(6):
        until = backoff.failed("timed out", moment, QUEUE, middle)
        waits.append(backoff.seconds_left(moment))
        assert backoff.seconds_left(until) == 0.0
        assert backoff.is_probing
        moment = until
    assert waits == [300, 600, 1200, MAX_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS]
    assert backoff.failures == 6
    backoff.succeeded()
    assert (backoff.failures, backoff.seconds_left(moment), backoff.is_probing) == (0, 0.0, False)
    assert backoff.failed("again", moment, QUEUE, middle) == moment + 300, "success resets"


def test_failures_of_what_had_begun_before_do_not_lengthen_the_wait() -> None:
    backoff = Backoff()
    until = backoff.failed("one", NOW, QUEUE, middle)
    assert backoff.failed("two", NOW + 10, QUEUE, middle) == until
    assert (backoff.failures, backoff.reason) == (1, "one")


def test_a_clock_that_is_put_back_does_not_lengthen_the_wait() -> None:
    backoff = Backoff()
    backoff.failed("x", NOW, QUEUE, middle)
    assert backoff.seconds_left(NOW - 86400) == 300


def test_the_operator_may_not_want_to_wait() -> None:
    backoff = Backoff()
    backoff.failed("x", NOW, QUEUE, middle)
    backoff.release(NOW + 1)
    assert backoff.seconds_left(NOW + 1) == 0.0
    assert backoff.is_probing, "it is not known to work again"
    assert backoff.failed("y", NOW + 2, QUEUE, middle) == NOW + 2 + 600


def test_what_is_worth_remembering() -> None:
    backoff = Backoff()
    assert backoff.is_stale(NOW)
    backoff.failed("x", NOW, QUEUE, middle)
    assert not backoff.is_stale(NOW + STALE_SECONDS)
    assert backoff.is_stale(NOW + STALE_SECONDS + 1)


def test_why_not_now() -> None:
    backoff = Backoff()
    backoff.failed("connection refused", NOW, QUEUE, middle)
    assert backoff.explain(NOW + 1) == (
        "1 attempt has failed, the last at 2023-11-14 22:13:20Z (connection refused);"
        " it is not tried before 2023-11-14 22:18:20Z"
    )
    backoff.failed("timed out", NOW + 300, QUEUE, middle)
    assert backoff.explain(NOW + 900) == (
        "2 attempts in a row have failed since 2023-11-14 22:13:20Z, the last at 2023-11-14 22:18:20Z (timed out);"
        " it will be tried with the next message that is due"
    )
