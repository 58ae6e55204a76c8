"""An export as Maildir++."""

import os

import pytest

from mailsrv.cli import export_maildir
from mailsrv.cli.export_form import Tellers
from mailsrv.cli.export_maildir import MaildirExport
from mailsrv.store.values import FLAGGED, SEEN
from mailsrv.system.disk import Disk, UnnamedFile
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
    export = MaildirExport(Disk(), str(root), Tellers(lambda: steps.append(1), pytest.fail))
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


@pytest.mark.parametrize(("bound", "value"), [("_BATCH", 2), ("_BATCH_OCTETS", 9)])
def test_what_has_a_name_is_durable_also_in_batches(tmp_path, monkeypatch, bound, value):
    monkeypatch.setattr(export_maildir, bound, value)
    ground = Ground(tmp_path / "data")
    ground.append(ground.open(), *(f"text {number}" for number in range(5)), received=1_500_000_000)
    order = []
    for name in ("sync", "link"):
        plain = getattr(UnnamedFile, name)

        def watched(file, *names, plain=plain, name=name):
            order.append((name, file))
            plain(file, *names)

        monkeypatch.setattr(UnnamedFile, name, watched)
    export = MaildirExport(Disk(), str(tmp_path / "out"), Tellers(lambda: None, pytest.fail))
    [info] = ground.reader.mailboxes()
    assert export.write(info, ground.open()).messages == 5
    assert [name for name, _ in order] == ["sync", "sync", "link", "link"] * 2 + ["sync", "link"]
    assert len({file for _, file in order}) == 5
    cur = tmp_path / "out/cur"
    assert sorted(path.read_text() for path in cur.iterdir()) == [f"text {number}" for number in range(5)]
    assert {path.stat().st_mtime for path in cur.iterdir()} == {1_500_000_000}
    assert not any(file._fd >= 0 for _, file in order)
