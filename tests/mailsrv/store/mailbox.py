"""A real account on a real disk, with messages in it, for the tests of everything that reads them."""

from pathlib import Path

from mailsrv.store.filling import Filler
from mailsrv.store.readers import Readers
from mailsrv.store.search import Searcher
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock


def message(subject="hello", body="text", **fields):
    """A small message; `fields` are further ones, with _ for -."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Subject": subject, **fields}.items()]
    return "\r\n".join([*lines, "", body, ""]).encode()


class Account:
    """`deliver` drops messages into new/ as delivery does; INBOX is `box` once `open` was called."""

    def __init__(self, path, now=1_700_000_000.0):
        self.path = Path(path)
        self.clock = FakeClock(now)
        self.disk = Disk()
        self.readers = Readers(self.disk, str(path), self.clock, "host.example")
        self.count = 0

    def deliver(self, *messages, mailbox=None):
        self.open(mailbox or "INBOX")
        directory = self.path / "accounts/alice" / (f".{mailbox}" if mailbox else "") / "new"
        for octets in messages:
            self.count += 1
            (directory / f"{1_600_000_000 + self.count}.M{self.count:06}.host.example,S={len(octets)}").write_bytes(
                octets
            )
        return self.open(mailbox or "INBOX")

    def open(self, name="INBOX"):
        self.box = self.readers.reader("alice").open(name)
        return self.box

    @property
    def index(self):
        return self.readers._index("alice")

    @property
    def filler(self):
        return Filler(self.index)

    def index_texts(self):
        while self.filler.index_some(100):
            pass

    def searcher(self, budget=None):
        return Searcher(self.index, self.box, budget)

    def search(self, key, budget=None):
        return list(self.searcher(budget).search(key, self.uids))

    def uids(self, among):
        """`*` and numbers as UIDs, as it is in a mailbox from which nothing was ever expunged."""
        return among.numbers.resolve(max(self.box.view()[0], default=0))

    def fill(self):
        while self.filler.fill():
            pass
