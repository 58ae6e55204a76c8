"""The set of open directories: bounded, and never the wrong directory for long."""

import os

import pytest

from mailsrv.system import directories
from mailsrv.system.directories import OpenDirectories

from tests.fakes.clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def found(clock):
    result = OpenDirectories(3)
    result._monotonic = clock.monotonic
    return result


def test_the_same_directory_is_opened_once(found, tmp_path):
    assert found.find(str(tmp_path)) is found.find(str(tmp_path))


def test_a_directory_moved_away_is_noticed_after_a_second(found, tmp_path, clock):
    path = tmp_path / "new"
    path.mkdir()
    first = found.find(str(path))
    path.rename(tmp_path / "old")
    path.mkdir()
    clock.advance(directories._TRUST_SECONDS)
    second = found.find(str(path))
    assert os.fstat(second.fd).st_ino == path.stat().st_ino
    assert second is not first


def test_one_that_stayed_is_kept_after_a_second(found, tmp_path, clock):
    first = found.find(str(tmp_path))
    clock.advance(directories._TRUST_SECONDS + 1)
    assert found.find(str(tmp_path)) is first


def test_one_that_is_gone_is_the_error_of_open(found, tmp_path, clock):
    path = tmp_path / "new"
    path.mkdir()
    found.find(str(path))
    path.rmdir()
    clock.advance(directories._TRUST_SECONDS)
    with pytest.raises(FileNotFoundError):
        found.find(str(path))
    with pytest.raises(FileNotFoundError):
        found.find(str(tmp_path / "never"))


def test_the_one_used_longest_ago_is_closed(found, tmp_path):
    paths = [tmp_path / name for name in "abcd"]
    for path in paths:
        path.mkdir()
    first = found.find(str(paths[0])).fd
    found.find(str(paths[1]))
    found.find(str(paths[2]))
    assert found.find(str(paths[0])).fd == first
    dropped = found.find(str(paths[1]))
    for path in (paths[0], paths[2], paths[3]):
        found.find(str(path))
    os.fstat(dropped.fd)  # held here, so it is still open
    descriptor = dropped.fd
    assert found.find(str(paths[1])) is not dropped
    del dropped
    with pytest.raises(OSError):
        os.fstat(descriptor)
