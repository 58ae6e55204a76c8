"""Paused next hops: durable, read again when changed, editable by hand."""

from pathlib import Path

import pytest

from mailsrv.spool.layout import Layout, prepare
from mailsrv.spool.paused import Pause, Paused
from mailsrv.system.disk import Disk
from tests.fakes.disk import FakeDisk


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return prepare(Disk(), str(tmp_path))


def test_add_find_remove(layout: Layout) -> None:
    paused = Paused(Disk(), layout)
    assert not paused.is_paused("example.net")
    assert paused.add("Example.NET", 0.0, "they\nmove")
    assert not paused.add("example.net", 5.0)
    assert paused.find("EXAMPLE.net") == Pause("example.net", "1970-01-01T00:00:00Z", "they move")
    assert paused.add("smtp:relay.example.org:587", 1.0)
    other = Paused(Disk(), layout)
    assert list(other.all()) == ["example.net", "smtp:relay.example.org:587"]
    assert other.remove("example.net")
    assert not other.remove("example.net")
    assert not paused.is_paused("example.net")


def test_a_file_edited_by_hand(layout: Layout) -> None:
    path = Path(layout.data_dir, "spool/paused")
    path.write_bytes(b"# a remark\n\nexample.org\nb\xfccher.example 2027-01-01T00:00:00Z why not\n")
    paused = Paused(Disk(), layout)
    assert paused.is_paused("example.org")
    assert [one.reason for one in paused.all().values()] == ["", "why not"]
    path.unlink()
    assert paused.all() == {}


def test_a_pause_survives_a_power_cut() -> None:
    disk = FakeDisk()
    layout = prepare(disk, "/data")  # type: ignore[arg-type]
    disk.settle()
    Paused(disk, layout).add("example.net", 0.0)  # type: ignore[arg-type]
    assert all(image["/data/spool/paused"].startswith(b"example.net ") for image in disk.images())
