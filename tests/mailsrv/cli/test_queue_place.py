"""Who gets to the queue, and as whom."""

import os
from pathlib import Path

import pytest

from mailsrv.cli import queue_place
from mailsrv.cli.program import NotPermitted
from mailsrv.cli.queue_place import (
    DROP_VARIABLE, Bell, become_service_user, find_drop_dir, open_place, read_config,
)  # fmt: skip
from mailsrv.config.schema import Config
from mailsrv.errors import ConfigError, Refused
from mailsrv.serve.privileges import Identity
from mailsrv.spool.queueid import is_id
from mailsrv.system.log import Log
from mailsrv.system.wake import Woken
from tests.mailsrv.cli.queue_house import House, build


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def test_a_place(house: House) -> None:
    place = open_place(str(house.config))
    assert place.layout == house.layout
    made = {place.new_id() for _ in range(100)}
    assert len(made) == 100, "the clock stands still"
    assert all(map(is_id, made))
    place.wake("*")  # nobody listens


def test_the_log_of_the_server_is_used_when_it_is_a_file(house: House) -> None:
    place = open_place(str(house.config))
    place.log.write("start", "notice", {})
    path = house.directory / "log"
    house.config.write_text(f'{house.config.read_text()}[log]\ndestination = "{path}"\n')
    log = open_place(str(house.config)).log
    assert isinstance(log, Log)
    log.write("start", "notice", {})
    assert "event=start" in path.read_text()


def test_root_becomes_the_service_user_before_anything_is_touched(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[tuple[int, int]] = []
    monkeypatch.setattr(queue_place, "choose", lambda _config: Identity(61184, 61185, "x", True))
    monkeypatch.setattr(queue_place, "drop_privileges", lambda uid, gid: dropped.append((uid, gid)))
    open_place(str(house.config))
    assert dropped == [(61184, 61185)]


def test_another_user_is_told_who_may(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_config: Config) -> Identity:
        raise ConfigError(["only root can become it"])

    monkeypatch.setattr(queue_place, "choose", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(NotPermitted):
        become_service_user(Config("h", "/d"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigError):
        become_service_user(Config("h", "/d"))


def test_files_that_may_not_be_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(house.config) and may(path, mode))
    with pytest.raises(NotPermitted, match="may be read by root"):
        read_config(str(house.config))
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(house.layout.data_dir))
    with pytest.raises(NotPermitted, match="may look into the queue"):
        open_place(str(house.config))


def test_no_queue(house: House) -> None:
    Path(house.layout.queue).rmdir()
    with pytest.raises(Refused, match="mailsrv serve"):
        open_place(str(house.config))


def test_an_unknown_format(house: House) -> None:
    Path(house.layout.format).write_text("99\n")
    with pytest.raises(Refused, match="99"):
        open_place(str(house.config))


def test_the_drop_directory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = house.directory / "drop"
    drop.mkdir()
    assert find_drop_dir(str(house.config)) == ""
    monkeypatch.setenv(DROP_VARIABLE, str(drop))
    assert find_drop_dir(str(house.config)) == str(drop)
    monkeypatch.delenv(DROP_VARIABLE)
    assert find_drop_dir(str(house.config)) == ""
    house.configure(f'drop_dir = "{drop}"\n')
    assert find_drop_dir(str(house.config)) == str(drop)
    monkeypatch.setattr(queue_place, "DROP_DIRECTORY", str(drop))
    assert find_drop_dir("/nonexistent") == str(drop)


class FakeWaker:
    """Full for some hints, then not."""

    def __init__(self, full: int) -> None:
        self.full = full
        self.hints: list[bytes] = []

    def wake(self, _path: str, octets: bytes = b"") -> Woken:
        if self.full:
            self.full -= 1
            return Woken.FULL
        self.hints.append(octets)
        return Woken.SENT


def test_hints_wait_for_a_runner_that_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_place, "_LOOK_SECONDS", 0.0)
    waker = FakeWaker(full=3)
    bell = Bell(waker, "/x")  # type: ignore[arg-type]
    bell.ring("!a")
    bell.ring("*")
    assert waker.hints == [b"!a", b"*"]


def test_a_runner_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_place, "_LOOK_SECONDS", 0.0)
    waker = FakeWaker(full=1000)
    bell = Bell(waker, "/x")  # type: ignore[arg-type]
    bell.ring("a")
    tried = 1000 - waker.full
    bell.ring("b")
    assert 1000 - waker.full == tried + 1
    assert waker.hints == []
