"""What the tests of the account tools share: a configuration with two accounts, their readers, and a Maildir."""

import os
from pathlib import Path

from mailsrv.cli.mailsrv import main
from mailsrv.config.load import load
from mailsrv.store.readers import Readers
from mailsrv.store.values import SYSTEM_FLAGS, Incoming, Usage
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk

CONFIG = """\
hostname = "mail.example.org"
data_dir = "{root}/data"
domains = ["example.org"]
[[accounts]]
name = "alice"
addresses = ["alice@example.org", "postmaster@example.org"]
[[accounts]]
name = "bob"
addresses = ["bob@example.org"]
quota_bytes = {quota}
"""


class House:
    """`run` is one command as a person gives it."""

    def __init__(self, root: Path, quota: int = 0) -> None:
        self.root = root
        self.path = root / "mail.toml"
        self.path.write_text(CONFIG.format(root=root, quota=quota))
        self.data = root / "data"

    @property
    def config(self):
        return load(str(self.path), {})

    def reader(self, account="alice"):
        return Readers(Disk(), str(self.data), SystemClock(), "h").reader(account, Usage())

    def run(self, *words):
        return main([*map(str, words), "--config", str(self.path)])

    def append(self, text, mailbox="INBOX", flags=(), received=1_600_000_000, account="alice"):
        """One message; gives its UID."""
        reader = self.reader(account)
        if mailbox not in [info.name for info in reader.mailboxes()]:
            reader.create(mailbox)
        box = reader.open(mailbox)
        file = box.new_file()
        file.write([text.encode()])
        word = 0
        for flag in flags:
            word |= SYSTEM_FLAGS.get(flag) or box.keyword_bit(flag, create=True)
        return box.append([Incoming(file, word, received)])[0]

    def mail(self, account="alice"):
        """Everything: mailbox -> {text: (flags, received)}."""
        found = {}
        reader = self.reader(account)
        for info in reader.mailboxes():
            if info.exists:
                box = reader.open(info.name)
                names = {mask: name for name, mask in SYSTEM_FLAGS.items()} | dict(box.keywords())
                texts = found.setdefault(info.name, {})
                for uid, word, received in list(box.rows(None, ("uid", "flags", "received"))):
                    with box.open_file(uid) as file:
                        text = file.read_at(0, file.size).decode()
                    texts[text] = ({name for mask, name in names.items() if word & mask}, received)
        return found


def make_maildir(root: Path, *mailboxes: str) -> Path:
    """An empty Maildir with these directories in it."""
    for mailbox in ("", *mailboxes):
        for leaf in ("cur", "new", "tmp"):
            os.makedirs(root / mailbox / leaf, exist_ok=True)
    return root


def put(path: Path, text: str = "Subject: x\n\nbody\n", received: int = 1_500_000_000) -> Path:
    """A file with this time."""
    path.write_bytes(text.encode())
    os.utime(path, (received, received))
    return path
