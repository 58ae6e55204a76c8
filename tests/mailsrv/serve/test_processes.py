"""Which process does what."""

from dataclasses import replace

import pytest

from mailsrv.config.schema import Config
from mailsrv.serve import processes
from mailsrv.serve.generation import IMAPD, RUNNER
from mailsrv.serve.queue import QueueService
from mailsrv.serve.worker import WorkerContext
from mailsrv.system.clock import SystemClock
from tests.fakes.log import FakeLog


@pytest.mark.parametrize(("number", "kind"), [(RUNNER, "runner"), (1, "smtpd"), (7, "smtpd"), (IMAPD + 1, "imapd")])
def test_by_its_number(tmp_path, monkeypatch, number, kind):
    for name in ("smtpd", "imapd"):
        monkeypatch.setitem(processes._BUILDERS, name, lambda _context, name=name: name)
    config = Config(hostname="mx.example.org", data_dir=str(tmp_path))
    context = WorkerContext(config, None, FakeLog(), SystemClock(), None, None, 3, 1, 2, 1)
    service = processes.build(replace(context, number=number))
    assert isinstance(service, QueueService) if kind == "runner" else service == kind
