"""An export as mbox files."""

import pytest

from mailsrv.cli.export_form import Tellers
from mailsrv.cli.export_mbox import MboxExport, file_of
from mailsrv.cli.import_mbox import _level
from mailsrv.store.values import FLAGGED, SEEN
from mailsrv.system.disk import Disk
from tests.mailsrv.store.ground import Ground


def test_the_file(tmp_path):
    ground = Ground(tmp_path / "data")
    ground.reader.create("a/b")
    box = ground.open("a/b")
    text = "Return-Path: <x@y.example>\r\nS: x\r\n\r\nFrom me\r\n"
    ground.append(box, text, flags=SEEN | FLAGGED, received=1704067209)
    ground.append(box, "S: y\r\n\r\nno end", received=0)
    root = tmp_path / "out"
    root.mkdir()
    written = MboxExport(Disk(), str(root), Tellers(lambda: None, pytest.fail)).write(ground.reader.find("a/b"), box)
    assert (written.messages, written.octets) == (2, len(text) + 14)
    assert (root / "a/b.mbox").read_bytes() == (
        b"From x@y.example Mon Jan  1 00:00:09 2024\nStatus: RO\nX-Status: F\n"
        b"Return-Path: <x@y.example>\nS: x\n\n>From me\n\n"
        b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nStatus: O\nS: y\n\nno end\n\n"
    )


def test_names_of_files_are_read_back():
    for level in ("Sent", ".x", "ä", "R&D", "..", "日本語"):
        name = file_of(level)
        assert not name.startswith(".")
        assert _level(f"{name}.mbox") == level
    assert len(file_of("x" * 500)) == 200
    assert file_of("x" * 500) != file_of("x" * 501)
