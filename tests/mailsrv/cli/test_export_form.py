"""The messages of an export."""

import pytest

from mailsrv.cli import export_form
from mailsrv.cli.export_form import Tellers, messages
from mailsrv.errors import StorageError
from mailsrv.imap.numbers import NumberSet
from mailsrv.store.values import DELETED, SEEN, Operation
from mailsrv.system.openfile import OpenFile
from tests.mailsrv.store.ground import Ground


def test_in_order_and_without_those_that_vanish(tmp_path, monkeypatch):
    monkeypatch.setattr(export_form, "_AT_ONCE", 3)
    monkeypatch.setattr(export_form, "_PIECE", 2)
    ground = Ground(tmp_path)
    box = ground.open()
    word = SEEN | box.keyword_bit("work", create=True)
    ground.append(box, "abcde", "b", "c", "d", flags=word, received=1_500_000_000)
    found = []
    for message in messages(box, Tellers(lambda: None, pytest.fail)):
        found.append((message.uid, b"".join(message.pieces()), message.flags, message.received))
        if message.uid == 1:
            box.store_flags(NumberSet([(2, 2), (4, 4)]), Operation.ADD, DELETED)
            box.expunge()
            ground.tidy()
    names = {"\\Seen", "work"}
    assert found == [(1, b"abcde", names, 1_500_000_000), (3, b"c", names, 1_500_000_000)]


def test_one_that_the_disk_does_not_give_is_told_and_passed_over(tmp_path, monkeypatch):
    """Whether it cannot be opened, or breaks in its middle."""
    monkeypatch.setattr(export_form, "_PIECE", 2)
    ground = Ground(tmp_path)
    box = ground.open()
    ground.append(box, "abcde", "fghij", "klmno", "pqrst")
    plain = OpenFile.read_at

    def read_at(file, offset, count):
        octets = plain(file, offset, count)
        if octets == b"hi":
            raise StorageError("Input/output error")
        return octets

    monkeypatch.setattr(OpenFile, "read_at", read_at)
    ((path,),) = box.rows(NumberSet([(3, 3)]), ("path",))
    disk = ground.reader._index.disk
    opened = disk.open_file

    def open_file(name):
        if name.endswith(path):
            raise StorageError("Permission denied")
        return opened(name)

    monkeypatch.setattr(disk, "open_file", open_file)
    failed = []
    tellers = Tellers(lambda: None, lambda *what: failed.append(what))
    assert [b"".join(message.pieces()) for message in messages(box, tellers)] == [b"abcde", b"pqrst"]
    assert failed == [("INBOX", 2, "Input/output error"), ("INBOX", 3, "Permission denied")]
