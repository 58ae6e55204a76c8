"""smtpd: the Service behind smtp, submission, submissions and lmtp listeners. How connections are accepted and served
is every daemon's (serve/daemon.py).

Diagnostics: `build` raises StorageError when data_dir cannot be used.
"""

from mailsrv.spool.queueid import QueueIds
from mailsrv.serve.daemon import Daemon, Kind
from mailsrv.serve.handler import Session
from mailsrv.serve.house import build_house
from mailsrv.serve.wire import Drain
from mailsrv.serve.worker import WorkerContext

_FULL = b"421 4.3.2 too many connections, please try again later\r\n"


def build(context: WorkerContext) -> Daemon:
    """The Service of an SMTP worker (see serve/worker.py)."""
    drain = Drain()
    house = build_house(context, drain.wait)
    ids = QueueIds(context.clock, context.slot)
    limits = context.config.limits
    kind = Kind(limits.connections, lambda socket: Session(context, house, drain, ids.new(), socket), _FULL)
    return Daemon(context, drain, kind)
