"""The pump: the only loop that moves octets between a client, the protocol core and the policy.

It flushes replies only before it would block, so that pipelined replies leave in one write; it keeps the times
(command, message, session, data rate, drain) and turns each end into the right last words. It decides nothing about
mail.

Diagnostics: `run` gives the reason of the end as a word of mailsrv-log(5); it raises only what is a bug of mailsrv.
"""

from dataclasses import dataclass
from typing import Protocol

from mailsrv.config.schema import LimitsConfig
from mailsrv.mail.reply import Reply
from mailsrv.serve.wire import Drain, Expired, Gone, Wait, Wire
from mailsrv.smtp.commands import State
from mailsrv.smtp.events import Auth, AuthResponse, Closed, Event, FramingFault, Need, Offer, Quit
from mailsrv.smtp.session import ServerSession
from mailsrv.system.clock import Clock
from mailsrv.system.tls import ServerTls, TlsInfo

_COMMAND_READ = 4096
_DATA_READ = 1 << 17
_RATE_AFTER = 60.0  # seconds of a message before its data rate counts
GRACE = 1.0  # seconds that an idle session may still begin something after the worker wants to stop

_BUSY = frozenset({State.MAIL, State.RCPT, State.CHUNKS})

_TIMED_OUT = Reply(421, "4.4.2", "too long without a command, closing connection")
_DATA_TIMED_OUT = Reply(421, "4.4.2", "too long without octets of the message, closing connection")
_TOO_SLOW = Reply(421, "4.4.2", "the message comes too slowly, closing connection")
_TOO_LONG = Reply(421, "4.4.2", "this session has lasted too long, closing connection")
_STOPPING = Reply(421, "4.3.2", "the server is restarting, please connect again")
_KICKED = Reply(421, "4.3.2", "the postmaster has ended this session")
BROKEN = Reply(421, "4.3.0", "an error of this server, please try again later")


class Policy(Protocol):
    """What the pump needs of receive.connection.Conversation."""

    def answer(self, event: Event) -> Reply | list[Reply] | None:
        """Answer one event."""
        ...

    def offer(self) -> Offer:
        """What may be offered now."""
        ...

    def tls_started(self, info: TlsInfo) -> None:
        """TLS is on."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions of a process share. `tls` is None where no certificate is configured."""

    limits: LimitsConfig
    tls: ServerTls | None
    drain: Drain
    clock: Clock


class Pump:
    """One session's loop. `suffix` ends the last words (the session's id)."""

    def __init__(
        self, wire: Wire, core: ServerSession, policy: Policy, surroundings: Surroundings, suffix: str
    ) -> None:
        self._wire = wire
        self._core = core
        self._policy = policy
        self._limits = surroundings.limits
        self._tls = surroundings.tls
        self._drain = surroundings.drain
        self._clock = surroundings.clock
        self._suffix = suffix
        self._session_until = self._clock.monotonic() + self._limits.session_seconds
        self._data_since = 0.0
        self._data_octets = 0

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
            kind = type(event)
            if kind is Closed:
                return self._finish(quitting)
            if isinstance(event, FramingFault):
                self._wire.linger(core.data_to_send())
                return f"fault: {event.kind}"
            reply = answer(event)
            if reply is not None:
                core.answer(reply)
                quitting = kind is Quit
                if kind is Auth or kind is AuthResponse:
                    core.offer = self._policy.offer()

    def _exchange(self) -> str:
        """Flush, start TLS where it is due, and wait for octets. Gives the reason when the session is over."""
        core, wire = self._core, self._wire
        out = core.data_to_send()
        if out:
            wire.send(out, self._limits.command_seconds)
        if core.wants_tls:
            if self._tls is None:
                return self._say(BROKEN, "no TLS")
            self._policy.tls_started(wire.start_tls(self._tls, self._limits.handshake_seconds))
            core.tls_started(self._policy.offer())
        in_data = core.in_data
        while True:
            until, reply, end = self._deadline(in_data)
            octets = wire.receive(_DATA_READ if in_data else _COMMAND_READ, until)
            if octets is Wait.EXPIRED:
                return self._say(reply, end)
            if not isinstance(octets, Wait):
                break
        wire.idle_since = 0.0
        if in_data:
            late = self._count_data(len(octets))
            if late:
                return late
        else:
            self._data_since = 0.0
        core.receive_data(octets)
        return ""

    def _deadline(self, in_data: bool) -> tuple[float, Reply, str]:
        """Until when to wait, and what is to be said when nothing has come by then."""
        limits, drain = self._limits, self._drain
        now = self._clock.monotonic()
        if in_data:
            until, reply, end = now + limits.data_seconds, _DATA_TIMED_OUT, "timeout"
        else:
            until, reply, end = now + limits.command_seconds, _TIMED_OUT, "timeout"
        if self._session_until < until:
            until, reply, end = self._session_until, _TOO_LONG, "too long"
        busy = self._core.state in _BUSY
        if not busy:
            self._wire.idle_since = now
        if drain.idle_until is not None and drain.busy_until is not None:
            drained = drain.busy_until if busy else min(now + GRACE, drain.idle_until)
            if drained < until:
                until, reply, end = drained, _STOPPING, "drain"
        return until, reply, end

    def _count_data(self, count: int) -> str:
        """Watch the rate at which a message comes (slow senders hold a thread and memory)."""
        now = self._clock.monotonic()
        if not self._data_since:
            self._data_since, self._data_octets = now, 0
        self._data_octets += count
        seconds = now - self._data_since
        if seconds > _RATE_AFTER and self._data_octets < self._limits.data_rate * seconds:
            return self._say(_TOO_SLOW, "too slow")
        return ""

    def _say(self, reply: Reply, end: str) -> str:
        """Say the last words and give the reason."""
        self._wire.linger(self._core.data_to_send() + reply.encode(self._suffix))
        return end

    def _finish(self, quitting: bool) -> str:
        """Send what is left to say and end. Who did not quit may still be talking, and must not lose our words to a
        reset.
        """
        out = self._core.data_to_send()
        if not quitting:
            self._wire.linger(out)
            return "closed"
        if out:
            self._wire.send(out, self._limits.command_seconds)
        return "quit"
