"""Names of messages in a Maildir."""

import hashlib
import shutil
import subprocess

import pytest

from mailsrv.errors import GrammarError
from mailsrv.store.message import base_name, base_of, checksum, flags_of, hash_of, size_of, tail_with
from mailsrv.store.values import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN


def test_a_base_name():
    assert base_name(1795343882.9, "dZJjly8m63W0", 44, "mx.test") == "1795343882.dZJjly8m63W0.mx.test,S=44"


def test_a_host_name_cannot_lead_elsewhere():
    assert base_name(1, "x1", 2, "a/b:c,d") == "1.x1.a\\057b\\072c\\054d,S=2"


@pytest.mark.parametrize("identifier", ["", "../x", "a b", "a,S=1"])
def test_only_an_id_becomes_part_of_a_name(identifier):
    with pytest.raises(GrammarError):
        base_name(1, identifier, 2, "h")


@pytest.mark.parametrize(
    ("name", "size", "base"),
    [
        ("1.x.h,S=44", 44, "1.x.h,S=44"),
        ("1.x.h,S=44:2,RS", 44, "1.x.h,S=44"),
        ("1.x.h,S=44,W=46:2,", 44, "1.x.h,S=44,W=46"),
        ("1.x.h:2,S", None, "1.x.h"),
        ("1.x.h", None, "1.x.h"),
        ("1.x.h,S=x", None, "1.x.h,S=x"),
        ("1.x.h,S=44k", None, "1.x.h,S=44k"),
    ],
)
def test_what_a_name_tells(name, size, base):
    assert size_of(name) == size
    assert base_of(name) == base


@pytest.mark.parametrize(
    ("tail", "flags", "result"),
    [
        ("", 0, ":2,"),
        (":2,", SEEN | FLAGGED, ":2,FS"),
        (":2,FS", ANSWERED | DELETED | DRAFT, ":2,DRT"),
        (":2,PSab", 0, ":2,Pab"),
        (":2,", 1 << 8, ":2,"),
    ],
)
def test_flags_stand_behind_the_base_name(tail, flags, result):
    assert tail_with(tail, flags) == result
    assert flags_of(result) == flags & 31


def test_flags_of_strange_ends():
    assert [flags_of(tail) for tail in ("", ":2,", ":2,SS", ":2,XYZ", ":1,S")] == [0, 0, SEEN, 0, SEEN]


def test_a_hash_is_of_the_base_name():
    assert hash_of("a") != hash_of("b") and 0 <= hash_of("ä") < 1 << 32


def test_a_checksum_is_that_of_all_octets_in_whatever_pieces(tmp_path):
    octets = bytes(range(256)) * 20
    assert checksum((octets,)) == checksum([octets[:1], memoryview(octets)[1:4000], b"", octets[4000:]])
    assert checksum((octets,)) == hashlib.blake2b(octets, digest_size=16).digest()
    assert checksum(()) != checksum((b"x",))
    if shutil.which("b2sum"):
        (tmp_path / "x").write_bytes(octets)
        told = subprocess.run(["b2sum", "-l", "128", tmp_path / "x"], capture_output=True, text=True, check=True).stdout
        assert told.split()[0] == checksum((octets,)).hex()
