"""Children: a worker process from its fork to its wait status.

The fork happens with the signals blocked, so that none reaches the child while it still has the supervisor's
handlers. What belongs to the supervisor alone is closed in the child first: the other workers' channels (or their end
of file would never come), the control socket, the supervisor's lock.

Diagnostics: `start` raises Refused when no process can be made. In the child nothing is raised: it exits with a
status of errors.Exit, 78 when it cannot work with this configuration.
"""

import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailsrv.errors import ConfigError, Exit, MailsrvError, Refused
from mailsrv.serve.bans import Bans
from mailsrv.serve.counts import IMAP, MAIL, Counts
from mailsrv.serve.generation import IMAPD, RUNNER, Child, Generation, kind_of, listens
from mailsrv.serve.premises import Premises
from mailsrv.serve.privileges import Identity
from mailsrv.serve.signals import Signals
from mailsrv.serve.worker import BoundListener, Build, Channel, Work, WorkerContext
from mailsrv.system import events
from mailsrv.system.clock import Clock
from mailsrv.system.log import Log
from mailsrv.system.process import drop_privileges, set_title

# Of the terminal or the process group: a worker leaves them to the supervisor.
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_BLOCKED = {*_IGNORED, signal.SIGTERM, signal.SIGCHLD}


@dataclass(frozen=True, slots=True)
class Services:
    """What every worker shares with the supervisor, made once."""

    build: Build
    counts: Counts
    bans: Bans
    premises: Premises
    identity: Identity
    clock: Clock


class Children:
    """All workers of all generations. `leave` closes in a child what is the supervisor's alone."""

    def __init__(self, services: Services, leave: Callable[[Generation], None]) -> None:
        self._services = services
        self._leave = leave
        self._supervisor = str(os.getpid())
        self.by_pid: dict[int, tuple[Generation, Child]] = {}

    def start(self, generation: Generation, number: int) -> Child:
        """Fork worker `number` of a generation. Raises Refused."""
        slot = self._services.counts.claim()
        if slot is None:
            raise Refused("too many worker processes live already")
        ours, theirs = socket.socketpair()
        signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._become(generation, number, slot, theirs)
        except OSError as error:
            ours.close()
            self._services.counts.release(slot)
            raise Refused(f"cannot start a worker: {error.strerror}") from error
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
        ours.setblocking(False)
        child = Child(pid, number, slot, Channel(ours), self._services.clock.monotonic())
        generation.children[number] = child
        self.by_pid[pid] = (generation, child)
        return child

    def reap(self) -> Iterator[tuple[Generation, Child, int]]:
        """Every worker that ended since the last call, with its exit status (negative: the signal that ended it).

        The caller closes its channel.
        """
        while self.by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.by_pid:
                continue
            generation, child = self.by_pid.pop(pid)
            del generation.children[child.number]
            for line in child.channel.receive() or []:
                if line.startswith("failed "):
                    child.reason = line.partition(" ")[2]
            self._services.counts.release(child.slot)
            yield generation, child, os.waitstatus_to_exitcode(status)

    def tell(self, line: str, generation: Generation | None = None) -> None:
        """Send a line to every worker, or to those of one generation."""
        for owner, child in self.by_pid.values():
            if generation is None or owner is generation:
                child.channel.send(line)

    def kill(self, generation: Generation | None = None) -> None:
        """End every worker, or those of one generation, at once."""
        for pid, (owner, _) in self.by_pid.items():
            if generation is None or owner is generation:
                os.kill(pid, signal.SIGKILL)

    def _become(self, generation: Generation, number: int, slot: int, end: socket.socket) -> None:
        """In the child: be a worker, and never return."""
        code = int(Exit.SOFTWARE)
        try:
            for _, sibling in self.by_pid.values():
                sibling.channel.end.close()
            self._leave(generation)
            for ignored in _IGNORED:
                signal.signal(ignored, signal.SIG_IGN)
            signals = Signals([signal.SIGTERM])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
            code = self._work(generation, (number, slot), Channel(end), signals)
        except BaseException:
            events.bug(generation.log, where=kind_of(number), id="", traceback=traceback.format_exc())
            raise
        finally:
            os._exit(code)

    def _work(self, generation: Generation, place: tuple[int, int], channel: Channel, signals: Signals) -> int:
        services, (number, slot) = self._services, place
        log = generation.log
        set_title(f"mailsrv: {_title(number)} (gen {generation.number})")
        threading.excepthook = lambda hook: _report(log, kind_of(number), hook)
        try:
            if services.identity.drops:
                drop_privileges(services.identity.uid, services.identity.gid)
            context = WorkerContext(
                config=generation.config,
                tls=generation.tls,
                log=log,
                clock=services.clock,
                counts=services.counts.writer(slot, IMAP if number > IMAPD else MAIL),
                bans=services.bans,
                slot=slot,
                number=number,
                workers=generation.imapd_workers if number > IMAPD else generation.workers,
                generation=generation.number,
            )
            work = Work(context, services.build(context), channel, self._has_successor)
            work.run(_keep_listeners(generation, number), signals.socket)
        except MailsrvError as error:
            channel.send(f"failed {error}")
            if not isinstance(error, ConfigError | Refused):
                return int(Exit.TEMPFAIL)
            for complaint in str(error).splitlines():
                events.config(log, complaint=complaint)
            return int(Exit.CONFIG)
        return int(Exit.OK)

    def _has_successor(self) -> bool:
        return self._services.premises.holder() not in ("", self._supervisor)


def _keep_listeners(generation: Generation, number: int) -> list[BoundListener]:
    """The sockets that this process accepts from. It closes the others: held open, they would outlive their server."""
    for listener in generation.listeners:
        if not listens(number, listener.config):
            listener.socket.close()
    return [listener for listener in generation.listeners if listens(number, listener.config)]


def _title(number: int) -> str:
    return kind_of(number) if number == RUNNER else f"{kind_of(number)} {number % IMAPD}"


def _report(log: Log, kind: str, hook: threading.ExceptHookArgs) -> None:
    text = "".join(traceback.format_exception(hook.exc_type, hook.exc_value, hook.exc_traceback))
    events.bug(log, where=f"{kind} thread", id="", traceback=text)
