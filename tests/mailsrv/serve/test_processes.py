"""Which process does what."""

from dataclasses import replace

import pytest

from mailsrv.config.schema import Config
from mailsrv.serve import processes
from mailsrv.serve.generation import RUNNER
from mailsrv.serve.queue import QueueService
from mailsrv.serve.worker import WorkerContext
from mailsrv.system.clock import SystemClock
from tests.fakes.log import FakeLog


@pytest.mark.parametrize(("number", "is_runner"), [(RUNNER, True), (1, False), (7, False)])
def test_by_its_number(tmp_path, monkeypatch, number, is_runner):
    monkeypatch.setattr(processes.smtpd, "build", lambda _context: "smtpd")
    config = Config(hostname="mx.example.org", data_dir=str(tmp_path))
    context = WorkerContext(config, None, FakeLog(), SystemClock(), None, None, 3, 1, 2, 1)
    service = processes.build(replace(context, number=number))
    assert isinstance(service, QueueService) is is_runner
    assert is_runner or service == "smtpd"
