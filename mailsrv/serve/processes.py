"""What each process of a server does: the table by which the supervisor's children become smtpd, imapd or runner.

Diagnostics: raises what the services raise when they are made.
"""

from collections.abc import Callable

from mailsrv.serve import imapd, smtpd
from mailsrv.serve.generation import kind_of
from mailsrv.serve.queue import Place, QueueService
from mailsrv.serve.worker import Service, WorkerContext


def _build_runner(context: WorkerContext) -> Service:
    return QueueService(Place(context.config, context.log, context.clock, context.slot))


_BUILDERS: dict[str, Callable[[WorkerContext], Service]] = {
    "smtpd": smtpd.build,
    "imapd": imapd.build,
    "runner": _build_runner,
}


def build(context: WorkerContext) -> Service:
    """The Service of the process with this number."""
    return _BUILDERS[kind_of(context.number)](context)
