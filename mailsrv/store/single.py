"""One look instead of many: threads that want the same thing looked at, at the same time, share what one of them sees.

A delivery wakes every session that idles on a mailbox; only a look that begins afterwards is of any use to them, and
one is enough for all. It knows nothing of what is looked at.

Diagnostics: raises what the look raises, in the thread that looks; the next one looks then.
"""

import threading
from collections.abc import Callable, Hashable
from itertools import count

_STRIPES = 16  # locks; things that share one by chance wait for each other


class Single:
    """For all threads of a process."""

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self._moments = count(1)
        self._begun: dict[Hashable, int] = {}  # when the last look that came to its end had begun

    def look(self, thing: Hashable, act: Callable[[], bool]) -> bool:
        """What `act` gives; False, without a call, where another thread has looked at the same thing and had not begun
        before this call."""
        asked = next(self._moments)
        with self._locks[hash(thing) % _STRIPES]:
            if self._begun.get(thing, 0) > asked:
                return False
            begun = next(self._moments)
            found = act()
            self._begun[thing] = begun
            return found
