"""Commands out, replies in: who waits for which reply, and how many commands may wait at once (RFC 2920).

Without PIPELINING one command is on its way at a time. With it, commands leave together, but never so many that both
sides could sit on full buffers, each waiting for the other to read (section 3.1).

Diagnostics: `step` raises ReplyFault for what is no reply; handlers raise it for a reply that cannot be there.
"""

from collections import deque
from collections.abc import Callable

from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_events import Phase
from mailsrv.smtp.client_replies import ReplyReader

# Commands on their way: their replies fit the smallest buffers of sockets in use (64 of 512 octets are 32 KiB).
WINDOW = 64

Handler = Callable[[Reply], None]


class Exchange:
    """The two directions of one connection."""

    __slots__ = ("_expected", "_output", "_unsent", "pipelining", "reader")

    def __init__(self) -> None:
        self.reader = ReplyReader()
        self.pipelining = False
        self._output: list[bytes] = []
        self._expected: deque[tuple[Phase, Handler]] = deque()
        self._unsent: deque[tuple[bytes, Phase, Handler]] = deque()

    @property
    def is_idle(self) -> bool:
        """True when nothing is on its way or waits to be sent."""
        return not self._expected and not self._unsent

    @property
    def phase(self) -> Phase:
        """What is waited for."""
        return self._expected[0][0] if self._expected else Phase.IDLE

    def put(self, command: bytes, phase: Phase, handler: Handler) -> None:
        """Send a command as soon as it may be sent; its reply goes to the handler."""
        if not self._unsent and len(self._expected) < (WINDOW if self.pipelining else 1):
            self._output.append(command)
            self._expected.append((phase, handler))
        else:
            self._unsent.append((command, phase, handler))

    def send(self, octets: bytes) -> None:
        """Send octets that are no command."""
        self._output.append(octets)

    def expect(self, phase: Phase, handler: Handler) -> None:
        """Wait for a reply that no command of its own causes."""
        self._expected.append((phase, handler))

    def drop_unsent(self) -> None:
        """Forget the commands that have not been sent."""
        self._unsent.clear()

    def forget(self) -> None:
        """Wait for nothing, send nothing."""
        self._unsent.clear()
        self._expected.clear()
        self._output.clear()

    def take_handler(self) -> Handler | None:
        """Who gets the reply that came; None when nobody waits for one. Call `refill` when it is dealt with."""
        return self._expected.popleft()[1] if self._expected else None

    def refill(self) -> None:
        """Let the next commands go, if their turn has come."""
        room = (WINDOW if self.pipelining else 1) - len(self._expected)
        while self._unsent and room > 0:
            command, phase, handler = self._unsent.popleft()
            self._output.append(command)
            self._expected.append((phase, handler))
            room -= 1

    def take_output(self) -> bytes:
        """The octets for the server since the last call."""
        output = self._output
        if not output:
            return b""
        octets = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return octets
