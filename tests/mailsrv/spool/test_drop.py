"""The drop directory: files appear whole, and nothing that a user puts there does harm."""

import os
from pathlib import Path

import pytest

from mailsrv.errors import GrammarError, StorageError
from mailsrv.spool.drop import (
    Dropped, Request, check_directory, decode_request, encode_request, find_inode, is_drop, leave,
)  # fmt: skip
from mailsrv.spool.queueid import QueueIds
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock

NOW = 1_800_000_000.0
REQUEST = Request(("bob@example.net",), "ada@example.com", "Ada", ("FAILURE",), "HDRS", "x")
MESSAGE = b"Subject: x\r\n\r\nhi\r\n"


def new_name(slot: int = 0, now: float = NOW) -> str:
    return QueueIds(FakeClock(now), slot).new() + "0"


def test_left_and_read(tmp_path: Path) -> None:
    name = new_name()
    leave(Disk(), str(tmp_path), name, REQUEST, MESSAGE)
    assert os.listdir(tmp_path) == [name]
    with Dropped.open(f"{tmp_path}/{name}", 1000) as dropped:
        assert dropped.uid == os.getuid()
        request, offset = dropped.request()
        assert request == REQUEST
        assert b"".join(dropped.blocks(offset)) == MESSAGE


def test_names_of_messages() -> None:
    assert is_drop(new_name(), NOW)
    assert not is_drop(new_name(slot=1), NOW), "a worker's ID cannot be taken"
    assert not is_drop(new_name(now=NOW + 3600), NOW)
    assert not any(is_drop(name, NOW) for name in ("status", ".x", new_name() + "0", "../" + new_name()))


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"version":2,"recipients":[]}', b'{"version":true,"recipients":[]}',
             b'{"version":1}', b'{"version":1,"recipients":["a"],"uid":0}', b'{"version":1,"recipients":"a"}']
)  # fmt: skip
def test_a_first_line_that_is_none(line: bytes) -> None:
    with pytest.raises(GrammarError):
        decode_request(line)


def test_a_request_survives() -> None:
    assert decode_request(encode_request(REQUEST)) == REQUEST
    assert decode_request(encode_request(Request(("b\xfc\u2028",)))) == Request(("b\xfc\u2028",))


def test_what_is_no_ordinary_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    os.link(tmp_path / "target", tmp_path / "second")
    (tmp_path / "long").write_bytes(b"")
    os.truncate(tmp_path / "long", 1 << 30)
    for name in ("link", "fifo", "directory", "target", "long", "nothing"):
        with pytest.raises(GrammarError):
            Dropped.open(f"{tmp_path}/{name}", 1000)
    assert find_inode(f"{tmp_path}/link") == os.lstat(tmp_path / "link").st_ino
    assert find_inode(f"{tmp_path}/nothing") == 0


@pytest.mark.parametrize("message", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"x" * ((1 << 20) - 1) + b"\ry"])
def test_line_ends_that_two_servers_could_read_differently(tmp_path: Path, message: bytes) -> None:
    leave(Disk(), str(tmp_path), new_name(), REQUEST, message)
    (path,) = tmp_path.iterdir()
    with Dropped.open(str(path), 1 << 22) as dropped:
        offset = dropped.request()[1]
        with pytest.raises(GrammarError):
            list(dropped.blocks(offset))


def test_a_line_end_on_a_block_s_edge(tmp_path: Path) -> None:
    message = b"x" * ((1 << 20) - 1) + b"\r\n" + b"y\r\n"
    leave(Disk(), str(tmp_path), new_name(), REQUEST, message)
    (path,) = tmp_path.iterdir()
    with Dropped.open(str(path), 1 << 22) as dropped:
        assert b"".join(dropped.blocks(dropped.request()[1])) == message


def test_the_directory_must_be_ours_and_sticky(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"mailsrv\.toml\(5\)"):
        check_directory(f"{tmp_path}/none")
    drop = tmp_path / "drop"
    drop.mkdir()
    drop.chmod(0o777)
    with pytest.raises(StorageError, match="must have 3777"):
        check_directory(str(drop))
    drop.chmod(0o3777)
    check_directory(str(drop))
    (tmp_path / "link").symlink_to(drop)
    with pytest.raises(StorageError, match="must be a directory"):
        check_directory(f"{tmp_path}/link")
