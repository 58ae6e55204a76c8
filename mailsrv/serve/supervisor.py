"""The supervisor: binds, forks, reaps, reloads, stops. It parses nothing that comes from clients and starts no
thread.

One loop waits for signals, lines from workers, requests on the control socket and timers; signal handlers do nothing.
What happens at HUP, TERM, a crash and a reload is described in mailsrv(8).

At most two generations live. A reload while one comes up is done after that; a reload while one drains is done when
that has ended, and makes its idle sessions end at once and its transactions within limits.drain_seconds.

Diagnostics: `open` raises ConfigError, Refused and StorageError for what keeps the server from starting; `run` gives
the exit status, and `reason` says why when it is not 0.
"""

import selectors
import signal
from collections import defaultdict
from collections.abc import Callable

from mailsrv.errors import ConfigError, Exit, MailsrvError
from mailsrv.serve import verbs
from mailsrv.serve.backoff import Backoff
from mailsrv.serve.children import Children
from mailsrv.serve.control import Answer, ControlServer, Reply, Request, refuse
from mailsrv.serve.generation import IMAPD, Child, Generation, State, kind_of
from mailsrv.serve.listeners import close_listeners, name_of
from mailsrv.serve.opening import Opening
from mailsrv.serve.premises import CONTROL
from mailsrv.serve.signals import Signals
from mailsrv.serve.timers import Timers
from mailsrv.serve.worker import BUSY_FACTOR
from mailsrv.system import events

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)
STARTS = 3  # deaths before the first `ready` of a server that starts, after which it gives up
_AGAIN_SECONDS = 0.5  # a second TERM counts after this; `timeout` and terminals send two at once


class Supervisor:
    """One server from its start to its end."""

    def __init__(self, opening: Opening, on_ready: Callable[[], None]) -> None:
        self.opening = opening
        self.clock = opening.clock
        self.current: Generation | None = None
        self.coming: Generation | None = None
        self.leaving: Generation | None = None
        self.reason = ""
        self.stopping = ""
        self.began = self.clock.monotonic()
        self.counts = opening.services.counts
        self.bans = opening.services.bans
        self.log = opening.first.log
        self._on_ready = on_ready
        self._code = Exit.OK
        self._stop_time = 0.0
        self._deaths = 0
        self._again = False
        self._bad_files: object = None
        self._reload_replies: list[Reply] = []
        self._backoffs: defaultdict[int, Backoff] = defaultdict(lambda: Backoff(self.clock))
        self._timers = Timers(self.clock)
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(SIGNALS)
        self._control = ControlServer(opening.premises.path(CONTROL), self._selector, self._dispatch)
        self.children = Children(opening.services, self._leave_in_child)
        self._selector.register(self._signals.socket, selectors.EVENT_READ, self._take_signals)

    def run(self) -> int:
        """Serve until the end; gives the exit status."""
        self._bring_up(self.opening.first)
        self._timers.after(self.opening.options.certificate_seconds, self._watch_certificates)
        while not (self.stopping and not self.children.by_pid):
            for key, _ in self._selector.select(self._timers.wait_seconds()):
                key.data()
            self._timers.run()
        events.stop(self.log, reason=self.stopping)
        self._control.remove()
        self._control.close()
        self._signals.forget(signal.SIG_IGN)
        self._selector.close()
        return int(self._code)

    def status(self) -> str:
        """What the server is doing, in one word."""
        if self.stopping:
            return "stopping"
        if self.current is None:
            return "starting"
        return "reloading" if self.coming else "draining" if self.leaving else "serving"

    def generations(self) -> list[Generation]:
        """Those that live, the oldest first."""
        return [generation for generation in (self.leaving, self.current, self.coming) if generation]

    # Generations

    def reload(self, reply: Reply | None = None) -> None:
        """Read the configuration again and change over to it, if it is right; `reply` gets the result."""
        if self.stopping:
            if reply:
                reply(refuse("the server is stopping"))
            return
        if reply:
            self._reload_replies.append(reply)
        if self.coming or self.current is None:
            self._again = True
            return
        try:
            if self.leaving:
                self.opening.check()
                self._again = True
                self._hurry(self.leaving)
                return
            generation = self.opening.open_next(self.current)
        except MailsrvError as error:
            self._refuse_reload(error)
            return
        self.children.tell("reopen")
        self.opening.notifier.reloading()
        self._bring_up(generation)

    def _refuse_reload(self, error: MailsrvError) -> None:
        complaints = str(error).splitlines()
        for complaint in complaints:
            events.config(self.log, complaint=complaint)
        events.reload(self.log, result="refused", reason=f"{len(complaints)} complaints, the old configuration stays")
        self._answer_reload(refuse(*complaints))

    def _answer_reload(self, answer: Answer) -> None:
        replies, self._reload_replies = self._reload_replies, []
        for reply in replies:
            reply(answer)

    def _bring_up(self, generation: Generation) -> None:
        self.coming = generation
        for number in generation.numbers:
            self._start(generation, number)
        self._timers.after(self.opening.options.ready_seconds, lambda: self._give_up_on(generation, "took too long"))

    def _start(self, generation: Generation, number: int) -> None:
        if self.stopping or generation not in (self.current, self.coming) or number in generation.children:
            return
        try:
            child = self.children.start(generation, number)
        except MailsrvError as error:
            self._note(0, "backoff", str(error), kind_of(number))
            self._timers.after(self._backoffs[number].died(True), lambda: self._start(generation, number))
            return
        self._note(child.pid, "started", f"{number % IMAPD}, generation {generation.number}", kind_of(number))
        self._selector.register(
            child.channel.end, selectors.EVENT_READ, lambda: self._hear(generation, child)
        )

    def _hear(self, generation: Generation, child: Child) -> None:
        if child.pid not in self.children.by_pid:
            return  # reaped a moment ago, in the same turn of the loop
        lines = child.channel.receive()
        if lines is None:
            self._selector.unregister(child.channel.end)  # its wait status follows
            return
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "failed":
                child.reason = rest
            elif word == "ready":
                child.state = State.READY
                place = f"{child.number % IMAPD}, generation {generation.number}"
                self._note(child.pid, "ready", place, kind_of(child.number))
                if generation is self.coming and generation.is_ready():
                    self._change_over(generation)

    def _change_over(self, generation: Generation) -> None:
        """The coming generation is ready: it is the current one now, and the old one drains."""
        old, self.current, self.coming = self.current, generation, None
        self.log = generation.log
        names = [name_of(listener.config) for listener in generation.listeners]
        if old is None:
            seconds = self.clock.monotonic() - self.began
            events.ready(self.log, listeners=names, workers=generation.workers, seconds=seconds)
            self._on_ready()
        else:
            close_listeners(old.listeners, generation.listeners)
            events.reload(self.log, result="ok", reason=f"generation {generation.number} serves")
            if old.children:
                self.leaving = old
                self._drain(old, *self._drain_seconds(old))
        self.opening.report_certificates(generation)
        self.opening.notifier.ready(f"serving, generation {generation.number}")
        if not self._again:
            self._answer_reload({"ok": True, "generation": generation.number})
        elif self.leaving:
            self._hurry(self.leaving)
        else:
            self._reload_again()

    def _reload_again(self) -> None:
        self._again = False
        self.reload()

    def _drain_seconds(self, generation: Generation) -> tuple[float, float]:
        idle = float(generation.config.limits.drain_seconds)
        return idle, BUSY_FACTOR * idle

    def _drain(self, generation: Generation, idle: float, busy: float) -> None:
        for child in generation.children.values():
            if child.state is not State.DRAINING:
                place = f"{child.number % IMAPD}, generation {generation.number}"
                self._note(child.pid, "draining", place, kind_of(child.number))
            child.state = State.DRAINING
        self.children.tell(f"drain {idle:g} {busy:g}", generation)
        self._timers.after(busy + self.opening.options.kill_seconds, lambda: self.children.kill(generation))

    def _hurry(self, generation: Generation) -> None:
        self._drain(generation, 0, self._drain_seconds(generation)[0])

    def _give_up_on(self, generation: Generation, why: str) -> None:
        """A coming generation does not become ready: keep the current one, or end if there is none."""
        if self.coming is not generation or self.stopping:
            return
        if self.current is None:
            self._fail(Exit.SOFTWARE, f"the workers do not get ready: {why}; the log says more")
            return
        self.coming = None
        close_listeners(generation.listeners, self.current.listeners)
        if generation.children:
            self.leaving = generation  # some of its workers may have accepted connections already
            self._hurry(generation)
        self.opening.notifier.ready(f"serving, generation {self.current.number}")
        self._refuse_reload(ConfigError([f"the new workers do not get ready: {why}"]))
        if self._again and not self.leaving:
            self._reload_again()

    # The ends of processes

    def _reap(self) -> None:
        for generation, child, code in self.children.reap():
            self._forget_channel(child)
            if child.state is State.DRAINING or self.stopping:
                self._note(child.pid, "ended", _say(code), kind_of(child.number))
                if generation is self.leaving and not generation.children:
                    self.leaving = None
                    if self._again and not self.coming:
                        self._reload_again()
            else:
                self._note(
                    child.pid, "died", " ".join(filter(None, (_say(code), child.reason))), kind_of(child.number)
                )
                self._replace(generation, child, code)

    def _forget_channel(self, child: Child) -> None:
        if child.channel.end in self._selector.get_map():
            self._selector.unregister(child.channel.end)
        child.channel.end.close()

    def _replace(self, generation: Generation, child: Child, code: int) -> None:
        early = child.state is State.STARTING
        if code == Exit.CONFIG and (generation is self.current or self.current is None):
            self._fail(Exit.CONFIG, child.reason or "a worker cannot work with this configuration; see the log")
            return
        if early and generation is self.coming:
            self._deaths += 1
            if self.current is not None or self._deaths >= STARTS:
                name = f"{kind_of(child.number)} {child.number % IMAPD}"
                self._give_up_on(generation, child.reason or f"{name} {_say(code)}")
                return
        delay = self._backoffs[child.number].died(early)
        self._note(child.pid, "backoff", f"its successor starts in {delay:.1f} s", kind_of(child.number))
        self._timers.after(delay, lambda: self._start(generation, child.number))

    # Stopping

    def stop(self, reason: str, now: bool = False) -> None:
        """Stop accepting, drain, end; with `now` sessions end as they are, asked again a moment later processes do."""
        time = self.clock.monotonic()
        if self.stopping:
            if now or time - self._stop_time > _AGAIN_SECONDS:
                self.children.kill()
            return
        self.stopping = reason
        self._stop_time = time
        self._answer_reload(refuse("the server is stopping"))
        generations = self.generations()
        seconds = [(0.0, 0.0) if now else self._drain_seconds(generation) for generation in generations]
        self.opening.notifier.stopping(max((busy for _, busy in seconds), default=0.0))
        for generation, (idle, busy) in zip(generations, seconds, strict=True):
            close_listeners(generation.listeners, [])
            self._drain(generation, idle, busy)

    def _fail(self, code: Exit, reason: str) -> None:
        self._code, self.reason = code, reason
        self.stop(reason)

    # What the loop hears

    def _take_signals(self) -> None:
        for number in self._signals.take():
            if number == signal.SIGHUP:
                self.reload()
            elif number == signal.SIGUSR1:
                self.reopen()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self.stop(number.name)
        self._reap()

    def reopen(self) -> None:
        """Open the log files again: the supervisor first, which may make them, then the workers."""
        self.log.reopen()
        self.children.tell("reopen")

    def _watch_certificates(self) -> None:
        self._timers.after(self.opening.options.certificate_seconds, self._watch_certificates)
        current = self.current
        if current is None or self.coming or self.leaving or self.stopping or not current.has_new_files():
            return
        try:
            generation = self.opening.renew(current)
        except ConfigError as error:
            self.opening.report_kept(current, error)
            return
        self._bring_up(generation)

    def _dispatch(self, request: Request, reply: Reply) -> None:
        verbs.answer(self, request, reply)

    def _leave_in_child(self, mine: Generation) -> None:
        self.opening.premises.leave_to_set()
        for generation in self.generations():
            # A socket that the new configuration has no more would stay open here, with nobody to accept from it.
            for listener in generation.listeners:
                if listener.socket not in [kept.socket for kept in mine.listeners]:
                    listener.socket.close()
        self._selector.close()
        self._control.close()
        self._signals.forget()

    def _note(self, pid: int, state: str, reason: str, kind: str) -> None:
        events.worker(self.log, kind=kind, pid=pid, state=state, reason=reason)


def _say(code: int) -> str:
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit status {code}"


