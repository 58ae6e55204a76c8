from mailsrv.serve.timers import Timers
from tests.fakes.clock import FakeClock


def test_what_is_due_runs_in_order():
    clock, done = FakeClock(), []
    timers = Timers(clock)
    assert timers.wait_seconds() is None
    for name, seconds in (("late", 5), ("first", 1), ("second", 1)):
        timers.after(seconds, lambda name=name: done.append(name))
    assert timers.wait_seconds() == 1
    timers.run()
    assert done == []
    clock.advance(2)
    assert timers.wait_seconds() == 0
    timers.run()
    assert done == ["first", "second"]
    assert timers.wait_seconds() == 3


def test_one_that_sets_itself_again_runs_once_a_turn():
    clock, done = FakeClock(), []
    timers = Timers(clock)

    def again():
        done.append(clock.now())
        timers.after(1, again)

    timers.after(0, again)
    timers.run()
    timers.run()
    assert len(done) == 1
