"""Feedback beside the queue: a thread of the runner's process for DMARC reports, since it waits for the DNS and reads
what strangers send, and the queue must wait for neither.

One process at a time does it, whatever overlaps at a reload (`run/feedback`). A thread that is cut off by the process's
end leaves nothing that the next one does not set right (deliver/feedback_days).

Diagnostics: raises nothing; what goes wrong is an event.
"""

import threading
import traceback
from collections.abc import Callable

from mailsrv.authn.findings import Ask
from mailsrv.config.schema import Config
from mailsrv.deliver.feedback import Feedback
from mailsrv.deliver.feedback_days import Days, ReportingSettings, Services
from mailsrv.deliver.sign import make_signer
from mailsrv.errors import Busy, StorageError
from mailsrv.spool.enqueue import Spool
from mailsrv.spool.queueid import BASE, QueueIds, child
from mailsrv.store.feedback_layout import LOCK, FeedbackLayout
from mailsrv.system import entropy, events
from mailsrv.system.clock import Clock
from mailsrv.system.disk import Disk
from mailsrv.system.dns import DnsResolver
from mailsrv.system.dns_values import Answer, Budget
from mailsrv.system.lock import Lock
from mailsrv.system.log import Log
from mailsrv.system.wake import Waker

ROUND_SECONDS = 2.0
_LOOKUPS = 80  # for the destinations of one report, which are five at most
_LOOKUP_SECONDS = 30.0
_MANY = BASE**4


class FeedbackThread:
    """Does a round of deliver/feedback from time to time, never two at once; `go` is called often by one thread."""

    def __init__(self, config: Config, log: Log, clock: Clock) -> None:
        disk = Disk()
        ids = QueueIds(clock, 0)
        signer = make_signer(config, disk, clock)
        services = Services(
            disk, Spool(disk, config.data_dir, Waker()), FeedbackLayout(config.data_dir), clock, log,
            _make_asks(config, clock),
            # Longer than the IDs of messages that come here, so that none of another process is the same.
            lambda: child(ids.new(), _MANY + entropy.below(_MANY)),
            signer.sign if signer else None,
        )  # fmt: skip
        days = Days(services, ReportingSettings.from_config(config))
        self._feedback = Feedback(disk, config.data_dir, clock, log, days, config.dmarc.report)
        self._lock = f"{config.data_dir}/{LOCK}"
        self._log = log
        self._clock = clock
        self._is_restored = False
        self._at = 0.0  # monotonic
        self._thread: threading.Thread | None = None

    def go(self) -> None:
        """Begin a round, if it is time and the last one has ended."""
        now = self._clock.monotonic()
        if not self._is_restored:
            # Here, in the thread that runs the queue: nothing of it may be delivered or cleared away before.
            self._is_restored = True
            self._run(self._feedback.restore)
        if now < self._at or (self._thread is not None and self._thread.is_alive()):
            return
        self._at = now + ROUND_SECONDS
        self._thread = threading.Thread(target=self.run, name="feedback", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """One round, now."""
        self._run(self._feedback.go)

    def _run(self, action: Callable[[], None]) -> None:
        try:
            with Lock(self._lock, wait=False):
                action()
        except Busy:
            return  # the runner of another generation is at it
        except StorageError as error:
            events.storage(self._log, path=self._lock, reason=str(error))
        except Exception:
            events.bug(self._log, where="feedback", id="", traceback=traceback.format_exc())

    def join(self, seconds: float) -> None:
        """Wait for the round that runs."""
        if self._thread is not None:
            self._thread.join(seconds)


def _make_asks(config: Config, clock: Clock) -> Callable[[], Ask]:
    """What gives a way to the DNS with a budget of its own."""
    dns = config.dns
    resolver = DnsResolver(dns.nameservers, dns.timeout_seconds, clock, trust_ad=dns.trust_ad)

    def make() -> Ask:
        budget = Budget(_LOOKUPS, _LOOKUP_SECONDS, clock)

        def ask(name: str, kind: str) -> Answer:
            return resolver.query(name, kind, budget)

        return ask

    return make
