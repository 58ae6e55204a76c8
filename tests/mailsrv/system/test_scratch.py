"""The scratch: the same octets come out whatever way they went in, in memory and spilled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.errors import StorageError, StorageFull
from mailsrv.system.disk import Disk
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

from tests.fakes.disk import FakeDisk


def new_scratch(bound=100, limit=1000):
    disk = FakeDisk()
    disk._make("/tmp")
    budget = MemoryBudget(limit)
    return disk, budget, Scratch(disk, "/tmp", bound, budget)


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 200), st.integers(0, 300), st.integers(0, 250))
def test_the_octets_are_those_that_came(chunks, bound, skip, limit):
    disk, budget, scratch = new_scratch(bound, 150)
    whole = b"".join(chunks)
    skip = min(skip, len(whole))
    with scratch:
        for chunk in chunks:
            scratch.write(chunk)
        assert scratch.size == len(whole)
        assert scratch.head(limit) == whole[:limit]
        octets = Octets(b"P: 1\r\n", scratch, skip)
        assert octets.size == len(whole) - skip + 6
        with disk.open_unnamed("/tmp") as file:
            octets.write_to(file, b"R: 2\r\n")
            assert file.read_at(0, 1000) == b"R: 2\r\nP: 1\r\n" + whole[skip:]
        blocks = list(scratch.blocks(skip, 7))
        assert b"".join(blocks) == whole[skip:]
        assert all(0 < len(block) <= 7 for block in blocks)
        for _ in range(2):
            assert b"".join(octets.blocks()) == b"P: 1\r\n" + whole[skip:]
    assert budget._left == 150
    assert all(file.closed for file in disk.files)


def test_a_small_message_goes_out_with_one_write():
    disk, _, scratch = new_scratch()
    for chunk in (b"one", b"two"):
        scratch.write(chunk)
    file = disk.open_unnamed("/tmp")
    disk.operations.clear()
    Octets(b"head", scratch).write_to(file, b"first")
    assert disk.operations == [("write", "/tmp")]
    assert file.read_at(0, 100) == b"firstheadonetwo"


def test_a_message_that_comes_in_crumbs_is_kept_in_few_pieces():
    disk, budget, scratch = new_scratch(100_000, 100_000)
    for number in range(20_000):
        scratch.write(b"%03d" % (number % 1000))
    assert len(scratch._chunks) <= 60
    assert scratch.head(9) == b"000001002"
    assert scratch.size == 60_000
    assert budget._left == 40_000
    scratch.close()
    assert budget._left == 100_000


def test_beyond_the_bound_memory_is_given_back():
    disk, budget, scratch = new_scratch()
    scratch.write(b"x" * 100)
    assert (budget._left, disk.files) == (900, [])
    scratch.write(b"y")
    assert budget._left == 1000
    assert len(disk.files) == 1
    assert "sync" not in [operation for operation, _ in disk.operations]


def test_without_budget_even_a_small_message_spills():
    disk, budget, scratch = new_scratch(limit=5)
    other = Scratch(disk, "/tmp", 100, budget)
    other.write(b"12345")
    scratch.write(b"6")
    assert len(disk.files) == 1
    other.close()
    assert budget._left == 5
    assert scratch.head(10) == b"6"


def test_octets_that_the_disk_lost_are_told():
    disk, _, scratch = new_scratch()
    scratch.write(b"x" * 200)
    disk.files[0]._file.octets = b"x" * 150
    with pytest.raises(StorageError, match="shorter"):
        list(scratch.blocks())


def test_a_full_disk_is_told_and_leaves_nothing_taken():
    disk, budget, scratch = new_scratch()
    scratch.write(b"x" * 90)
    disk.refuse = lambda operation, path: StorageFull("full") if operation == "write" else None
    with pytest.raises(StorageFull):
        scratch.write(b"x" * 20)
    scratch.close()
    scratch.close()
    assert budget._left == 1000
    assert all(file.closed for file in disk.files)


def test_on_a_real_disk(tmp_path):
    (tmp_path / "tmp").mkdir()
    disk = Disk()
    directory = str(tmp_path / "tmp")
    with Scratch(disk, directory, 1000, MemoryBudget(10_000)) as scratch, disk.open_unnamed(directory) as file:
        for number in range(50):
            scratch.write(bytes([number]) * 100)
        Octets(b"head", scratch, 150).write_to(file, b"first")
        whole = b"".join(bytes([number]) * 100 for number in range(50))
        assert file.read_at(0, 10_000) == b"firsthead" + whole[150:]
        assert file.size == 9 + 4850
