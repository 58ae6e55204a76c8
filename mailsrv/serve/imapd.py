"""imapd: the Service behind imap and imaps listeners. How connections are accepted and served is every daemon's
(serve/daemon.py); beside the sessions one thread listens to what happens to the mailboxes, for those who idle, and one
does what can wait.

Diagnostics: `build` raises StorageError when data_dir cannot be used.
"""

import threading

from mailsrv.system.disk import Disk
from mailsrv.spool.queueid import QueueIds
from mailsrv.store.notify import WATCH, Watcher
from mailsrv.store.readers import Readers
from mailsrv.serve.caretaker import Caretaker, Share
from mailsrv.serve.daemon import Daemon, Kind
from mailsrv.serve.generation import IMAPD
from mailsrv.serve.imap_handler import ImapSession
from mailsrv.serve.imap_house import build_imap_house
from mailsrv.serve.watch import Watch
from mailsrv.serve.wire import Drain
from mailsrv.serve.worker import BoundListener, WorkerContext

_FULL = b"* BYE too many connections, please try again later\r\n"


class Imapd(Daemon):
    """The Service of an IMAP worker."""

    def __init__(self, context: WorkerContext, drain: Drain, kind: Kind, watch: Watch, caretaker: Caretaker) -> None:
        super().__init__(context, drain, kind)
        self._watch = watch
        self._caretaker = caretaker
        self._accounts = [account.name for account in context.config.accounts]

    def start(self, listeners: list[BoundListener]) -> None:
        """Begin to accept, to listen, and to do what can wait."""
        super().start(listeners)
        self._watch.told = self._caretaker.note
        self._caretaker.note(self._accounts)
        for name, run in (("watch", self._watch.run), ("caretaker", self._caretaker.run)):
            threading.Thread(target=run, name=name, daemon=True).start()

    def stop_accepting(self) -> None:
        """Accept nothing more; who idles is told goodbye next."""
        super().stop_accepting()
        self._watch.stop()
        self._caretaker.stop()


def build(context: WorkerContext) -> Imapd:
    """The Service of an IMAP worker (see serve/worker.py)."""
    drain = Drain()
    watcher = Watcher(f"{context.config.data_dir}/{WATCH}", Disk())
    watch = Watch(watcher)
    house = build_imap_house(context, watch, drain.wait, watcher.path)
    ids = QueueIds(context.clock, context.slot)
    most = context.config.limits.imap_connections
    kind = Kind(most, lambda socket: ImapSession(context, house, drain, ids.new(), socket), _FULL)
    assert isinstance(house.readers, Readers)  # as build_imap_house makes them
    share = Share(context.number % IMAPD - 1, context.workers)
    return Imapd(context, drain, kind, watch, Caretaker(house.readers, share, context.log, context.clock))
