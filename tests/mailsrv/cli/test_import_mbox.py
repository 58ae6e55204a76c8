"""mbox files as a source."""

import io
import os

import pytest

from mailsrv.cli.import_mbox import MboxSource
from mailsrv.errors import GrammarError, Refused

LINE = "From a@b Mon Jan  1 00:00:09 2024\n"


def read(path, stdin=b""):
    source = MboxSource(str(path), io.BytesIO(stdin))
    [origin] = source.mailboxes()
    return [(one.key, one.flags, one.received, b"".join(one.pieces)) for one in source.items(origin, ())]


def test_a_file(tmp_path):
    path = tmp_path / "Sent.mbox"
    path.write_text(
        f"{LINE}From: x\nStatus: RO\nX-Keywords: work\n\nbody\n>From me\n\n"
        "From x@y Mon Jan 01 10:00:00 +0000 2024\nDate: Mon, 1 Jan 2024 00:00:10 +0000\n\n\n"
    )
    assert read(path) == [
        ("", {"\\Seen", "work"}, 1704067209, b"From: x\n\nbody\nFrom me\n"),
        ("", frozenset(), 1704067210, b"Date: Mon, 1 Jan 2024 00:00:10 +0000\n\n"),
    ]
    [origin] = MboxSource(str(path), io.BytesIO()).mailboxes()
    assert (origin.name, origin.special_use) == ("Sent", "\\Sent")


def test_the_placeholder_is_no_message(tmp_path):
    (tmp_path / "x").write_text(f"{LINE}Subject: FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nx\n\n{LINE}S: y\n\n")
    assert [octets for *_, octets in read(tmp_path / "x")] == [b"S: y\n"]


def test_standard_input():
    assert [octets for *_, octets in read("-", f"{LINE}S: y\n\n".encode())] == [b"S: y\n"]
    with pytest.raises(GrammarError, match="^standard input: is no mbox"):
        read("-", b"nonsense")


def test_a_file_that_is_no_mbox_is_named(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0:0\n")
    with pytest.raises(GrammarError, match=f"^{tmp_path}/passwd: is no mbox"):
        read(tmp_path / "passwd")


def test_a_directory(tmp_path):
    for name in ("Inbox", "Sent.sbd/Old", "a.mbox", "a/b.mbox", "K&APY-ln", ".hidden"):
        os.makedirs((tmp_path / name).parent, exist_ok=True)
        (tmp_path / name).write_text(f"{LINE}S: y\n\n")
    (tmp_path / "empty.mbox").write_text("")
    (tmp_path / "Inbox.msf").write_text("index")
    names = [one.name for one in MboxSource(str(tmp_path), io.BytesIO()).mailboxes()]
    assert names == ["INBOX", "Köln", "Sent/Old", "a", "a/b", "empty"]


def test_a_header_without_end_is_not_kept(tmp_path):
    path = tmp_path / "x"
    text = "S: " + "x" * 70 + "\n"
    path.write_text(LINE + text * 30000)
    [(_, _, _, octets)] = read(path)
    assert octets == (text * 30000).encode()


def test_nothing_there(tmp_path):
    with pytest.raises(Refused, match="no such file"):
        MboxSource(str(tmp_path / "none"), io.BytesIO())
    with pytest.raises(Refused, match="no mbox in it"):
        MboxSource(str(tmp_path), io.BytesIO()).mailboxes()
