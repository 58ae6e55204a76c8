"""What the supervisor works with: the configuration made real (sockets, certificates, log), at the start and at a
reload.

At the start everything must succeed. At a reload everything is tried before anything is changed, and what cannot
change while the server runs is said: data_dir and the user of the workers.

Diagnostics: ConfigError, Refused or StorageError with every complaint; what was opened on the way is closed again.
"""

import gc
import os
import resource
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsrv.config.load import load
from mailsrv.config.schema import Config
from mailsrv.errors import ConfigError
from mailsrv.serve.bans import Bans
from mailsrv.serve.children import Services
from mailsrv.serve.counts import Counts
from mailsrv.serve.generation import Generation, pairs_of
from mailsrv.serve.listeners import adopt, open_listeners
from mailsrv.serve.premises import BANS, BANS_LOCK, Premises
from mailsrv.serve.privileges import choose
from mailsrv.serve.worker import BoundListener, Build
from mailsrv.system import entropy, events, tls
from mailsrv.system.clock import Clock, SystemClock
from mailsrv.system.disk import Disk
from mailsrv.system.log import Log, open_log
from mailsrv.system.notify import Notifier, take_descriptors

CERTIFICATE_SECONDS = 60.0
READY_SECONDS = 60.0
KILL_SECONDS = 5.0
UMASK = 0o022
DESCRIPTORS = 65536
_OTHER_DESCRIPTORS = 64  # beside connections
_KEY_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is started. `ready_seconds`: what new workers get to become ready; `kill_seconds`: what draining
    ones get beyond their time. `has_runner`: a process of its own runs the queue.
    """

    config_path: str
    pid_file: str = ""
    certificate_seconds: float = CERTIFICATE_SECONDS
    ready_seconds: float = READY_SECONDS
    kill_seconds: float = KILL_SECONDS
    has_runner: bool = False


class Status:
    """What the service manager is told."""

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock

    def ready(self, text: str) -> None:
        self._notifier.send(READY=1, MAINPID=os.getpid(), STATUS=text)

    def reloading(self) -> None:
        self._notifier.send(RELOADING=1, MONOTONIC_USEC=int(self._clock.monotonic() * 1e6), STATUS="reloading")

    def stopping(self, seconds: float) -> None:
        """Stopping may take so long; the manager waits for it."""
        extended = int((seconds + 2 * KILL_SECONDS) * 1e6)
        self._notifier.send(STOPPING=1, EXTEND_TIMEOUT_USEC=extended, STATUS="draining")


class Opening:
    """A started server's surroundings. Raises what keeps it from starting."""

    def __init__(self, options: Options, config: Config, build: Build, environ: MutableMapping[str, str]) -> None:
        self.options = options
        self.clock: Clock = SystemClock()
        self._environ = environ
        self._disk = Disk()
        self._identity = choose(config)
        os.umask(UMASK)
        descriptors = _raise_descriptors()
        passed = take_descriptors(environ, os.getpid())
        log = self._open_log(config)
        if self._identity.notice:
            _advise(log, self._identity.notice)
        if descriptors < config.limits.connections + _OTHER_DESCRIPTORS:
            _advise(log, f"{descriptors} open files are too few for limits.connections = {config.limits.connections}: "
                    "raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd)")
        self.premises = Premises(config.data_dir, self._identity, self._disk, self.clock)
        self.premises.prepare()
        self.premises.take(lambda text: _advise(log, text))
        self.notifier = Status(Notifier(environ), self.clock)
        try:
            self._furnish(config, build, log, passed)
        except BaseException:
            self.premises.release()
            raise

    def _furnish(self, config: Config, build: Build, log: Log, passed: list[int]) -> None:
        """What needs the data_dir for this server alone."""
        bans = Bans(self.premises.path(BANS), self.premises.path(BANS_LOCK), self._disk, self.clock)
        counts = Counts(entropy.octets(_KEY_OCTETS), self.clock, config.bans.window_seconds)
        self.services = Services(build, counts, bans, self.premises, self._identity, self.clock)
        adopted, complaints = adopt(passed, config.listeners)
        for complaint in complaints:
            _advise(log, complaint)
        self.first = self._make(1, config, adopted, log)
        if self.options.pid_file:
            self._disk.replace(self.options.pid_file, f"{os.getpid()}\n".encode(), 0o644)
        # What is there now is never looked at by the collector, so that its pages stay shared with the workers.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """The server has ended: its pid files go, the data_dir is free."""
        if self.options.pid_file:
            self._disk.unlink(self.options.pid_file, missing_ok=True)
        self.premises.release()

    def check(self) -> Config:
        """Read the configuration again and check it against the running server. Raises ConfigError."""
        config = load(self.options.config_path, self._environ)
        complaints = []
        if config.data_dir != self.premises.data_dir:
            complaints.append(
                f"{config.source}: data_dir: cannot change while the server runs (it is {self.premises.data_dir}); "
                "stop the server and start it again"
            )
        if config.privileges.user:
            complaints += self._compare_identity(config)
        if complaints:
            raise ConfigError(complaints)
        return config

    def _compare_identity(self, config: Config) -> list[str]:
        identity = self._identity
        try:
            wanted = choose(config)
        except ConfigError as error:
            return error.complaints
        if (wanted.uid, wanted.gid) == (identity.uid, identity.gid):
            return []
        return [
            f"{config.source}: privileges: cannot change while the server runs (it serves as {identity.name}); "
            "stop the server and start it again"
        ]

    def open_next(self, current: Generation) -> Generation:
        """The generation that the configuration asks for now. Raises ConfigError, Refused."""
        config = self.check()
        log = current.log
        if _log_key(config) == _log_key(current.config):
            log.reopen()
        else:
            log = self._open_log(config)
        self.services.counts.window_seconds = config.bans.window_seconds
        return self._make(current.number + 1, config, current.listeners, log)

    def renew(self, current: Generation) -> Generation:
        """The same configuration with its certificates as they are now. Raises ConfigError."""
        return self._make(current.number + 1, current.config, current.listeners, current.log)

    def report_certificates(self, generation: Generation) -> None:
        """Log what certificates are used now."""
        for certificate in generation.tls.certificates if generation.tls else ():
            expires = datetime.fromtimestamp(certificate.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            events.certificate(
                generation.log,
                file=certificate.cert_file,
                state="loaded",
                reason="",
                names=certificate.names,
                expires=expires,
            )

    def report_kept(self, generation: Generation, error: ConfigError) -> None:
        """Log that changed certificate files cannot be used; they are looked at again when they change again."""
        generation.files = tls.fingerprint(pairs_of(generation.config))
        for complaint in error.complaints:
            events.certificate(
                generation.log,
                file=generation.config.tls.cert_file,
                state="kept",
                reason=complaint,
                names=(),
                expires="",
            )

    def _make(self, number: int, config: Config, present: list[BoundListener], log: Log) -> Generation:
        pairs = pairs_of(config)
        files = tls.fingerprint(pairs)  # before they are read, so that a change meanwhile is seen
        server_tls = tls.load(pairs)
        listeners = open_listeners(config.listeners, present)
        return Generation(number, config, server_tls, log, listeners, files, has_runner=self.options.has_runner)

    def _open_log(self, config: Config) -> Log:
        log = open_log(config.log.destination, config.log.format, config.log.level, self.clock)
        if self._identity.drops:
            log.own(self._identity.uid, self._identity.gid)
        return log


def _advise(log: Log, text: str) -> None:
    """What is no fault of the configuration, and should be known."""
    log.write("config", "notice", {"complaint": text})


def _log_key(config: Config) -> tuple[str, str, str]:
    return config.log.destination, config.log.format, config.log.level


def _raise_descriptors() -> int:
    """Every connection is a descriptor: ask for as many as this user may have, and give how many there are now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft if soft != resource.RLIM_INFINITY else DESCRIPTORS
