import time

from mailsrv.system.clock import SystemClock


def test_now_is_the_time_of_the_system():
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


def test_monotonic_never_goes_back():
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)
    assert time.monotonic() - readings[0] < 60
