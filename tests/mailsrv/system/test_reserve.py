"""Room that is held back, and given up."""

import os
from types import SimpleNamespace

import pytest

from mailsrv.system.reserve import Reserve

SIZE = 65536


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reserve"


def test_it_is_made_and_given_up_and_made_again(path):
    reserve = Reserve(str(path), SIZE)
    assert not reserve.is_given_up() and not reserve.give_up(), "there was none yet"
    assert not path.exists()
    assert reserve.keep() and reserve.keep()
    found = path.stat()
    assert found.st_size == SIZE and found.st_blocks * 512 >= SIZE and found.st_mode & 0o777 == 0o600
    other = Reserve(str(path), SIZE)  # another process
    assert other.give_up() and not reserve.give_up()
    assert path.stat().st_size == 0
    assert not reserve.is_given_up(), "there is room, so it is made again"
    assert path.stat().st_size == SIZE


def test_it_is_not_made_where_room_is_scarce(path, monkeypatch):
    reserve = Reserve(str(path), SIZE)
    reserve.keep()
    reserve.give_up()
    scarce = SimpleNamespace(f_bavail=3 * SIZE, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: scarce)
    assert reserve.is_given_up() and not reserve.keep()
    assert path.stat().st_size == 0
    scarce.f_bavail = 4 * SIZE
    assert reserve.keep() and not reserve.is_given_up()


def test_a_system_that_refuses(path, monkeypatch):
    reserve = Reserve(str(path), SIZE)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert not reserve.keep() and path.stat().st_size == 0
    monkeypatch.undo()
    reserve.keep()
    monkeypatch.setattr(os, "truncate", refuse)
    assert not reserve.give_up()
    assert not Reserve(f"{path}/no/where", SIZE).keep()
    assert not Reserve(str(path.parent), SIZE).give_up(), "a directory is no reserve"
