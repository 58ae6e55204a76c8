"""imapd: the Service behind imap and imaps listeners. How connections are accepted and served is every daemon's
(serve/daemon.py); beside the sessions one thread listens to what happens to the mailboxes, for those who idle.

Diagnostics: `build` raises StorageError when data_dir cannot be used.
"""

import threading

from mailsrv.system.disk import Disk
from mailsrv.spool.queueid import QueueIds
from mailsrv.store.notify import WATCH, Watcher
from mailsrv.serve.daemon import Daemon, Kind
from mailsrv.serve.imap_handler import ImapSession
from mailsrv.serve.imap_house import build_imap_house
from mailsrv.serve.watch import Watch
from mailsrv.serve.wire import Drain
from mailsrv.serve.worker import BoundListener, WorkerContext

_FULL = b"* BYE too many connections, please try again later\r\n"


class Imapd(Daemon):
    """The Service of an IMAP worker."""

    def __init__(self, context: WorkerContext, drain: Drain, kind: Kind, watch: Watch) -> None:
        super().__init__(context, drain, kind)
        self._watch = watch

    def start(self, listeners: list[BoundListener]) -> None:
        """Begin to accept and to listen."""
        super().start(listeners)
        threading.Thread(target=self._watch.run, name="watch", daemon=True).start()

    def stop_accepting(self) -> None:
        """Accept nothing more; who idles is told goodbye next."""
        super().stop_accepting()
        self._watch.stop()


def build(context: WorkerContext) -> Imapd:
    """The Service of an IMAP worker (see serve/worker.py)."""
    drain = Drain()
    watch = Watch(Watcher(f"{context.config.data_dir}/{WATCH}", Disk()))
    house = build_imap_house(context, watch, drain.wait)
    ids = QueueIds(context.clock, context.slot)
    most = context.config.limits.imap_connections
    kind = Kind(most, lambda socket: ImapSession(context, house, drain, ids.new(), socket), _FULL)
    return Imapd(context, drain, kind, watch)
