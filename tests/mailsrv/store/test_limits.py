"""What was set as a quota: the file, who sees it when, and what a damaged one means."""

import os

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.limits import MAX_NUMBER, Limits, format_limits, parse_limits
from mailsrv.store.values import Usage
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock

CONFIGURED = Usage(1000, 10)


@pytest.fixture
def limits(tmp_path):
    return Limits(Disk(), str(tmp_path), FakeClock(2_000_000_000.0))


def test_the_configuration_holds_until_something_is_set(limits, tmp_path):
    assert limits.find("bob", CONFIGURED) == CONFIGURED
    assert os.listdir(tmp_path) == []
    other = Limits(Disk(), str(tmp_path), FakeClock(2_000_000_000.0))
    limits.set("bob", Usage(5, 0))
    limits.set("alice", Usage())
    assert limits.find("bob", CONFIGURED) == other.find("bob", CONFIGURED) == Usage(5)
    assert other.find("alice", CONFIGURED) == Usage()
    assert (tmp_path / "quotas").read_bytes() == b"quotas 1\nalice\t0\t0\nbob\t5\t0\n"
    other.set("bob", None)
    assert limits.find("bob", CONFIGURED) == CONFIGURED
    assert limits.known() == {"alice": Usage()}


def test_a_damaged_file_changes_nothing_and_is_not_written_over(limits, tmp_path):
    (tmp_path / "quotas").write_bytes(b"quotas 1\nbob\tmuch\t0\n")
    assert limits.find("bob", CONFIGURED) == CONFIGURED
    with pytest.raises(StorageError, match=r"quotas:2: not an account"):
        limits.set("bob", Usage(5))
    with pytest.raises(StorageError, match="correct or remove it"):
        limits.known()
    assert (tmp_path / "quotas").read_bytes() == b"quotas 1\nbob\tmuch\t0\n"


def test_no_name_leads_elsewhere(limits):
    with pytest.raises(ValueError, match="not the name of an account"):
        limits.set("../bob", Usage(5))


def test_the_file_is_read_as_it_was_written():
    known = {"a.b-c": Usage(MAX_NUMBER, 0), "z": Usage(0, MAX_NUMBER)}
    assert parse_limits(format_limits(known)) == known


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"quotas 2\n", b"quotas 1", b"quotas 1\nbob\t1\n", b"quotas 1\nbob\t1\t-1\n", b"quotas 1\n\t1\t1\n",
        b"quotas 1\nbob\t1\t1\nbob\t1\t1\n", b"quotas 1\nbob\t1\t9223372036854775808\n", b"quotas 1\nb\t1\t\xb2\n",
    ],
)  # fmt: skip
def test_what_is_no_such_file(octets):
    with pytest.raises(ValueError, match=r"^\d+: "):
        parse_limits(octets)
