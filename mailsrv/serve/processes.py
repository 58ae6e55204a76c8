"""What each process of a server does: the table by which the supervisor's children become smtpd or runner.

Diagnostics: raises what the services raise when they are made.
"""

from mailsrv.serve import smtpd
from mailsrv.serve.generation import RUNNER
from mailsrv.serve.queue import Place, QueueService
from mailsrv.serve.worker import Service, WorkerContext


def build(context: WorkerContext) -> Service:
    """The Service of the process with this number."""
    if context.number == RUNNER:
        return QueueService(Place(context.config, context.log, context.clock, context.slot))
    return smtpd.build(context)
