"""Small text files: read once while they stay as they are, changed under a lock, and never written over in doubt."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.small_file import SmallFiles, is_old
from mailsrv.system.disk import Disk, Stamp

from tests.fakes.clock import FakeClock

NOW = 2_000_000_000.0


class Words(SmallFiles[list[str]]):
    """Files with a word a line; counts how often one is read."""

    def __init__(self) -> None:
        self.parsed = 0
        super().__init__(Disk(), FakeClock(NOW), self._read_words, lambda words: "\n".join(words).encode(), list)

    def _read_words(self, octets: bytes) -> list[str]:
        self.parsed += 1
        if b"!" in octets:
            raise ValueError("1: no words")
        return octets.decode().split("\n")


def age(path, number=0):
    os.utime(path, (NOW - 1000 + number, NOW - 1000 + number))


def test_what_is_old_is_read_once(tmp_path):
    path, files = tmp_path / "words", Words()
    assert files.read(str(path)) == []
    path.write_text("a\nb")
    age(path)
    assert files.read(str(path)) == files.read(str(path)) == ["a", "b"]
    assert files.parsed == 1
    path.write_text("c\nd")
    age(path, 1)
    assert files.read(str(path)) == ["c", "d"]
    path.unlink()
    assert files.read(str(path)) == []


def test_what_is_young_is_read_again(tmp_path):
    path, files = tmp_path / "words", Words()
    path.write_text("a")
    os.utime(path, (NOW - 1, NOW - 1))
    assert files.read(str(path)) == files.read(str(path)) == ["a"]
    assert files.parsed == 2
    assert not is_old(FakeClock(NOW), Stamp(1, 1, int((NOW - 1) * 1e9)))


def test_a_change_is_written_and_nothing_else(tmp_path):
    path, lock, files = tmp_path / "words", str(tmp_path / "lock"), Words()
    with files.change(str(path), lock) as words:
        words.append("a")
    assert path.read_text() == "a"
    before = path.stat().st_ino
    with files.change(str(path), lock):
        pass
    assert path.stat().st_ino == before
    with pytest.raises(RuntimeError), files.change(str(path), lock) as words:
        words.append("b")
        raise RuntimeError
    assert path.read_text() == "a"


def test_damage_is_not_written_over(tmp_path):
    path, lock, files = tmp_path / "words", str(tmp_path / "lock"), Words()
    path.write_text("!")
    with pytest.raises(StorageError, match="words:1: no words; correct or remove it"):
        files.read(str(path))
    with pytest.raises(StorageError), files.change(str(path), lock):
        pass
    assert path.read_text() == "!"
