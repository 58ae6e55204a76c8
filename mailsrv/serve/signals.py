"""Signals as octets in a socket: a handler does nothing, the loop reads what came, in order.

Diagnostics: raises nothing.
"""

import signal
import socket
from collections.abc import Iterable

_RECEIVE_OCTETS = 4096


class Signals:
    """The signals of this process, to be waited for like a connection; one object per process."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self.socket, self._writer = socket.socketpair()
        self.socket.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._numbers = tuple(numbers)
        for number in self._numbers:
            # A handler must exist, or the system's own action would be taken; the wakeup socket tells the loop.
            signal.signal(number, lambda _number, _frame: None)

    def take(self) -> list[signal.Signals]:
        """What came since the last call."""
        try:
            return [signal.Signals(number) for number in self.socket.recv(_RECEIVE_OCTETS)]
        except BlockingIOError:
            return []

    def forget(self, then: signal.Handlers = signal.SIG_DFL) -> None:
        """In a child: back to the system's own actions; or at the end: ignore them, all is done."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, then)
        self.socket.close()
        self._writer.close()
