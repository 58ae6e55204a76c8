"""An export as Maildir++."""

import os

from mailsrv.cli.export_maildir import MaildirExport
from mailsrv.store.values import FLAGGED, SEEN
from mailsrv.system.disk import Disk
from tests.mailsrv.store.ground import Ground


def test_the_files(tmp_path):
    ground = Ground(tmp_path / "data")
    ground.reader.create("a.b/c")
    ground.reader.subscribe("a.b/c")
    box = ground.open("a.b/c")
    word = SEEN | FLAGGED
    for number in range(27):
        word |= box.keyword_bit(f"k{number:02}", create=True)
    ground.append(box, "text", flags=word, received=1_500_000_000)
    [(base,)] = box.rows(None, ("base",))
    steps = []
    root = tmp_path / "out"
    export = MaildirExport(Disk(), str(root), lambda: steps.append(1))
    infos = ground.reader.mailboxes()
    written = [export.write(info, ground.open(info.name)) for info in infos]
    export.finish(infos)
    found = [(one.name, one.messages, one.octets) for one in written]
    assert found == [("INBOX", 0, 0), ("a.b", 0, 0), ("a.b/c", 1, 4)]
    assert len(steps) == 1
    path = root / ".a&AC4-b.c"
    letters = "abcdefghijklmnopqrstuvwxyz"
    [name] = os.listdir(path / "cur")
    assert name == f"{base}:2,FS{letters}"
    status = os.stat(path / "cur" / name)
    assert (status.st_mtime, status.st_size, status.st_mode & 0o777) == (1_500_000_000, 4, 0o600)
    assert (path / "dovecot-keywords").read_text().splitlines()[:2] == ["0 k00", "1 k01"]
    assert (root / "subscriptions").read_text() == "V\t2\n\nINBOX\na&AC4-b\tc\n"
    assert {"cur", "new", "tmp", "maildirfolder"} <= set(os.listdir(path))
