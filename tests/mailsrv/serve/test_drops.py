"""The thread beside the runner: takes at its start, tells the numbers, and complains once."""

from pathlib import Path

import pytest

from mailsrv.config.schema import Config
from mailsrv.receive.drops import read_counts
from mailsrv.serve.drops import DropService
from mailsrv.spool.drop import Request, leave
from mailsrv.spool.layout import prepare
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.disk import Disk
from mailsrv.system.wake import Doorbell
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop").chmod(0o3777)
    prepare(Disk(), f"{tmp_path}/data")
    return Config("mail.example.com", f"{tmp_path}/data", f"{tmp_path}/drop")


def test_what_lies_there_is_taken_before_the_runner_starts(config: Config) -> None:
    name = QueueIds(FakeClock(), 0).new() + "0"
    leave(Disk(), config.drop_dir, name, Request(("bob@example.net",)), b"\r\nhi\r\n")
    service = DropService(config, FakeLog(), FakeClock())  # type: ignore[arg-type]
    with Doorbell(f"{config.data_dir}/run/wake") as bell:
        service.start()
        service.stop()
        assert bell.take() == [name.encode()]
    assert Path(config.data_dir, "spool/queue", name).exists()
    counts = read_counts(Disk(), config.drop_dir)
    assert counts is not None
    assert (counts.queued, counts.held) == (1, 0)


def test_a_directory_that_is_not_as_it_must_be_is_told_once(config: Config) -> None:
    log = FakeLog()
    service = DropService(config, log, FakeClock())  # type: ignore[arg-type]
    Path(config.drop_dir).chmod(0o755)
    for _ in range(3):
        service.look()
    Path(config.drop_dir).chmod(0o3777)
    service.look()
    Path(config.drop_dir).chmod(0o777)
    service.look()
    assert [fields["path"] for fields in log.named("storage")] == [config.drop_dir] * 2


def test_no_directory_no_thread(config: Config) -> None:
    log = FakeLog()
    service = DropService(Config("mail.example.com", config.data_dir), log, FakeClock())  # type: ignore[arg-type]
    service.start()
    service.stop()
    assert log.events == []
