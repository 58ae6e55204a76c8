"""Wakes: sent, lost or too many, and never an error for who sends them."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.system.wake import Doorbell, Waker, Woken


@pytest.fixture
def waker():
    result = Waker()
    yield result
    result.close()


def test_a_wake_arrives_with_its_hint(tmp_path, waker):
    path = str(tmp_path / "wake")
    with Doorbell(path) as bell:
        assert not bell.wait(0)
        assert waker.wake(path, b"one") is Woken.SENT
        assert waker.wake(path) is Woken.SENT
        assert bell.wait(10)
        assert bell.take() == [b"one", b""]
        assert bell.take() == []
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert not os.path.exists(path)


def test_nobody_listens(tmp_path, waker):
    path = str(tmp_path / "wake")
    assert waker.wake(path) is Woken.NOBODY
    bell = Doorbell(path)
    bell._socket.close()  # as a process that was killed leaves it
    assert os.path.exists(path)
    assert waker.wake(path) is Woken.NOBODY
    with Doorbell(path) as bell:
        assert waker.wake(path) is Woken.SENT
    bell.close()


def test_too_many_wakes_do_not_block(tmp_path, waker):
    path = str(tmp_path / "wake")
    with Doorbell(path) as bell:
        results = [waker.wake(path, b"x" * 2000) for _ in range(3000)]
        assert results[0] is Woken.SENT
        assert results[-1] is Woken.FULL
        assert 0 < len(bell.take()) < 3000
        assert waker.wake(path) is Woken.SENT


def test_a_path_too_long_for_a_socket(tmp_path, waker):
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    with Doorbell(str(directory / "wake")) as bell:
        assert waker.wake(str(directory / "wake"), b"x") is Woken.SENT
        assert bell.take() == [b"x"]
    assert waker.wake(str(directory / "wake")) is Woken.NOBODY


def test_no_directory(tmp_path, waker):
    with pytest.raises(StorageError, match="no socket"):
        Doorbell(str(tmp_path / "no/wake"))
    assert waker.wake(str(tmp_path / "no/wake")) is Woken.NOBODY
