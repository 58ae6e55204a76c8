"""The layout of data_dir, made once and checked at each start."""

import os

import pytest

from mailsrv.errors import Refused
from mailsrv.spool import layout
from mailsrv.spool.hops import HOPS
from mailsrv.spool.paused import PAUSED
from mailsrv.spool.layout import prepare
from mailsrv.system.disk import Disk

from tests.house.manual import find_tags


def test_a_new_data_dir(tmp_path):
    made = prepare(Disk(), str(tmp_path / "data"))
    assert (tmp_path / "data/FORMAT").read_text() == "1\n"
    for directory in layout.DIRECTORIES:
        assert (tmp_path / "data" / directory).is_dir()
        assert (tmp_path / "data" / directory).stat().st_mode & 0o777 == 0o700
    assert os.path.isdir(made.queue) and os.path.isdir(made.tmp)
    assert made.wake == f"{made.data_dir}/run/wake"


def test_a_second_start_changes_nothing(tmp_path):
    prepare(Disk(), str(tmp_path))
    (tmp_path / "spool/queue/x").write_bytes(b"")
    prepare(Disk(), str(tmp_path))
    assert (tmp_path / "spool/queue/x").exists()


@pytest.mark.parametrize("found", ["2\n", "", "1.0\n", "one\n", "1\n1\n"])
def test_an_unknown_format_refuses_to_start(tmp_path, found):
    (tmp_path / "FORMAT").write_text(found)
    with pytest.raises(Refused, match="knows format 1 only"):
        prepare(Disk(), str(tmp_path))
    assert os.listdir(tmp_path) == ["FORMAT"]


def test_a_spool_without_its_format_is_not_guessed_at(tmp_path):
    prepare(Disk(), str(tmp_path))
    (tmp_path / "FORMAT").unlink()
    with pytest.raises(Refused, match="FORMAT is missing"):
        prepare(Disk(), str(tmp_path))


def test_the_page_names_the_same_files():
    documented = set(find_tags("mailsrv-spool.5", "FILES"))
    assert documented == {*layout.DIRECTORIES, layout.FORMAT, layout.WAKE, layout.LOCK, PAUSED, HOPS}
