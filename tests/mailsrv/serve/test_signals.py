import os
import select
import signal

from mailsrv.serve.signals import Signals


def test_signals_are_read_in_order_and_nothing_else_happens():
    before = signal.getsignal(signal.SIGUSR1)
    signals = Signals([signal.SIGUSR1, signal.SIGUSR2])
    try:
        assert signals.take() == []
        os.kill(os.getpid(), signal.SIGUSR2)
        assert select.select([signals.socket], [], [], 5)[0]
        assert signals.take() == [signal.SIGUSR2]
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert select.select([signals.socket], [], [], 5)[0]
        assert set(signals.take()) == {signal.SIGUSR1, signal.SIGUSR2}
    finally:
        signals.forget(signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGUSR1)  # ignored now
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, before)
