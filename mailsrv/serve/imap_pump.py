"""The pump of IMAP: moves octets between a client, the protocol core and the policy, as serve/pump.py does for SMTP.

It sends only before it would block, or when much waits to be sent; it keeps the times (before login, command, message,
drain) and turns each end into the right last words. While a session idles it also waits for rings. It decides nothing
about mail.

Diagnostics: `run` gives the reason of the end as a word of mailsrv-log(5); it raises only what is a bug of mailsrv.
"""

from collections.abc import Callable
from typing import Protocol

from mailsrv.errors import StorageError
from mailsrv.system.tls import TlsInfo
from mailsrv.imap.answers import Answer, Output, Status, bye
from mailsrv.imap.events import AuthResponse, Closed, Command, Event, Need
from mailsrv.imap.session import ServerSession
from mailsrv.imap.situation import Offer, State
from mailsrv.serve.imap_wire import ImapWire
from mailsrv.serve.pump import Surroundings
from mailsrv.serve.wire import Expired, Gone, Wait

LOGIN_SECONDS = 60.0  # wait for a command before login
_ALL_LOGIN_SECONDS = 300.0  # and for the login itself
_COMMAND_READ = 4096
_MESSAGE_READ = 1 << 17

_TIMED_OUT = bye("too long without a command, logging out")
_MESSAGE_TIMED_OUT = bye("too long without octets of the message, closing the connection")
_NO_LOGIN = bye("too long without a login, closing the connection")
_STOPPING = bye("the server is restarting, please connect again")
_KICKED = bye("the postmaster has ended this session")
BROKEN = bye("an error of this server, please connect again", "SERVERBUG")

# Commands behind whose answer something else is offered.
_CHANGE_OFFER = frozenset({"LOGIN", "AUTHENTICATE", "UNAUTHENTICATE"})


class Policy(Protocol):
    """What the pump needs of imapd.connection.Conversation."""

    @property
    def wants_rings(self) -> bool: ...
    def answer(self, event: Event) -> Answer | None: ...
    def offer(self) -> Offer: ...
    def tls_started(self, info: TlsInfo) -> None: ...
    def woken(self) -> None: ...
    def connect(
        self, core: ServerSession, flush: Callable[[], None], ring: Callable[[], None], /
    ) -> None: ...


class ImapPump:
    """One session's loop."""

    def __init__(self, wire: ImapWire, core: ServerSession, policy: Policy, surroundings: Surroundings) -> None:
        self._wire = wire
        self._core = core
        self._policy = policy
        self._limits = surroundings.limits
        self._tls = surroundings.tls
        self._drain = surroundings.drain
        self._clock = surroundings.clock
        self._login_until = self._clock.monotonic() + _ALL_LOGIN_SECONDS
        policy.connect(core, self._flush, wire.ring)

    def run(self) -> str:
        """Move octets until the session ends; give the word for the log's `end=`."""
        try:
            return self._run()
        except Gone as error:
            if self._wire.kicked:
                return self._say(_KICKED, "kicked")
            return self._say(_STOPPING, "drain") if self._wire.nudged else f"gone: {error}"
        except Expired as error:
            return f"expired: {error}"
        except StorageError as error:
            # A file that cannot be read in the middle of a response: nothing can be said any more.
            return f"error: {error}"

    def _run(self) -> str:
        core, answer = self._core, self._policy.answer
        quitting = False
        while True:
            event = core.next_event()
            if isinstance(event, Need):
                end = self._exchange()
                if end:
                    return end
                continue
            given = answer(event)
            if isinstance(event, Closed):
                return self._finish(quitting)
            if given is not None:
                quitting = isinstance(event, Command) and event.row.name == "LOGOUT"
                if isinstance(event, AuthResponse) or isinstance(event, Command) and event.row.name in _CHANGE_OFFER:
                    self._change_offer()
                core.answer(given)

    def _change_offer(self) -> None:
        self._core.offer = self._policy.offer()
        self._login_until = self._clock.monotonic() + _ALL_LOGIN_SECONDS

    def _flush(self) -> None:
        out = self._core.data_to_send()
        if out:
            self._wire.send_all(out)

    def _exchange(self) -> str:
        """Flush, start TLS or compression where that is due, and wait for octets. Gives the reason when the session is
        over."""
        core, wire, policy = self._core, self._wire, self._policy
        self._flush()
        if core.wants_tls:
            if self._tls is None:
                return self._say(BROKEN, "no TLS")
            policy.tls_started(wire.start_tls(self._tls, self._limits.handshake_seconds))
            core.tls_started(policy.offer())
        elif core.wants_compression:
            wire.start_deflate(core.compression_started())
        now = self._clock.monotonic()
        in_message = core.in_message
        until, words, end = self._wait_until(now, in_message)
        if not in_message:
            wire.idle_since = now
        while True:
            last = self._drained_until(in_message)
            received = wire.receive(
                _MESSAGE_READ if in_message else _COMMAND_READ, min(until, last), policy.wants_rings
            )
            if received is Wait.EXPIRED:
                return self._say(_STOPPING, "drain") if last < until else self._say(words, end)
            if received is Wait.RUNG:
                policy.woken()
                self._flush()
                if core.state is State.LOGOUT:
                    return ""
            elif not isinstance(received, Wait):
                break
        wire.idle_since = 0.0
        core.receive_data(received)
        return ""

    def _wait_until(self, now: float, in_message: bool) -> tuple[float, Status, str]:
        """Until when to wait, and what is to be said when nothing has come by then."""
        if self._core.state in (State.GREETING, State.NOT_AUTHENTICATED):
            return min(now + LOGIN_SECONDS, self._login_until), _NO_LOGIN, "timeout"
        if in_message:
            return now + self._limits.data_seconds, _MESSAGE_TIMED_OUT, "timeout"
        return now + self._limits.imap_idle_seconds, _TIMED_OUT, "timeout"

    def _drained_until(self, in_message: bool) -> float:
        """When a worker that wants to stop ends this session at the latest; one that idles is nudged before."""
        drain = self._drain
        if drain.idle_until is None or drain.busy_until is None:
            return float("inf")
        return drain.busy_until if in_message else drain.idle_until

    def _finish(self, quitting: bool) -> str:
        """Send what is left to say and end. Who did not log out may still be talking, and must not lose our words to a
        reset."""
        if quitting:
            self._flush()
            return "quit"
        self._wire.linger(_join(self._core.data_to_send()))
        return "closed"

    def _say(self, words: Status, end: str) -> str:
        """Say the last words and give the reason."""
        self._wire.linger(_join(self._core.data_to_send()) + words.encode(b"*"))
        return end


def _join(pieces: list[Output]) -> bytes:
    """What can be said as last words: not behind a part of a message that is not sent any more."""
    return b"".join([piece for piece in pieces if isinstance(piece, bytes)])
